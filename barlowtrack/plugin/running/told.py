"""Errors and advice that speak of the command line, in the words of the panel. No Qt."""

from __future__ import annotations

import re
from collections.abc import Mapping

from barlowtrack.plugin.running.settings import Setting

_NAMED = re.compile(r"\[(\w+)\] (\w+)")
_OPTION = re.compile(r"--[a-z][a-z-]*(?: [A-Z]+)*,? or (?:as )?(?=\[)")
_OUT = re.compile(r"give (?:another )?--out\b")


def in_panel_words(text: str, settings: Mapping[str, Setting]) -> tuple[str, str]:
    """Says where in the panel one finds a setting that a text names.

    Args:
        text: Such as "give it as --voxel-size Z Y X, or as [recording] voxel_size_um".
        settings: Those of the form, by name.

    Returns:
        The text, and the name of the first setting that it speaks of; "" where of none.
    """
    known = [f"{section}.{key}" for section, key in _NAMED.findall(text) if f"{section}.{key}" in settings]
    if known:
        text = _OPTION.sub("", text)

    def called(found: re.Match[str]) -> str:
        setting = settings.get(".".join(found.groups()))
        return f"'{setting.title}' (Settings, {setting.section})" if setting is not None else found[0]

    return _OUT.sub("choose another folder in 'Results in'", _NAMED.sub(called, text)), known[0] if known else ""
