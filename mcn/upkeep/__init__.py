"""Accounts of a run: the ledger, checks of files, failed videos again, what a run costs."""
