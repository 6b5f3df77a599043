"""How right the identities are: identity accuracy first, its companions, and the field's standard scores behind them."""

from barlowtrack.evaluate.identity import GATE_UM, STRANGE_RECALL, Evaluation, Outcome, Scores, as_text, evaluate, evaluate_points
from barlowtrack.evaluate.matching import match_points
from barlowtrack.evaluate.reliability import Calibration, calibration, trace_correlation
from barlowtrack.evaluate.standard import STANDARD_METRICS

__all__ = [
    "GATE_UM",
    "STRANGE_RECALL",
    "STANDARD_METRICS",
    "Calibration",
    "Evaluation",
    "Outcome",
    "Scores",
    "as_text",
    "calibration",
    "evaluate",
    "evaluate_points",
    "match_points",
    "trace_correlation",
]
