"""Training: from feature shards to a model."""
