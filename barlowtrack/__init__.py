"""barlowtrack: from a whole-brain recording to activity traces, without labels."""

__version__ = "0.1.0"
