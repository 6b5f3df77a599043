"""Addresses: what opens them is neither kept nor shown."""

import functools
import gc
import http.server
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr

from barlowtrack.config import RecordingConfig
from barlowtrack.errors import InputError
from barlowtrack.io import open_recording, recording_name
from barlowtrack.io.location import as_url, scrubbed, seen_from, shown

SIGNED = "https://host.org/lab/worm.zarr?sv=1&sig=s%2Fecret"
SIZED = RecordingConfig(voxel_size_um=(1, 1, 1), reference_channel=0, axes="TZYX")


@pytest.mark.parametrize(
    "address", [SIGNED, "https://me:s%2Fecret@host.org/lab/worm.zarr", "s3://me:s%2Fecret@bucket/worm.zarr?x=s%2Fecret"]
)
def test_secrets_are_not_shown(address: str) -> None:
    for said in (
        shown(address),
        shown(Path(address)),
        seen_from(Path("run"), Path(address)),
        recording_name(address),
        scrubbed(f"404 '{address}'"),
    ):
        assert "ecret" not in said
        assert "worm" in said
    assert recording_name(address) == "worm"


def test_what_opens_an_address_is_kept_for_opening() -> None:
    assert as_url(Path(SIGNED)) == SIGNED


def test_passwords_are_refused() -> None:
    with pytest.raises(InputError, match="without user and password") as error:
        open_recording("https://me:secret@host.org/worm.zarr")
    assert "secret" not in str(error.value)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A server that answers only what is signed."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith("?sig=a%2Fb"):
                super().do_GET()
            else:
                self.send_error(403)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path))) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
    with warnings.catch_warnings():  # zarr and fsspec leave their sessions to the collector, which complains of it in any later test
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signed_address_opens(tmp_path: Path, server: str, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("aiohttp", reason="aiohttp, which asks servers, is not installed")
    voxels = np.arange(1, 433, dtype="u2").reshape(3, 2, 8, 9)
    zarr.create_array(str(tmp_path / "worm.zarr"), data=voxels, chunks=(1, 2, 8, 9))
    with caplog.at_level("INFO"):
        recording = open_recording(f"{server}/worm.zarr?sig=a%2Fb", SIZED)
    np.testing.assert_array_equal(recording.read(2)[0], voxels[2])
    assert "a%2Fb" not in caplog.text
    with pytest.raises(InputError) as error:
        open_recording(f"{server}/worm.zarr?sig=wrong", SIZED)
    assert "wrong" not in str(error.value)
    assert "\n" not in str(error.value)
