"""The recording of a run as people who look at it get it."""

import shutil
from pathlib import Path

import barlowtrack as bt
from barlowtrack.config import Config, to_toml
from barlowtrack.io.metadata import SEEN
from barlowtrack.pipeline import recording_card
from barlowtrack.seen import at_hand
from barlowtrack.storage import RunFolder, StageRecord

SAMPLE = Path(__file__).parents[2] / "sample_data" / "recording"


def test_which_channel_is_which_is_not_decided_anew(tmp_path):
    unnamed = tmp_path / "worm"
    shutil.copytree(SAMPLE, unnamed, ignore=shutil.ignore_patterns("recording.toml"))
    config = Config(recording={"voxel_size_um": bt.open_recording(SAMPLE, to_look=True).voxel_size_um, "channel_names": ("a", "b")})
    card = recording_card(bt.open_recording(unnamed, config.recording))
    assert any(remark.startswith(SEEN) for remark in card["assumptions"])
    decided = card | {"reference": card["signal"], "signal": card["reference"]}
    folder = RunFolder(tmp_path / "worm.barlowtrack", create=True)
    folder.describe(unnamed, decided, to_toml(config))
    folder.half_made.of_stage("segment", "k")
    folder.publish(StageRecord("segment", "k", 1, None, {}, {"content": card["content"]}, {}, {}))
    recording = at_hand(folder)
    assert (recording.reference, recording.signal) == (decided["reference"], decided["signal"])
