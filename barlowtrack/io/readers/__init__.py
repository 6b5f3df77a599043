"""Readers of recordings, a file a format, and READERS: the table that open_recording walks."""

from barlowtrack.io.readers.opened import Opened
from barlowtrack.io.readers.table import READERS, Reader, expected, is_recording, reader_of

__all__ = ["READERS", "Opened", "Reader", "expected", "is_recording", "reader_of"]
