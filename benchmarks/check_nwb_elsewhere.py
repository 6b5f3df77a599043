"""Does the extension's own package, in an environment of its own with the old pynwb that it wants, read what we export?

python benchmarks/check_nwb_elsewhere.py worm_barlowtrack.nwb
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

WANTED = ("ndx-multichannel-volume==0.1.12", "pynwb==2.8.3", "scikit-image")
READ = """
import sys, ndx_multichannel_volume, pynwb
with pynwb.NWBHDF5IO(sys.argv[1], "r") as io:
    file = io.read()
    volume = file.imaging_planes["CalciumImVol"]
    assert type(volume) is ndx_multichannel_volume.ImagingVolume, type(volume)
    activity = file.processing["CalciumActivity"]
    print("channels", list(volume.order_optical_channels.channels), "voxel", list(volume.grid_spacing))
    print("masks", activity["CalciumSeriesSegmentation"].data.shape, "names", len(activity["NeuronIDs"].labels))
    print("dF/F", activity["SignalDFoF"]["SignalCalciumImResponseSeries"].data.shape)
    print("read with pynwb", pynwb.__version__)
"""


def main() -> None:
    """Makes the environment, which is removed in the end, and reads the file in it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path, help="What 'barlowtrack export --to nwb' wrote.")
    file = parser.parse_args().file.resolve()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", *WANTED], check=True)
        subprocess.run([python, "-c", READ, str(file)], check=True)


if __name__ == "__main__":
    main()
