"""Sphinx settings; `make docs` builds with warnings as errors. The reference of commands, settings and tables is made from the code."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402

from barlowtrack import __version__  # noqa: E402

project = "barlowtrack"
author = "The barlowtrack developers"
copyright = "2026, the barlowtrack developers"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"barlowtrack {release}"
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_member_order = "bysource"
nitpicky = False


def setup(app):
    """Writes the generated pages before anything is read."""
    generate.write(HERE / "reference")
