"""Two runs of one recording side by side: what changed between them, and which identities moved."""

from barlowtrack.comparing.compared import Comparison, compare_sides
from barlowtrack.comparing.moved import Moved
from barlowtrack.comparing.side import Side
from barlowtrack.comparing.two_runs import compare

__all__ = ["Comparison", "Moved", "Side", "compare", "compare_sides"]
