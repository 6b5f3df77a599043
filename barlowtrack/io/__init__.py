"""Readers of recordings and writers of what other programs read."""
