"""Draws what a recording costs as it grows longer, from what benchmarks/bench_length.py measured.

python docs/plot_cost.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

HERE = Path(__file__).parent / "_static" / "cost"
FEWEST_SECONDS = 1.0
"""A stage that never takes longer is left out of the picture."""


def series(measured: list[dict[str, Any]], stage: str, unit: str) -> np.ndarray:
    """(L,) what a stage took at each length."""
    return np.array([one["costs"].get(stage, {}).get(unit, np.nan) for one in measured])


def slope(volumes: np.ndarray, seconds: np.ndarray) -> float:
    """The power of the number of volumes that seconds grow with, between the two longest recordings: what is paid once counts least."""
    return float(np.log(seconds[-1] / seconds[-2]) / np.log(volumes[-1] / volumes[-2]))


def draw_time(axes: Axes, measured: list[dict[str, Any]]) -> None:
    volumes = np.array([one["volumes"] for one in measured])
    stages = [stage for stage in measured[-1]["costs"] if series(measured, stage, "cpu_s")[-1] >= FEWEST_SECONDS and stage != "simulate"]
    for stage in stages:
        seconds = series(measured, stage, "cpu_s")
        style = {"color": "black", "linewidth": 2} if stage == "whole" else {}
        name = "all" if stage == "whole" else stage
        axes.plot(volumes, seconds, "o-", label=f"{name}: slope {slope(volumes, seconds):.2f}", **style)
    linear = series(measured, "whole", "cpu_s")[-1] * volumes / volumes[-1]
    axes.plot(volumes, linear, ":", color="grey", label="slope 1")
    axes.set(xscale="log", yscale="log", xlabel="volumes", ylabel="seconds of the processor", title="Time")
    axes.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5))


def draw_memory(axes: Axes, measured: list[dict[str, Any]]) -> None:
    volumes = np.array([one["volumes"] for one in measured])
    for stage in ("segment", "embed", "identify", "measure", "report"):
        axes.plot(volumes, series(measured, stage, "peak_mb"), "o-", label=stage)
    axes.set(xscale="log", xlabel="volumes", ylabel="most memory of a stage, MB", title="Memory", ylim=(0, None))
    axes.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measured", type=Path, default=HERE / "length.json")
    parser.add_argument("--out", type=Path, default=HERE / "length.png")
    arguments = parser.parse_args()
    measured = json.loads(arguments.measured.read_text())
    fewest = min(one["neurons"] for one in measured)
    measured = sorted((one for one in measured if one["neurons"] == fewest), key=lambda one: one["volumes"])
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
    draw_time(left, measured)
    draw_memory(right, measured)
    shape = " x ".join(str(size) for size in measured[0]["shape"])
    figure.suptitle(f"{fewest} neurons in volumes of {shape}, in two colours", fontsize="small")
    figure.savefig(arguments.out, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
