"""Search over the videos of a run."""
