"""The embedded demo: narrated how-to videos, rendered when asked for, the same bytes for the same seed."""
