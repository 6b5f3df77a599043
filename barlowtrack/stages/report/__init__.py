"""report: one page that says what came out, and how far to trust it."""

from barlowtrack.stages.report.compose import report

__all__ = ["report"]
