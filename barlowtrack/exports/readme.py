"""The page that lies in an exported folder: what is what, in which unit, and what is not there."""

from __future__ import annotations

from collections.abc import Mapping

from barlowtrack.exports.content import COLUMNS, Content
from barlowtrack.exports.formats import MARK, format_named

_CONVENTIONS = """\
- Volumes (`t`), neurons and voxels count from 0. The centre of the first voxel lies at 0; positions are centroids, in um (`_um`) or voxels
  (`_vox`).
- A neuron keeps its number in every volume. A nucleus without a number belongs to no neuron that is known.
- An empty cell, or NaN, means that there is no value: the neuron was not found there, or nobody knows. It is never 0.
- A probability is that the identity is right, as the run itself estimates it.
"""


def readme(content: Content, to: str, files: Mapping[str, str]) -> str:
    """Returns the page.

    Args:
        content: What was exported.
        to: Format.
        files: Name of each file -> what it holds, in a sentence.
    """
    row = format_named(to)
    listed = [f"- `{name}`: {said}" for name, said in files.items()]
    size = " x ".join(f"{value:g}" for value in content.voxel_size_um)
    rate = "unknown" if content.rate_hz is None else f"{content.rate_hz:g} volumes a second"
    lines = [
        f"# {_plain(content.name)}",
        f"{content.n_volumes} volumes, {len(content.detections)} nuclei, {content.n_neurons} neurons; voxels of {size} um (z y x); {rate}.",
        f"Exported by barlowtrack {content.about['version']}. Recording, settings and keys of every stage: `{MARK}`.",
        "## Files",
        "\n".join(listed),
        "## How to read it",
        _CONVENTIONS.strip() + (f"\n- {content.where}" if content.where else ""),
        "## What is not here",
        row.loses,
    ]
    return "\n\n".join(lines) + "\n"


def columns_page(tables: Mapping[str, tuple[str, list[str]]]) -> str:
    """Returns the columns of tables, by file: unit and meaning; a file has the name of its table, and its columns."""
    parts = []
    for file, (table, columns) in tables.items():
        rows = ["| column | unit | meaning |", "|---|---|---|"]
        rows += [f"| `{name}` | {unit or '-'} | {said} |" for name, (unit, said) in ((name, COLUMNS[table][name]) for name in columns)]
        parts += [f"### {file}", "\n".join(rows)]
    return "\n\n".join(parts) + "\n"


def _plain(text: str) -> str:
    """A name that no Markdown is made of."""
    return "".join(sign if sign.isalnum() or sign in " ._-" else "_" for sign in text)
