"""A finished run as files of other programs: a table of formats, and a file for each.

Writers get a Content, which is all that a run says, and a path that is free; who may write where is storage's business.
"""

from barlowtrack.exports.formats import FORMATS, Format, format_named

__all__ = ["FORMATS", "Format", "format_named"]
