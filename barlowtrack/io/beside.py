"""recording.toml: what a person wrote down about a recording, beside it, once for everybody who opens it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from barlowtrack.config import RecordingConfig, load_recording
from barlowtrack.errors import ConfigError, InputError
from barlowtrack.io.location import as_url
from barlowtrack.io.regular import refuse_endless

log = logging.getLogger(__name__)

NAME = "recording.toml"


def file_beside(path: Path) -> Path | None:
    """Returns the recording.toml of a recording: in its folder, named after it, or for all of the folder it lies in.

    Raises:
        InputError: it is no file, such as a link that leads nowhere; somebody meant it to count.
    """
    if as_url(path) is not None:
        return None
    whole = Path(os.path.abspath(path))
    places = (whole / NAME, whole.parent / f"{whole.name}.{NAME}", whole.parent / NAME)
    place = next((place for place in places if os.path.lexists(place)), None)
    if place is not None and not place.is_file():
        refuse_endless(place)
        got = "a folder" if place.is_dir() else "a link that leads nowhere"
        raise InputError(f"{place}: expected a file that says what the metadata do not, got {got}")
    return place


def with_file_beside(path: Path, config: RecordingConfig) -> RecordingConfig:
    """Returns the settings over what the recording.toml of a recording says.

    Raises:
        InputError: it says something that is no setting, or out of bounds.
    """
    place = file_beside(path)
    if place is None:
        return config
    try:
        said = load_recording(place)
    except ConfigError as error:
        raise InputError(str(error).splitlines()[0]) from None
    log.info("%s: what it says counts more than the metadata of %s", place, path)
    given = {name: value for name in RecordingConfig.model_fields if (value := getattr(config, name)) is not None}
    return said.model_copy(update=given)
