"""What a run can be told: one file a section of the configuration. Nothing here imports PyTorch."""
