"""Which point is which: points of one volume by distance, ids of a whole recording by how often they meet."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from barlowtrack.data import FloatArray, IntArray


def match_points(ours_um: FloatArray, true_um: FloatArray, gate_um: float) -> tuple[IntArray, IntArray]:
    """Pairs points one to one, none further apart than the gate.

    Minimises the sum of distances where a point left alone costs one gate: a false detection cannot push a chain of
    good pairs aside. Only points within reach of each other are compared, so that ten thousand in a volume are no trouble.

    Args:
        ours_um: (n, 3) z, y, x; rows that are not finite are never paired.
        true_um: (m, 3) likewise.
        gate_um: Largest distance of a pair.

    Returns:
        Rows of ours and of true, (p,) each, sorted by ours.

    Reference:
        Kuhn 1955, "The Hungarian method for the assignment problem".
    """
    ours = np.flatnonzero(np.isfinite(ours_um).all(axis=1))
    true = np.flatnonzero(np.isfinite(true_um).all(axis=1))
    if not len(ours) or not len(true):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    tree, true_tree = cKDTree(ours_um[ours]), cKDTree(true_um[true])
    near = tree.sparse_distance_matrix(true_tree, gate_um, output_type="ndarray")
    row, column, distance = near["i"], near["j"], near["v"]
    pairs = [_match_group(row[group], column[group], distance[group], gate_um) for group in _groups(row, column, len(ours), len(true))]
    if not pairs:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    row = np.concatenate([pair[0] for pair in pairs])
    column = np.concatenate([pair[1] for pair in pairs])
    order = np.argsort(row)
    return ours[row[order]], true[column[order]]


def map_ids(ours: IntArray, true: IntArray) -> dict[int, int]:
    """Maps our ids to true ids one to one, so that the most detections agree.

    Args:
        ours: (p,) our id of every pair.
        true: (p,) true id of every pair.

    Returns:
        Our id -> true id; ids that would share no detection are left out.
    """
    if not len(ours):
        return {}
    our_ids, row = np.unique(ours, return_inverse=True)
    true_ids, column = np.unique(true, return_inverse=True)
    together = np.zeros((len(our_ids), len(true_ids)), np.int64)
    np.add.at(together, (row, column), 1)
    rows, columns = linear_sum_assignment(together, maximize=True)
    return {int(our_ids[i]): int(true_ids[j]) for i, j in zip(rows, columns, strict=True) if together[i, j] > 0}


def _groups(row: IntArray, column: IntArray, n_ours: int, n_true: int) -> list[IntArray]:
    """Returns the pairs of every set of points that are within reach of each other, directly or over others."""
    n = n_ours + n_true
    graph = coo_array((np.ones(len(row), np.int8), (row, column + n_ours)), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    of_pair = component[row]
    order = np.argsort(of_pair, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(of_pair[order])) + 1) if len(order) else []


def _match_group(row: IntArray, column: IntArray, distance: FloatArray, gate_um: float) -> tuple[IntArray, IntArray]:
    if len(row) == 1:
        return row, column
    rows, i = np.unique(row, return_inverse=True)
    columns, j = np.unique(column, return_inverse=True)
    cost = np.full((len(rows), len(columns)), gate_um)
    cost[i, j] = distance
    within = np.zeros(cost.shape, bool)
    within[i, j] = True
    a, b = linear_sum_assignment(cost)
    good = within[a, b]
    return rows[a[good]], columns[b[good]]
