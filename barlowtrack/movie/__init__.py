"""A recording as a short film: maximum projections with a ring around every neuron, coloured as in the report."""

from barlowtrack.movie.film import MAX_FRAMES, choose_frames, film
from barlowtrack.movie.formats import refuse_file, write_frames
from barlowtrack.movie.frames import Frames

__all__ = ["MAX_FRAMES", "Frames", "choose_frames", "film", "refuse_file", "write_frames"]
