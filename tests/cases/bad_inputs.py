"""The catalogue of bad input: whatever a lab, or somebody who means harm, may put on a disk. A bug becomes a case.

BAD: each case makes its input in an empty folder and returns the command that is typed; the program must answer with one line that says
what and where, exit 2, and leave the folder as it is. BAD_RUNS: the same about a finished run, of which each gets a copy. FINE: odd, but
right values must come out. The cases stand in tests/cases/bad/, a file a kind.
"""

from tests.cases.bad import contents, hdf5_files, other_formats, runs, settings, tables, tiffs, zarrs
from tests.cases.bad.case import BAD, BAD_RUNS, FINE

__all__ = ["BAD", "BAD_RUNS", "FINE", "contents", "hdf5_files", "other_formats", "runs", "settings", "tables", "tiffs", "zarrs"]
