"""Addresses: what opens them is neither kept nor shown."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr

from barlowtrack.config import RecordingConfig
from barlowtrack.errors import InputError
from barlowtrack.io import open_recording, recording_name
from barlowtrack.io.location import as_url, scrubbed, seen_from, shown
from tests.servers import signed_server

SIGNED = "https://host.org/lab/worm.zarr?sv=1&sig=s%2Fecret"
SIZED = RecordingConfig(voxel_size_um=(1, 1, 1), reference_channel=0, axes="TZYX")


@pytest.mark.parametrize(
    "address",
    [
        SIGNED,
        "https://me:s%2Fecret@host.org/lab/worm.zarr",
        "s3://me:s%2Fecret@bucket/worm.zarr?x=s%2Fecret",
        *(f"{scheme}://bob:secret@host.org/worm.zarr?sig=secret" for scheme in ("HTTPS", "Http", "ftp", "sftp", "abfs", "dropbox+x")),
        "https://bob:a/secret/ecret@host.org/worm.zarr",
        "https://bob@lab.org:my/secret@host.org/worm.zarr",
        "https://bob:s?ecret/@host.org/worm.zarr?sig=secret",
    ],
)
def test_secrets_are_not_shown(address: str) -> None:
    for said in (
        shown(address),
        shown(Path(address)),
        seen_from(Path("run"), Path(address)),
        recording_name(address),
        scrubbed(f"404 '{address}'"),
        scrubbed(f"{Path(address)}: not there"),
        scrubbed(f"open {address}"),
    ):
        assert "ecret" not in said
        assert "worm" in said
    assert recording_name(address) == "worm"


@pytest.mark.parametrize(
    "address", ["http://lab.org:8080/data@v1/worm.zarr", "http://[::1]:80/a@b/worm.zarr", "https://host.org/x@y:z/worm.zarr", "C:/me:a@b"]
)
def test_what_only_looks_like_a_password_is_shown(address: str) -> None:
    assert shown(address) == address == scrubbed(address)
    assert "worm" not in address or recording_name(address) == "worm"


@pytest.mark.parametrize("scheme", ["ftp", "sftp", "abfs", "file"])
def test_servers_that_are_not_read_are_named(scheme: str) -> None:
    with pytest.raises(InputError, match=rf"read \(http://, https://, s3://, gs://\), got {scheme}://"):
        open_recording(f"{scheme}://host.org/worm.zarr")


def test_what_is_said_of_an_address_is_not_cut_off() -> None:
    said = f"{shown(SIGNED)}: not ready; see /data/what?.txt and me@host.org"
    assert scrubbed(said) == said


def test_what_opens_an_address_is_kept_for_opening() -> None:
    assert as_url(Path(SIGNED)) == SIGNED
    assert as_url(SIGNED.replace("https", "HTTPS")) == SIGNED


def test_passwords_are_refused() -> None:
    with pytest.raises(InputError, match="without user and password") as error:
        open_recording("https://me:secret@host.org/worm.zarr")
    assert "secret" not in str(error.value)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with signed_server(tmp_path, "sig=a%2Fb") as address:
        yield address


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
