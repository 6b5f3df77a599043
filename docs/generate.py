"""Writes the reference pages that are made from the code: commands, settings, tables, stages, exports."""

from __future__ import annotations

from pathlib import Path

import click

from barlowtrack import config
from barlowtrack.cli.main import cli
from barlowtrack.exports import FORMATS
from barlowtrack.exports.content import COLUMNS
from barlowtrack.imports import LAYOUTS
from barlowtrack.io.columns import TABLES
from barlowtrack.io.readers import READERS
from barlowtrack.io.readers.names import KEYS, WORDS
from barlowtrack.pipeline import STAGES
from barlowtrack.storage import ARTEFACTS


def write(folder: Path) -> None:
    """Writes every generated page into the folder; a page that is right already is not touched."""
    made = (commands, settings, tables, stages, formats, exports)
    pages = {f"{page.__name__}.md": page() for page in made}
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def commands() -> str:
    """Returns the page of the command line: the help of every verb."""
    parts = ["# Commands\n", _help("barlowtrack", cli)]
    context = click.Context(cli, info_name="barlowtrack")
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        parts += [f"## {name}\n", _help(f"barlowtrack {name}", command)]
    return "\n".join(parts)


def settings() -> str:
    """Returns the page of settings: a table a section."""
    seed = config.Config.model_fields["seed"]
    parts = [
        "# Settings",
        "Written in TOML, one section a stage; `barlowtrack config --default` prints this page as a file to start from.",
        f"`seed` (default {seed.default}): {seed.description}",
    ]
    for name, section in config.sections():
        rows = ["| setting | default | meaning |", "|---|---|---|"]
        for key, info in section.model_fields.items():
            rows.append(f"| `{key}` | `{_default(info.default)}` | {info.description} |")
        parts += [f"## {name}", (section.__doc__ or "").splitlines()[0], "\n".join(rows)]
    return "\n\n".join(parts) + "\n"


def tables() -> str:
    """Returns the page of tables: columns and units."""
    parts = [
        "# Tables",
        "Parquet, and CSV with `--csv`. Names and units are constant; t counts volumes from 0, positions are centroids in um.",
    ]
    for table, columns in TABLES.items():
        rows = ["| column | unit | meaning |", "|---|---|---|"]
        rows += [f"| `{name}` | {unit or '–'} | {sentence} |" for name, (unit, sentence) in columns.items()]
        parts += [f"## {table}", "\n".join(rows)]
    return "\n\n".join(parts) + "\n"


def stages() -> str:
    """Returns the page of stages: the table itself, and the run folder."""
    rows = ["| stage | does | needs | makes |", "|---|---|---|---|"]
    rows += [f"| `{s.name}` | {s.does} | {', '.join(s.needs)} | {', '.join(s.makes)} |" for s in STAGES]
    files = ["| artefact | file | made by |", "|---|---|---|"]
    files += [f"| {name} | `{ARTEFACTS[name]}` | `{s.name}` |" for s in STAGES for name in s.makes]
    amended = [
        f"`{s.name}` leaves the files of {', '.join(s.amends)} as they were made, and keeps what people added and divided beside them, in "
        f"{', '.join(f'`{ARTEFACTS[name]}`' for name in s.makes)}. The stages after it, `barlowtrack.Run`, every verb, and tables written "
        "with `--csv` show them with these changes; the stages before it do not. Whoever reads the files themselves puts both together."
        for s in STAGES
        if s.amends
    ]
    parts = ["# Stages and the run folder", "\n".join(rows), "## What lies in a run folder", "\n".join(files), *amended]
    return "\n\n".join(parts) + "\n"


def formats() -> str:
    """Returns the page of formats: the table that open_recording walks, and what names of files are understood to say."""
    rows = ["| format | what is read | recognised by | needs | `--dataset` names |", "|---|---|---|---|---|"]
    for reader in READERS:
        signs = [f"a folder with {reader.looks}"] if reader.looks else []
        signs += [", ".join(f"`{suffix}`" for suffix in reader.suffixes)] if reader.suffixes else []
        needs = f"`barlowtrack[{reader.extra}]`" if reader.extra else "–"
        needs += "; on a server: `barlowtrack[remote]`" if reader.afar else ""
        rows.append(f"| {reader.name} | {reader.does} | {'; '.join(signs)} | {needs} | {reader.dataset or '–'} |")
    keys = ["| counts | letters before the number |", "|---|---|"]
    keys += [f"| {WORDS[axis]} | {', '.join(f'`{key}`' for key in sorted(letters))} |" for axis, letters in KEYS.items()]
    parts = [
        "# Formats",
        "The first row that fits reads. Recognising looks at names alone. "
        "[How each layout is opened](../howto/own_recording.md), with examples.",
        "\n".join(rows),
        '`pip install "barlowtrack[readers]"` brings the extras of all rows.',
        "## Names of files in a folder of TIFFs",
        "Upper and lower case count alike. A number that varies without such letters counts times, if it is the only one. Words that "
        "name a channel (`red`, `GFP`, `mCherry` ...) and wavelengths of lasers (`488`, `561`) count channels.",
        "\n".join(keys),
    ]
    return "\n\n".join(parts) + "\n"


def exports() -> str:
    """Returns the page of exports: formats, what each cannot hold, columns of tables; and the layouts that identities are read from."""
    rows = ["| `--to` | writes | cannot hold | images | extra |", "|---|---|---|---|---|"]
    for row in FORMATS:
        images, extra = "with `--images`" if row.images else "no", f"`{row.extra}`" if row.extra else "-"
        rows.append(f"| `{row.name}` | {row.writes} | {row.loses} | {images} | {extra} |")
    read = ["| layout | what is read |", "|---|---|", *(f"| {row.name} | {row.reads} |" for row in LAYOUTS)]
    parts = ["# Exports and imports", "\n".join(rows), "## Identities that can be read", "\n".join(read), "## Columns of exported tables"]
    for table, columns in COLUMNS.items():
        lines = ["| column | unit | meaning |", "|---|---|---|"]
        lines += [f"| `{name}` | {unit or '-'} | {said} |" for name, (unit, said) in columns.items()]
        parts += [f"### {table}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _help(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name, max_content_width=110)
    return f"```text\n{command.get_help(context)}\n```\n"


def _default(value: object) -> str:
    return "empty" if value is None else str(list(value) if isinstance(value, tuple) else value)


if __name__ == "__main__":
    write(Path(__file__).parent / "reference")
