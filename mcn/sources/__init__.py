"""Where videos and annotations come from: every source ends in the same tables (see `mcn.sources.tables`)."""
