"""What bioio reads: its own plugin's OME-TIFF under a name that no reader of ours takes."""

from pathlib import Path

import numpy as np
import pytest

from barlowtrack.config import RecordingConfig
from barlowtrack.io.readers import READERS

from .opening import VOXELS, refused

bioio = pytest.importorskip("bioio", reason="the extra barlowtrack[bioio] is not installed")


def test_volumes_and_metadata(tmp_path: Path) -> None:
    writers = pytest.importorskip("bioio_ome_tiff.writers", reason="bioio-ome-tiff, a plugin of bioio, is not installed")
    path = tmp_path / "worm.ome.tiff"
    sizes = bioio.PhysicalPixelSizes(Z=1.5, Y=0.3, X=0.4)
    writers.OmeTiffWriter.save(VOXELS, str(path), dim_order="TCZYX", channel_names=["mNeptune", "GCaMP"], physical_pixel_sizes=sizes)
    opened = READERS[-1].open(path, RecordingConfig())
    assert opened.shape == VOXELS.shape
    for t in (3, 0):
        np.testing.assert_array_equal(opened.source.read(t), VOXELS[t])
    assert opened.metadata.channel_names == ("mNeptune", "GCaMP")
    assert opened.metadata.size_um == {"z": 1.5, "y": 0.3, "x": 0.4}


def test_what_no_plugin_reads(tmp_path: Path) -> None:
    path = tmp_path / "worm.dv"
    path.write_bytes(b"nothing")
    assert "worm.dv: bioio cannot read it: " in refused(path)
