"""An NWB file in the layout of the worm community: ndx-multichannel-volume, as in the published recordings of NeuroPAL worms.

The extension's description lies beside this file. Its own package holds pynwb below 3 and reads what is written here.

Reference:
    Sprague et al. 2025, "Unifying community whole-brain imaging datasets enables robust neuron identification and reveals determinants
    of neuron position in C. elegans"; Rübel et al. 2022, "The Neurodata Without Borders ecosystem for neurophysiological data science".
"""

from __future__ import annotations

import logging
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from barlowtrack.exports.content import Content
from barlowtrack.exports.formats import Options
from barlowtrack.exports.nwb_activity import add_activity
from barlowtrack.exports.nwb_extension import extension, load_extension
from barlowtrack.exports.nwb_images import add_images, refuse_images
from barlowtrack.exports.nwb_metadata import NwbMetadata, as_datetime, read_metadata

log = logging.getLogger(__name__)

UNKNOWN_START = datetime(1970, 1, 1, tzinfo=UTC)
"""NWB wants a start; a file says in its description that this is none."""


def write(content: Content, path: Path, options: Options) -> None:
    """Writes the file; of masks and images one volume is in memory at a time.

    Args:
        content: What to export.
        path: Of the file, which is not there.
        options: Whether images are copied, and what the lab tells.

    Raises:
        ConfigError: metadata that are none.
        InputError: images that the layout cannot hold.
    """
    from pynwb import NWBHDF5IO

    told = read_metadata(options.metadata, content.channel_names)
    refuse_images(content)
    load_extension()
    file = _file(content, told)
    device = file.create_device(name=told.device.name, description=told.device.description, manufacturer=told.device.manufacturer)
    volume = imaging_volume(content, told, device)
    file.add_imaging_plane(volume)
    masks = add_images(file, content, volume, device, options.progress)
    add_activity(file, content, volume, masks)
    with warnings.catch_warnings(), NWBHDF5IO(path, "w") as io:
        # channels are of the extension's kind, which a newer pynwb does not take for its own
        warnings.filterwarnings("ignore", message="ImagingVolume .* missing required value for attribute 'optical_channel'")
        io.write(file)


def _file(content: Content, told: NwbMetadata) -> Any:
    from pynwb import NWBFile

    session = told.session
    start, said = session.start_time, session.description or "Whole-brain recording of a worm."
    if start is None:
        log.warning("NWB wants to know when the recording began, and nobody told; --metadata FILE with [session] start_time says it")
        said += " The start time was not told: 1970-01-01 stands for unknown."
    if content.rate_hz is None:
        log.warning("NWB wants seconds, and the rate of volumes is unknown: time stamps count volumes; --rate HZ of 'run' says it")
        said += " The rate of volumes is unknown: time stamps count volumes, not seconds."
    if content.where:
        said += f" {content.where}"
    stages = content.about["stages"]
    file = NWBFile(
        session_description=said,
        identifier=f"{content.about['recording'].get('content', content.name)}-{stages['trace']['key']}",
        session_start_time=start or UNKNOWN_START,
        experimenter=list(session.experimenter) or None,
        lab=session.lab,
        institution=session.institution,
        experiment_description=session.experiment_description,
        related_publications=list(session.related_publications) or None,
        session_id=session.session_id,
        keywords=list(session.keywords) or None,
        notes=content.about_json,
        source_script=content.settings,
        source_script_file_name="settings.toml",
        was_generated_by=[["barlowtrack", str(content.about["version"])]],
    )
    if told.subject.subject_id:
        file.subject = _subject(told)
    return file


def _subject(told: NwbMetadata) -> Any:
    """The animal: the extension's kind where the growth stage is told, which that kind asks for."""
    from pynwb.file import Subject

    given = {name: value for name, value in told.subject.model_dump().items() if value is not None}
    if "date_of_birth" in given:
        given["date_of_birth"] = as_datetime(given["date_of_birth"])
    if "growth_stage" not in given:
        given = {name: value for name, value in given.items() if name not in ("growth_stage_time", "cultivation_temp")}
        return Subject(**given)
    return extension("CElegansSubject")(**given)


def imaging_volume(content: Content, told: NwbMetadata, device: Any) -> Any:
    """Returns the imaging volume: voxel size and channels, in the order of the data; NaN of wavelengths that nobody told."""
    roles = {content.reference: "Reference: shows where the nuclei are."}
    if content.signal is not None:
        roles[content.signal] = "Signal: shows their activity."
    channels = []
    for i, name in enumerate(content.channel_names):
        one = told.channels.get(name)
        said = [roles.get(i, ""), (one.fluorophore or "") if one else "", (one.description or "") if one else ""]
        channels.append(
            extension("OpticalChannelPlus")(
                name=_named(i, content.channel_names),
                description=" ".join(text for text in said if text) or "Not told.",
                emission_lambda=_or_nan(one.emission_nm if one else None),
                excitation_lambda=_or_nan(one.excitation_nm if one else None),
                emission_range=list(one.emission_range_nm) if one and one.emission_range_nm else [np.nan, np.nan],
                excitation_range=list(one.excitation_range_nm) if one and one.excitation_range_nm else [np.nan, np.nan],
            )
        )
    order = extension("OpticalChannelReferences")(name="order_optical_channels", channels=[channel.name for channel in channels])
    signal = told.channels.get(content.channel_names[content.signal]) if content.signal is not None else None
    return extension("ImagingVolume")(
        name="CalciumImVol",
        description="Imaging volume of the recording; grid_spacing is the voxel size along x, y, z.",
        device=device,
        location=told.location,
        excitation_lambda=_or_nan(signal.excitation_nm if signal else None),
        indicator=told.indicator,
        optical_channel=[],
        optical_channel_plus=channels,
        order_optical_channels=order,
        grid_spacing=list(content.voxel_size_um[::-1]),
        grid_spacing_unit="micrometers",
        origin_coords=[0.0, 0.0, 0.0],
        origin_coords_unit="micrometers",
        reference_frame="Centre of the first voxel" + (" of the prepared pictures." if content.where else "."),
        imaging_rate=content.rate_hz,
    )


def _named(channel: int, names: tuple[str, ...]) -> str:
    """Returns the name of a channel as it can stand in a path of HDF5; with its number where two would be one."""
    plain = [name.replace("/", "_").replace(":", "_").strip(". ") or "unnamed" for name in names]
    return plain[channel] if plain.count(plain[channel]) == 1 else f"{plain[channel]} {channel}"


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)
