"""Readers of recordings and writers of what other programs read."""

from barlowtrack.io.recording import open_recording, recording_name
from barlowtrack.io.write import write_recording

__all__ = ["open_recording", "recording_name", "write_recording"]
