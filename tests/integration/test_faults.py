"""Machines that fail: full disks, too little memory, a GPU that is gone, a disk behind a slow network. One line, and nothing is lost."""

import json
import re
import shutil

import numpy as np
import pytest
import torch

import barlowtrack as bt
from barlowtrack.errors import MachineError, StorageError
from barlowtrack.faults import is_device_lost, is_out_of_memory
from barlowtrack.pipeline import Listener
from barlowtrack.storage import RunFolder
from tests import nursery
from tests.integration.test_kill_and_resume import ARGUMENTS, how_far, same_as


def the_line(said: str) -> str:
    lines = [line for line in said.splitlines() if line.startswith("barlowtrack: ")]
    assert len(lines) == 1, said
    assert "Traceback" not in said
    return lines[0]


@pytest.fixture
def run_folder(tiny_run, tiny_worm, tmp_path):
    """A finished run that one may damage, beside a copy of its recording."""
    shutil.copytree(tiny_worm / "recording", tmp_path / "recording")
    return shutil.copytree(tiny_run.path, tmp_path / "recording.barlowtrack")


# out of disk


def test_files_that_may_not_grow_stop_a_run_in_one_line_and_nothing_is_lost(tiny_worm, tiny_run, tmp_path):
    """A real limit of the system; write() fails once a file has so many bytes, whoever writes it and however."""
    out, said = tmp_path / "run.barlowtrack", tmp_path / "said.txt"
    arguments = ["run", tiny_worm / "recording", "--out", out, "--no-check", "--quiet", *ARGUMENTS]
    most_bytes, lines = 300, []
    while nursery.end_of(nursery.with_small_files, most_bytes, said, *arguments) == 2:
        lines.append(the_line(said.read_text()))
        most_bytes *= 3
    assert len(lines) > 4
    assert sum("may not grow any more" in line and "what is done is kept" in line for line in lines) > 2, lines
    assert same_as(tiny_run, out) == set()


def test_a_disk_that_is_full_stops_a_run_in_one_line_and_room_lets_it_go_on(tiny_worm, tiny_run, tmp_path):
    """A real disk of a few hundred kB, which becomes larger each time the run says that it is full."""
    disk, kept, report = tmp_path / "disk", tmp_path / "kept.barlowtrack", tmp_path / "lines.json"
    disk.mkdir()
    arguments = ["run", tiny_worm / "recording", "--out", disk / "run.barlowtrack", "--no-check", "--quiet", *ARGUMENTS]
    ended = nursery.end_of(nursery.on_a_small_disk, disk, kept, report, *arguments, seconds=240)
    if ended == nursery.NO_DISK:
        pytest.skip("no small disk can be made here: neither root nor namespaces of users")
    assert ended == 0
    ends = json.loads(report.read_text())
    assert len(ends) > 3
    for code, said in ends:
        assert code == 2
        line = the_line(said)
        assert re.search(r"the disk is full \(\d.* free\); the whole run takes about .*B, .*B of them are there; make room; what is", line)
    assert same_as(tiny_run, kept) == set()


def test_a_fault_while_half_made_work_is_opened_does_not_throw_it_away(run_folder, monkeypatch):
    from barlowtrack.storage import volume_sinks

    (run_folder / "keys" / "measure.json").unlink()
    job = bt.prepare(run_folder)
    with pytest.raises(_Stop):
        job.run(only="measure", listener=_Stopper(3))
    before = how_far(run_folder)
    read = volume_sinks.MeasuredVolumes._read

    def away(self, t):
        raise OSError(116, "Stale file handle", str(self._path(t)))

    monkeypatch.setattr(volume_sinks.MeasuredVolumes, "_read", away)
    with pytest.raises(MachineError, match="Stale file handle: the disk does not answer"):
        job.run(only="measure")
    assert how_far(run_folder) == before
    monkeypatch.setattr(volume_sinks.MeasuredVolumes, "_read", read)
    job.run(only="measure")
    assert job.plan()[5].state == "cached"


class _Stop(BaseException):
    pass


class _Stopper(Listener):
    def __init__(self, parts):
        self.parts = parts

    def started(self, item):
        def progress(done, total):
            if done >= self.parts:
                raise _Stop

        return progress


# out of memory


def test_volumes_that_do_not_fit_side_by_side_are_done_one_after_the_other():
    """A real limit on the memory of a process, in which two volumes at once do not fit, and one does."""
    assert nursery.end_of(nursery.work_in_little_memory) == 0


def test_a_gpu_whose_memory_is_short_gets_fewer_crops_at_a_time(run_folder, tiny_run, monkeypatch, caplog):
    """A stand-in for the one place where crops go to the device: there is no GPU here."""
    from barlowtrack.nn import forward

    whole = forward._embed_at_once
    sizes = []

    def short(encoder, crops, device):
        sizes.append(len(crops))
        if len(crops) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return whole(encoder, crops, device)

    monkeypatch.setattr(forward, "_embed_at_once", short)
    forward._say_smaller.cache_clear()
    (run_folder / "keys" / "embed.json").unlink()
    bt.prepare(run_folder).run(only="embed")
    assert max(sizes) > 6
    assert caplog.text.count("fewer at a time") == 1
    ours, theirs = (np.load(folder / "embeddings.npy") for folder in (run_folder, tiny_run.path))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_training_that_does_not_fit_says_what_to_lower_and_changes_nothing_by_itself(run_folder, monkeypatch):
    from barlowtrack.embedding.training import Training

    def short(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(Training, "step", short)
    (run_folder / "keys" / "train.json").unlink()
    with pytest.raises(MachineError, match=r"train: CUDA out of memory.* a smaller \[crop\] margin .*another encoder.* is kept"):
        bt.prepare(run_folder).run(only="train")


# a GPU that is gone


def test_a_gpu_that_was_asked_for_and_is_not_there_says_what_to_do(run_folder):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    (run_folder / "keys" / "embed.json").unlink()
    with pytest.raises(bt.ConfigError, match="found none; use 'auto' or 'cpu'"):
        bt.prepare(run_folder, overrides=["compute.device=cuda"]).run(only="embed")
    bt.prepare(run_folder, overrides=["compute.device=auto"]).run(only="embed")


@pytest.mark.parametrize("lost", [torch.AcceleratorError, RuntimeError])
def test_a_gpu_that_is_lost_stops_the_stage_in_one_line_and_it_goes_on_later(lost, run_folder, tiny_run, monkeypatch):
    """A stand-in for the one place where crops go to the device: there is no GPU here, and none that could be pulled out."""
    from barlowtrack.nn import forward

    whole, calls = forward._embed_at_once, []

    def gone(encoder, crops, device):
        calls.append(len(crops))
        if len(calls) == 4:
            raise lost("CUDA error: the launch timed out and was terminated\nCompile with TORCH_USE_CUDA_DSA ...")
        return whole(encoder, crops, device)

    monkeypatch.setattr(forward, "_embed_at_once", gone)
    (run_folder / "keys" / "embed.json").unlink()
    job = bt.prepare(run_folder)
    with pytest.raises(MachineError) as error:
        job.run(only="embed")
    said = "embed: the GPU failed (CUDA error: the launch timed out and was terminated); where it does so again, [compute] device"
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)
    assert "embed 3" in how_far(run_folder)
    job.run(only="embed")
    assert len(calls) == 9  # eight volumes, of which one was tried twice
    assert same_as(tiny_run, run_folder) == set()
    assert [said["text"] for said in RunFolder(run_folder).journal.events() if said["event"] == "stopped"] == [str(error.value)]


def test_errors_are_told_apart():
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(error.value)
    with pytest.raises(MemoryError) as short:
        np.empty(2**58, np.uint8)
    assert is_out_of_memory(short.value)
    assert not is_device_lost(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_device_lost(RuntimeError("CUDA error: out of memory"))
    for said in (  # how torch puts it, when a library of the GPU finds no room for itself
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "GET was unable to find an engine to execute this computation: Unable to find a valid cuDNN algorithm to run convolution",
    ):
        assert is_out_of_memory(RuntimeError(said))
        assert not is_device_lost(RuntimeError(said))
    assert is_device_lost(RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"))
    for bug in (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), KeyError("CUDA"), StorageError("gone")):
        assert not is_out_of_memory(bug)
        assert not is_device_lost(bug)
