"""Training data: which videos are used, and the batch of a step."""
