"""Where videos and annotations come from: every source ends in the tables of `annotation_tables.py`."""
