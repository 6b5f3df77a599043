"""How the light of a recording fades, and how that is undone.

Fluorophores bleach: the same nucleus sends less light at the end than at the beginning, by the same share in all of them. Neurons are
active each in its own way, so the median over all of them shows the fading rather than the activity; what all of them do alike, and only
falls, cannot be told from it.

Reference:
    Song et al. 1995, "Photobleaching kinetics of fluorescein in quantitative fluorescence microscopy", for curves of more than one
    exponential; Schwarz 1978 for the criterion (BIC).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy.optimize import least_squares

from barlowtrack.activity.gaps import evenly_if_unknown
from barlowtrack.activity.robust import MAD_TO_SPREAD, medians
from barlowtrack.data import Bleaching, FloatArray

Kind = Literal["auto", "none", "mono", "bi"]

FEWEST_VOLUMES = 10
"""Fewer levels than this say nothing of how the light falls."""
FEWEST_NEURONS = 10
"""The median over fewer shows what some of them do together as well as what fades: "auto" then fits nothing. In a recording that does not
fade, green "faded" in 15 % of all draws of 8 of its neurons, in 2 % of draws of 10 to 15, in none of 20."""
LEAST_LEFT = 0.02
"""No curve falls below this share: dividing by less would show noise as light."""
STRONG = 6.0
"""By how much the criterion must speak for a further parameter; Kass & Raftery 1995 call that strong."""
MOST_ROUNDS = 30
SETTLED = 1e-3
"""Usual light and level are found in turn until the level changes by no more than this share."""
NOISELESS = 1e-4
"""A level never lies nearer to its curve than this share: it keeps a perfect fit finite."""
_SLOWEST, _FASTEST = 0.0, 200.0  # falls to 1/e so many times within the recording
_DEEPEST = -np.log(LEAST_LEFT)


def fit_bleaching(red: FloatArray, green: FloatArray, time: FloatArray, kind: Kind = "auto") -> Bleaching:
    """Finds how each channel fades.

    The level of a volume is the median over neurons of their light relative to each neuron's own usual light; usual light and level are
    found in turn, so that neurons seen only early or only late do no harm. A curve is fitted to the logarithm of the level by least
    squares with a robust loss: A exp(-a t) (mono), or A [s exp(-a t) + (1 - s) exp(-b t)] (bi); it can only fall.

    "auto" takes the simplest of none, mono and bi that no other beats clearly by a Bayesian criterion, and none of fewer than
    FEWEST_NEURONS: a few neurons may be active less and less. Levels next to each other are alike
    (neurons are active together, focus drifts): they count as so many independent ones as their correlation leaves.

    Args:
        red: (K, T) light, background subtracted; NaN where a neuron was not read.
        green: (K, T) likewise; all NaN without a signal channel.
        time: (T,) in any unit; volumes count as evenly spaced if any is NaN.
        kind: What to fit.

    Returns:
        Level and curve of both channels; the curve is 1 throughout, and the kind "none", where nothing was fitted: too few volumes, no
        light, or no fall that could be told from noise.
    """
    levels = np.stack([population_level(red), population_level(green)])
    few = [kind == "auto" and np.isfinite(light).any(axis=1).sum() < FEWEST_NEURONS for light in (red, green)]
    fits = [_fit(level, evenly_if_unknown(time), "none" if of else kind) for level, of in zip(levels, few, strict=True)]
    return Bleaching(levels, np.stack([curve for curve, _ in fits]), (fits[0][1], fits[1][1]))


def undo(values: FloatArray, curve: FloatArray) -> FloatArray:
    """Returns light as it would be without bleaching: (K, T) values over the (T,) curve of their channel."""
    return np.asarray(values / curve, dtype=values.dtype)


def population_level(light: FloatArray) -> FloatArray:
    """Returns the median over neurons of their light relative to their own usual light: (T,); NaN where no neuron was read.

    Neurons whose usual light is not positive say nothing.
    """
    level = np.ones(light.shape[1])
    if not len(light):
        return np.full(light.shape[1], np.nan)
    for _ in range(MOST_ROUNDS):
        usual = medians(light / level, axis=1)
        relative = light / np.where(usual > 0, usual, np.nan)[:, None]
        found = medians(relative, axis=0)
        settled = np.allclose(found, level, rtol=SETTLED, equal_nan=True)
        level = np.where(found > 0, found, np.nan)
        if settled:
            break
    return found


def _fit(level: FloatArray, time: FloatArray, kind: Kind) -> tuple[FloatArray, str]:
    """Returns the curve, (T,) and 1 at the first volume, and what it is."""
    flat = np.ones(len(level))
    known = np.flatnonzero(level > 0)
    if kind == "none" or len(known) < FEWEST_VOLUMES:
        return flat, "none"
    passed = (time - time[0]) / (time[-1] - time[0])  # 0 to 1
    at, wanted = passed[known], np.log(level[known])
    none = np.array([np.median(wanted)])
    mono = _least(_mono, at, wanted, _mono_starts(wanted))
    if kind == "mono":
        chosen = mono
    else:
        bi = _least(
            _bi, at, wanted, [np.array([mono[0], share, fast, mono[1]]) for share in (0.05, 0.3, 0.6) for fast in (5.0, 20.0, 80.0)]
        )
        chosen = bi if kind == "bi" else _simplest(wanted, at, none, mono, bi)
    if len(chosen) == 1:
        return flat, "none"
    model, name = (_mono, "mono") if len(chosen) == 2 else (_bi, "bi")
    curve = np.exp(model(chosen, passed) - model(chosen, np.zeros(1)))
    return np.clip(curve, LEAST_LEFT, 1.0), name


def _mono(parameters: FloatArray, at: FloatArray) -> FloatArray:
    """Logarithm of A exp(-a t); log A, a."""
    return np.asarray(parameters[0] - parameters[1] * at)


def _bi(parameters: FloatArray, at: FloatArray) -> FloatArray:
    """Logarithm of A [s exp(-(a + b) t) + (1 - s) exp(-b t)]; log A, s, a, b."""
    start, share, faster, slow = parameters
    return np.asarray(start - slow * at + np.log1p(share * np.expm1(-faster * at)))


_BOUNDS: dict[Callable[[FloatArray, FloatArray], FloatArray], tuple[list[float], list[float]]] = {
    _mono: ([-np.inf, _SLOWEST], [np.inf, _DEEPEST]),
    _bi: ([-np.inf, 0.0, 0.0, _SLOWEST], [np.inf, 0.95, _FASTEST, _DEEPEST]),
}


def _mono_starts(wanted: FloatArray) -> list[FloatArray]:
    third = max(1, len(wanted) // 3)
    begin, end = np.median(wanted[:third]), np.median(wanted[-third:])
    return [np.array([begin, rate]) for rate in (np.clip(1.5 * (begin - end), 0.01, 0.9 * _DEEPEST), 0.1)]


def _least(
    model: Callable[[FloatArray, FloatArray], FloatArray], at: FloatArray, wanted: FloatArray, starts: list[FloatArray]
) -> FloatArray:
    """Returns the parameters that fit best of all starts, under a loss that forgives outliers."""
    scale = _noise(np.diff(wanted)) / np.sqrt(2.0)
    bounds = _BOUNDS[model]

    def off(parameters: FloatArray) -> FloatArray:
        return model(parameters, at) - wanted

    fits = [least_squares(off, start, bounds=bounds, loss="soft_l1", f_scale=scale) for start in starts]
    return np.asarray(min(fits, key=lambda fit: float(fit.cost)).x)


def _noise(residual: FloatArray) -> float:
    return max(float(MAD_TO_SPREAD * np.median(np.abs(residual))), NOISELESS)


def _simplest(wanted: FloatArray, at: FloatArray, none: FloatArray, mono: FloatArray, bi: FloatArray) -> FloatArray:
    """Returns the parameters of the simplest model that no other beats clearly.

    Noise and its correlation are what the richest model leaves: what a poorer one leaves is also its own misfit.
    """
    models = ((none, wanted - none[0]), (mono, wanted - _mono(mono, at)), (bi, wanted - _bi(bi, at)))
    least = models[-1][1]
    spread = _noise(least)
    independent = max(len(wanted) / _correlation_length(least), 1.0)

    def cost(step: int) -> float:
        parameters, residual = models[step]
        said = _loss(residual / spread) * independent / len(wanted)
        return said + len(parameters) * float(np.log(independent)) + step * STRONG

    return models[min(range(len(models)), key=cost)][0]


def _loss(scaled: FloatArray) -> float:
    """Minus twice the log likelihood under the loss of the fit."""
    return float(np.sum(2 * (np.sqrt(1 + scaled**2) - 1)))


def _correlation_length(residual: FloatArray) -> float:
    """Returns how many levels in a row say as much as one of a slow fall: 1 + 2 sum of autocorrelations, under Bartlett's window.

    What swings back and forth within the recording sums to little, as it should: it does not look like a fall (Newey & West 1987).
    """
    clipped = np.clip(residual - np.median(residual), *(np.array([-3, 3]) * _noise(residual)))
    size = 2 ** int(np.ceil(np.log2(2 * len(clipped))))
    power = np.abs(np.fft.rfft(clipped - clipped.mean(), size)) ** 2
    correlation = np.fft.irfft(power)
    if correlation[0] <= 0:
        return 1.0
    lags = np.arange(1, max(2, len(clipped) // 4))
    window = 1 - lags / (lags[-1] + 1)
    return max(1.0, float(1 + 2 * (window * correlation[lags]).sum() / correlation[0]))
