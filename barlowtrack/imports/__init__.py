"""Who is who, as other programs wrote it down: a table of layouts, and a reader for each."""

from barlowtrack.imports.identified import Identified, Space
from barlowtrack.imports.layouts import LAYOUTS, Layout, read_identities

__all__ = ["LAYOUTS", "Identified", "Layout", "Space", "read_identities"]
