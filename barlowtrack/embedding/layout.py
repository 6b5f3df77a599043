"""An embedding in two dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barlowtrack.data import FloatArray, IntArray

MOST = 2000
"""Rows laid out. t-SNE takes a few seconds for them on one thread; more would only cover each other."""
FEWEST_FOR_TSNE = 30
"""Below, t-SNE draws clusters whatever the data: its perplexity would be a handful."""
PERPLEXITY = 30.0


@dataclass(frozen=True)
class Layout:
    """Where some of the nuclei lie in two dimensions.

    Attributes:
        row: (m,) rows of the vectors, ascending.
        position: (m, 2) without a unit; zeros where method is "none".
        method: "t-SNE", "PCA" or "none".
        reason: Why it is not t-SNE; empty where it is.
    """

    row: IntArray
    position: FloatArray
    method: str
    reason: str = ""


def tsne(vectors: FloatArray, neuron: IntArray, seed: int, most: int = MOST) -> Layout:
    """Lays nuclei out so that what looks alike lies together.

    The sample takes from every neuron its share, evenly spread over its volumes. Few nuclei get principal components instead, and
    nuclei that all look alike get nothing; the reason is given.

    Args:
        vectors: (N, D), rows sorted by volume.
        neuron: (N,) ids; UNKNOWN counts as one more.
        seed: Of the sample; t-SNE itself starts from principal components.
        most: Rows in the sample.

    Reference:
        van der Maaten & Hinton 2008, "Visualizing data using t-SNE"; started from principal components as Kobak & Berens 2019 advise.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    row = _sample(neuron, seed, most)
    values = np.asarray(vectors[row], np.float64)
    n = len(row)
    if n < 2 or not np.ptp(values, axis=0).max(initial=0.0) > 1e-6:
        why = f"there {'is' if n == 1 else 'are'} only {n}" if n < 2 else "all of them look alike"
        return Layout(row, np.zeros((n, 2)), "none", why)
    if values.shape[1] < 2:
        values = np.pad(values, ((0, 0), (0, 1)))
    with threadpool_limits(1):  # sums over several threads differ from machine to machine
        if n < FEWEST_FOR_TSNE:
            return Layout(row, PCA(2, svd_solver="full").fit_transform(values), "PCA", f"{n} are too few for t-SNE")
        perplexity = min(PERPLEXITY, (n - 1) / 3)
        found = TSNE(init="pca", perplexity=perplexity, max_iter=500, random_state=seed).fit_transform(values)
    return Layout(row, np.asarray(found, np.float64), "t-SNE")


def _sample(neuron: IntArray, seed: int, most: int) -> IntArray:
    """Returns one row drawn from each of `most` equal stretches of the rows ordered by neuron, then volume."""
    n = len(neuron)
    if n <= most:
        return np.arange(n)
    edges = np.arange(most + 1) * n // most
    place = edges[:-1] + (np.random.default_rng(seed).random(most) * np.diff(edges)).astype(np.int64)
    return np.sort(np.argsort(neuron, kind="stable")[place])
