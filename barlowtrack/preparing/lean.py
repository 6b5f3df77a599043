"""How much of what changes slowly over the depth is the worm's lean, and how much is jumps.

One slow shape has one size a volume: the lean, which stays much the same from one volume to the next, and the share of the jumps, which
is another one in every volume. The spread of the jumps is known; how large the lean is, and for how long it lasts, is not, and few
volumes do not tell. So it is not guessed at: every spread and every persistence says what the lean would be, and counts by how well
it explains all volumes (Bayes empirical Bayes: Deely and Lindley 1981, J. Am. Stat. Assoc. 76, 833). Where the sizes are what jumps
alone explain, little is left to the worm; where they go on from volume to volume, much.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded

from barlowtrack.data import FloatArray, IntArray

SPREADS_VOX = tuple(np.geomspace(0.1, 100, 20))
"""Of the lean as the size of a slow shape, from far below what matters to dozens of planes that lie 30 voxels aslant; each as likely."""
PERSISTENCES = {0.0: 3, 0.8: 1, 0.95: 1, 0.99: 1}
"""Of the lean, share that is left in the next volume, and how likely that is beforehand: even odds that it is another one in every volume
(they lie far apart in time, or the worm is fast), or lasts for five volumes to a hundred."""


def expected_lean(size: FloatArray, times: IntArray, variance: float) -> FloatArray:
    """Returns what of a slow shape is to be expected of the worm's lean.

    Args:
        size: (n, 2) of the shape along y and x, in voxels; lean and jumps together.
        times: (n,) volumes, rising.
        variance: Of the jumps' share in it, in voxels squared; above 0.

    Returns:
        (n, 2) the lean's share, in voxels.
    """
    leans: list[FloatArray] = []
    evidence: list[float] = []
    for persistence, odds in PERSISTENCES.items():
        band, log_determinant = _precision(persistence, np.diff(times))
        for spread in SPREADS_VOX:
            around = band / spread**2
            around[1] += 1 / variance
            root = cholesky_banded(around)
            lean = cho_solve_banded((root, False), size / variance)
            # log determinant of the covariance of sizes, from that of the two precisions (Sylvester)
            spread_out = len(size) * np.log(variance * spread**2) - log_determinant + 2 * np.log(root[1]).sum()
            leans.append(lean)
            evidence.append(np.log(odds) - 0.5 * (size.shape[1] * spread_out + np.sum(size * (size - lean)) / variance))
    share = np.exp(np.array(evidence) - max(evidence))
    expected: FloatArray = np.tensordot(share / share.sum(), np.array(leans), axes=1)
    return expected


def _precision(persistence: float, gaps: IntArray) -> tuple[FloatArray, float]:
    """Returns the inverse of the correlations of an autoregressive process at times with such gaps: its upper band (2, n), and the
    logarithm of its determinant.
    """
    kept = persistence ** gaps.astype(float)
    new = 1 / (1 - kept**2)
    band = np.zeros((2, len(gaps) + 1))
    band[0, 1:] = -kept * new
    band[1] = 1
    band[1, 1:] += new - 1
    band[1, :-1] += kept**2 * new
    return band, float(np.log(new).sum())
