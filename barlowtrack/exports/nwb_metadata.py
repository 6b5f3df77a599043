"""What an NWB file wants to know and no recording says: the session, the animal, the microscope, wavelengths."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from barlowtrack.config import load_section
from barlowtrack.errors import ConfigError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SessionMetadata(_Part):
    """The session."""

    start_time: AwareDatetime | None = Field(None, description="When the first volume was taken, with its zone: 2024-05-03T14:20:00+02:00.")
    description: str = Field("", description="What was done.")
    experimenter: tuple[str, ...] = Field((), description='As "Last, First".')
    lab: str | None = Field(None, description="Laboratory.")
    institution: str | None = Field(None, description="University or institute.")
    experiment_description: str | None = Field(None, description="What the experiment asks.")
    related_publications: tuple[str, ...] = Field((), description="DOIs.")
    session_id: str | None = Field(None, description="What the lab calls it.")
    keywords: tuple[str, ...] = Field((), description="Words to be found by.")


class SubjectMetadata(_Part):
    """The animal; without subject_id none is written."""

    subject_id: str | None = Field(None, description="What the lab calls the animal.")
    description: str | None = Field(None, description="Of the animal.")
    species: str = Field("Caenorhabditis elegans", description="In Latin, or a link to the NCBI taxonomy.")
    sex: str | None = Field(None, pattern="^[MFUO]$|^XX$|^XO$", description="XX: hermaphrodite; XO: male; also O, M, F, U.")
    age: str | None = Field(None, description="ISO 8601 duration, such as P3D.")
    date_of_birth: datetime | None = Field(None, description="Instead of age.")
    strain: str | None = Field(None, description="Such as OH16230.")
    genotype: str | None = Field(None, description="Of the animal.")
    growth_stage: str | None = Field(None, description="L1 to L4, YA, OA, dauer.")
    growth_stage_time: str | None = Field(None, description="Time in that stage, an ISO 8601 duration.")
    cultivation_temp: float | None = Field(None, description="In degrees Celsius.")


class DeviceMetadata(_Part):
    """The microscope."""

    name: str = Field("Microscope", min_length=1, description="Of the microscope.")
    description: str = Field("Not told.", description="Objective, camera, kind of microscopy.")
    manufacturer: str | None = Field(None, description="Who built it.")


class ChannelMetadata(_Part):
    """One channel, by the name that the recording gives it."""

    fluorophore: str | None = Field(None, description="What shines, such as GCaMP6s.")
    description: str | None = Field(None, description="Filter.")
    excitation_nm: float | None = Field(None, gt=0, description="Wavelength of the laser.")
    emission_nm: float | None = Field(None, gt=0, description="Middle of the filter.")
    excitation_range_nm: tuple[float, float] | None = Field(None, description="From, to.")
    emission_range_nm: tuple[float, float] | None = Field(None, description="From, to.")


class NwbMetadata(_Part):
    """All of it."""

    session: SessionMetadata = SessionMetadata()
    subject: SubjectMetadata = SubjectMetadata()
    device: DeviceMetadata = DeviceMetadata()
    location: str = Field("head", description="What was imaged.")
    indicator: str = Field("unknown", description="Calcium indicator.")
    channels: dict[str, ChannelMetadata] = Field({}, description="By the names of the recording.")


def read_metadata(path: Path | None, channel_names: tuple[str, ...]) -> NwbMetadata:
    """Reads the TOML file; nothing is told where none is given.

    Raises:
        ConfigError: a file that is no TOML, a key that does not exist, a wrong value, or a channel that the recording does not have.
    """
    told = load_section(NwbMetadata, path)
    for name in told.channels:
        if name not in channel_names:
            raise ConfigError(f"{path}: [channels.{name}]: expected a channel of the recording, {', '.join(channel_names)}, got {name}")
    return told


def as_datetime(day: date | datetime) -> datetime:
    """Returns a moment with a zone; UTC where none was given."""
    from datetime import UTC

    moment = day if isinstance(day, datetime) else datetime(day.year, day.month, day.day)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
