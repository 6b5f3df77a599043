"""Puts the pictures right before anybody looks at them: what is wrong is measured here, and undone when a volume is read."""
