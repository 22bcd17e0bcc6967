"""Media files to arrays: probing, RGB frames, mono audio, lossless storage, and decoding under limits."""
