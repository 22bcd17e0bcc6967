"""Moved to `mcn.options.own_parts`: options too name parts of the user's own."""

from mcn.options.own_parts import contract_words, load_part, part_errors, part_file

__all__ = ["contract_words", "load_part", "part_errors", "part_file"]
