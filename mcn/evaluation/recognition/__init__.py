"""Zero-shot action recognition: class names as text."""
