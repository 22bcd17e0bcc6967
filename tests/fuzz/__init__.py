"""Fuzzing: a harness for every input, a corpus of known cases, and a search that changes them."""
