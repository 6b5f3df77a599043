"""What every run imports, so that a process need not do so again."""

import matplotlib.backends.backend_agg  # noqa: F401
import numba  # noqa: F401
import pandas  # noqa: F401
import pyarrow.parquet  # noqa: F401
import torch._dynamo  # noqa: F401
import zarr  # noqa: F401

import barlowtrack.cli
import barlowtrack.io.tables
import barlowtrack.pipeline as pipeline
import barlowtrack.storage.sinks  # noqa: F401

for stage in pipeline.STAGES:
    stage.function()
