"""Time, memory and size of the report on a synthetic recording, beside what a page of the same figures must hold.

    python benchmarks/bench_report.py --volumes 400 --neurons 120 --out report.html

Identities are the true ones with a share of errors whose probabilities say so, so that the page's own estimate can be held
against the truth: its error is the quality figure; the baseline believes every identity.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np

from barlowtrack.config import Config, to_toml
from barlowtrack.data import (
    Bleaching,
    Candidates,
    Corrections,
    Detections,
    Embeddings,
    Identities,
    Recording,
    StageCost,
    Swaps,
    Traces,
    Tracks,
    Truth,
    VolumeLooks,
)
from barlowtrack.evaluate import evaluate
from barlowtrack.identity.learned import Learned
from barlowtrack.identity.solve import Atlas
from barlowtrack.identity.volumes import Preparation
from barlowtrack.stages.report import report
from barlowtrack.stages.report.verdict import judge
from barlowtrack.synthetic import preset, simulate


def tracked(truth: Truth, n_volumes: int, n_neurons: int, seed: int) -> tuple[Detections, Embeddings, Tracks]:
    """Returns true detections whose ids are swapped, volume by volume, as often as their probabilities say."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((truth.neuron, truth.t))
    t, true, n = truth.t[order], truth.neuron[order], len(truth)
    ones = np.ones(n, np.float32)
    quality = rng.gamma(9, 2, n)
    detections = Detections(n_volumes, t, true + 1, truth.position_um[order], ones, 100 * ones, 200 * ones, ones, ones, quality, ones)
    probability = rng.beta(12, 1, n).astype(np.float32)
    neuron = true.copy()
    for volume in range(n_volumes):
        rows = detections.rows_of(volume)
        wrong = np.flatnonzero(rng.random(rows.stop - rows.start) > probability[rows]) + rows.start
        neuron[wrong] = np.roll(neuron[wrong], 1)
    centre = rng.normal(size=(n_neurons, 64))
    vectors = centre[true] + rng.normal(size=(n, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return detections, Embeddings(vectors.astype(np.float32)), Tracks(neuron, probability, n_neurons)


def traces_of(tracks: Tracks, detections: Detections, truth: Truth, recording: Recording) -> Traces:
    """Returns the true activity of whatever nucleus an id sits on."""
    shape = (tracks.n_neurons, recording.n_volumes)
    activity, probability = np.full(shape, np.nan), np.full(shape, np.nan)
    order = np.lexsort((truth.neuron, truth.t))
    assert truth.activity is not None
    activity[tracks.neuron, detections.t] = truth.activity[order]
    probability[tracks.neuron, detections.t] = tracks.probability
    red = np.where(np.isfinite(activity), 100.0, np.nan)
    return Traces.of_seen(np.arange(recording.n_volumes) / (recording.rate_hz or 1), red, red * activity, activity, activity, probability)


def identities_of(tracks: Tracks, detections: Detections) -> Identities:
    """Returns what an atlas would have said that was believed; each detection may be the next neuron, too."""
    absent = np.ones((detections.n_volumes, tracks.n_neurons), np.float32)
    absent[detections.t, tracks.neuron] = np.nan
    who = np.stack([tracks.neuron, (tracks.neuron + 1) % tracks.n_neurons], axis=1)
    candidates = Candidates(who, np.stack([tracks.probability, 1 - tracks.probability], axis=1))
    return Identities(tracks.neuron, tracks.probability, candidates, absent, np.full((*absent.shape, 3), np.nan, np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=400)
    parser.add_argument("--neurons", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()

    made = simulate(preset("mid", n_volumes=asked.volumes, n_neurons=asked.neurons), seed=asked.seed)
    detections, embeddings, tracks = tracked(made.truth, asked.volumes, asked.neurons, asked.seed)
    traces = traces_of(tracks, detections, made.truth, made.recording)
    epoch = np.arange(21.0)
    fall = np.exp(-epoch / 5)
    history = {
        "epoch": epoch,
        "loss": fall,
        "feature_term": 0.8 * fall,
        "object_term": 1.1 * fall,
        "held_out_agreement": 1 - 0.6 * fall,
        "effective_rank": 20 - 10 * fall,
        "round_trips": 1 - 0.7 * fall,
    }
    config = Config()
    alike = np.ones(asked.volumes)
    looks = VolumeLooks(np.bincount(detections.t, minlength=asked.volumes), alike, alike)
    level = np.tile(np.exp(-np.arange(asked.volumes) / asked.volumes), (2, 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    html = report(
        made.recording,
        detections,
        looks,
        embeddings,
        Learned(Preparation(1.0), Atlas(None, None, 0)),
        identities_of(tracks, detections),
        Corrections(),
        tracks,
        traces,
        Swaps(*np.zeros((2, 0), np.int64), np.zeros((0, 2), np.int64), np.zeros(0)),  # type: ignore[call-arg]
        Bleaching(level, level, ("mono", "mono")),
        history,
        (StageCost("segment", 1.0, 1.0),),
        config=config.report,
        settings=to_toml(config),
    )
    spent = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if asked.out:
        asked.out.write_text(html, encoding="utf-8")

    verdict = judge(detections, looks, tracks, traces)
    order = np.lexsort((made.truth.neuron, made.truth.t))
    true = judge(detections, looks, Tracks(made.truth.neuron[order], tracks.probability, asked.neurons), traces)
    right = evaluate(detections, tracks, made.truth).identity_accuracy
    print(f"{asked.volumes} volumes, {asked.neurons} neurons, {len(detections)} detections")
    print(f"time           {spent:.1f} s, of it the reading of a few volumes")
    print(f"peak memory    {after / 1024:.0f} MB, of which the report added {(after - before) / 1024:.0f} MB")
    print(f"page           {len(html) / 1e6:.2f} MB (limit 10)")
    print(f"estimated share of right identities {verdict.estimated_right:.3f}, true {right:.3f}")
    print(f"steps that jump against their neighbours {verdict.jumps:.3f}, with the true identities {true.jumps:.3f}")
    print(f"error of the estimate {abs(verdict.estimated_right - right):.3f}; of believing everything {1 - right:.3f}")


if __name__ == "__main__":
    main()
