"""What every run imports, so that a process need not do so again."""

import numba  # noqa: F401
import pandas  # noqa: F401
import pyarrow.parquet  # noqa: F401
import torch  # noqa: F401
import zarr  # noqa: F401

import barlowtrack.cli  # noqa: F401
import barlowtrack.io.tables  # noqa: F401
import barlowtrack.pipeline as pipeline
import barlowtrack.storage.sinks  # noqa: F401

for stage in pipeline.STAGES:
    stage.function()
