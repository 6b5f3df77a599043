"""The command line: one verb a stage, built from pipeline.STAGES, and a few around them."""

from barlowtrack.cli.main import main

__all__ = ["main"]
