"""What an embedding shows, and whether it is sound: numbers from vectors, volumes and identities. No truth is needed, none is used."""

from barlowtrack.embedding.best import best_epoch, gauge
from barlowtrack.embedding.diagnosis import Watch, diagnose
from barlowtrack.embedding.drift import Drift, drift
from barlowtrack.embedding.health import Finding, Health, findings, health
from barlowtrack.embedding.layout import Layout, tsne
from barlowtrack.embedding.matrices import Pair, feature_similarity, object_similarity, two_volumes
from barlowtrack.embedding.retrieval import Consistency, Retrieval, consistency, nearest, retrieval

__all__ = [
    "Consistency",
    "Drift",
    "Finding",
    "Health",
    "Layout",
    "Pair",
    "Retrieval",
    "Watch",
    "best_epoch",
    "consistency",
    "diagnose",
    "drift",
    "feature_similarity",
    "findings",
    "gauge",
    "health",
    "nearest",
    "object_similarity",
    "retrieval",
    "tsne",
    "two_volumes",
]
