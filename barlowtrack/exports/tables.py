"""Tables, one row a thing, as CSV or parquet; described by a Data Package, which other programs read too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from barlowtrack.exports.content import COLUMNS, Content, corrections_table, detections_table
from barlowtrack.exports.formats import Options
from barlowtrack.exports.readme import columns_page, readme
from barlowtrack.io.activity import swaps_to_frame, traces_to_frame
from barlowtrack.io.tables import harmless, volumes_to_frame

_SAID = {
    "detections": "a row for every nucleus: where, who, how surely, how bright",
    "neurons": "a row for every neuron",
    "traces": "a row for every neuron in every volume: activity, and where the value comes from",
    "candidates": "who every nucleus may be, likeliest first",
    "absences": "neurons that a volume does not show",
    "volumes": "how every volume looks",
    "swaps": "stretches in which two neurons seem to be taken for each other",
    "corrections": "what people said against it",
}
_TYPES = {"i": "integer", "u": "integer", "f": "number", "b": "boolean"}


def tables_of(content: Content) -> dict[str, pd.DataFrame]:
    """Returns all tables of a run by name; their columns are among those of COLUMNS."""
    return {
        "detections": detections_table(content),
        "neurons": content.neurons,
        "traces": traces_to_frame(content.traces, content.names),
        "candidates": content.candidates,
        "absences": content.absences,
        "volumes": volumes_to_frame(content.volumes),
        "swaps": swaps_to_frame(content.swaps),
        "corrections": corrections_table(content.corrections),
    }


def write(content: Content, path: Path, options: Options) -> None:
    """Writes a folder of tables.

    Args:
        content: What to export.
        path: Of the folder, which is not there.
        options: `to` is csv or parquet.
    """
    path.mkdir()
    ending = options.to
    tables = tables_of(content)
    for name, frame in tables.items():
        write_csv(frame, path / f"{name}.csv") if ending == "csv" else _write_parquet(name, frame, path / f"{name}.parquet", content)
    files = {f"{name}.{ending}": _SAID[name] for name in tables}
    package = _package(content, tables, ending)
    (path / "datapackage.json").write_text(json.dumps(package, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page = readme(content, ending, {**files, "datapackage.json": "the same, with columns, units and types, for programs"})
    page += "\n## Columns\n\n" + columns_page({f"{name}.{ending}": (name, list(frame.columns)) for name, frame in tables.items()})
    (path / "README.md").write_text(page, encoding="utf-8")


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Writes a table as CSV; a text that a spreadsheet would compute stands behind an apostrophe."""
    texts = {name: [harmless(text) for text in frame[name]] for name in frame.columns if isinstance(frame[name].dtype, pd.StringDtype)}
    frame.assign(**texts).to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def _write_parquet(name: str, frame: pd.DataFrame, path: Path, content: Content) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata({"barlowtrack": content.about_json})
    said = [field.with_metadata(dict(zip(("unit", "meaning"), COLUMNS[name][field.name], strict=True))) for field in table.schema]
    pq.write_table(table.cast(pa.schema(said, metadata=table.schema.metadata)), path, compression="zstd")


def _package(content: Content, tables: dict[str, pd.DataFrame], ending: str) -> dict[str, Any]:
    """Describes the tables as a Data Package (https://specs.frictionlessdata.io/tabular-data-package)."""
    resources = []
    for name, frame in tables.items():
        fields = [
            {"name": column, "type": _TYPES.get(frame[column].dtype.kind, "string"), "unit": unit, "description": meaning}
            for column, (unit, meaning) in ((column, COLUMNS[name][column]) for column in frame.columns)
        ]
        schema = {"fields": fields, "missingValues": [""]}
        resources.append({"name": name, "path": f"{name}.{ending}", "format": ending, "description": _SAID[name], "schema": schema})
    slug = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in content.name.lower()) or "recording"
    return {"name": slug, "title": content.name, "profile": "data-package", "resources": resources}
