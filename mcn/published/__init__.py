"""What others published, read into this project's files: pickles, feature files, checkpoints; and comparisons."""
