"""What somebody has put into the form, and what is wrong with it: no Qt. What a value may be, Config alone says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from barlowtrack.config import Config, load, parse_value, to_toml, validate
from barlowtrack.errors import ConfigError
from barlowtrack.plugin.running.settings import Kind, Setting, read_settings

Texts = tuple[str, ...]
"""What stands in the places of a setting: one text, or of NUMBERS one each."""


class Form:
    """Settings as texts that a person edits, each judged as it comes."""

    def __init__(self) -> None:
        self.settings = {setting.name: setting for setting in read_settings()}
        self._value: dict[str, Any] = {}
        self._texts: dict[str, Texts] = {}
        self._problem: dict[str, str] = {}
        self.take(Config())

    def take(self, config: Config) -> None:
        """Puts settings in, in place of all that stood there."""
        self._problem.clear()
        for name, setting in self.settings.items():
            self._value[name] = _value_of(config, setting)
            self._texts[name] = to_texts(setting, self._value[name])

    def put(self, name: str, texts: Sequence[str]) -> str:
        """Puts texts into the places of a setting; returns what is wrong with them, in Config's words, or ""."""
        setting = self.settings[name]
        self._texts[name] = tuple(texts)
        self._problem.pop(name, None)
        try:
            self._value[name] = _value_of(validate(_nested({name: to_value(setting, texts)}), _WHERE), setting)
        except ConfigError as error:
            self._problem[name] = _beside(setting, str(error))
        return self.problem(name)

    def reset(self, name: str) -> None:
        """Puts the default in."""
        self.put(name, to_texts(self.settings[name], self.settings[name].default))

    def texts(self, name: str) -> Texts:
        """Returns what stands in the places of a setting."""
        return self._texts[name]

    def problem(self, name: str) -> str:
        """Returns what is wrong with a setting; "" where nothing is."""
        return self._problem.get(name, "")

    def is_changed(self, name: str) -> bool:
        """Says whether a setting is another than its default, or wrong."""
        return name in self._problem or self._value[name] != self.settings[name].default

    @property
    def changed(self) -> list[str]:
        """Names of the settings that are not as they come."""
        return [name for name in self.settings if self.is_changed(name)]

    @property
    def problems(self) -> list[str]:
        """A line for every setting that is wrong."""
        return [f"{name}: {said}" for name, said in self._problem.items()]

    def config(self) -> Config:
        """Returns the settings.

        Raises:
            ConfigError: some are wrong; a line each.
        """
        if self._problem:
            raise ConfigError("\n".join(self.problems))
        return validate(_nested(self._value), _WHERE)

    def read(self, path: Path) -> None:
        """Puts the settings of a TOML file in; what it does not name is as it comes.

        Raises:
            ConfigError: it is none, or a setting of it is wrong; then nothing has changed.
        """
        self.take(load(path))

    def to_toml(self) -> str:
        """Returns the settings as a file, each explained.

        Raises:
            ConfigError: some are wrong.
        """
        return to_toml(self.config(), commented=True)

    def found(self, search: str) -> Iterator[Setting]:
        """Yields the settings that somebody looks for; all where nothing is said."""
        return (setting for setting in self.settings.values() if setting.matches(search))


_WHERE = "settings"


def to_value(setting: Setting, texts: Sequence[str]) -> Any:
    """Returns what texts mean, right or wrong: Config judges it."""
    texts = [text.strip() for text in texts]
    if setting.optional and not any(texts):
        return None
    match setting.kind:
        case Kind.SWITCH:
            return texts[0] == "true"
        case Kind.NUMBERS:
            return [parse_value(text) for text in texts]
        case Kind.LISTED:
            parts = [part.strip() for part in texts[0].split(",") if part.strip()]
            return parts if setting.texts_only else [parse_value(part) for part in parts]
        case Kind.NUMBER:
            return parse_value(texts[0])
        case _:
            return int(texts[0]) if setting.indexed and texts[0].isdecimal() else texts[0]


def to_texts(setting: Setting, value: Any) -> Texts:
    """Returns what stands in the places of a setting of some value."""
    if setting.kind is Kind.NUMBERS:
        return ("",) * setting.count if value is None else tuple(_text(one) for one in value)
    if setting.kind is Kind.LISTED:
        return (", ".join(_text(one) for one in value or ()),)
    return (_text(value),)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _value_of(config: Config, setting: Setting) -> Any:
    return getattr(getattr(config, setting.section) if setting.section else config, setting.key)


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turns {"track.position": True, "seed": 0} into sections."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        section, _, key = name.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[key] = value
    return nested


def _beside(setting: Setting, said: str) -> str:
    """Leaves out which setting it is, where the text stands beside it: "settings: [train] alpha: expected ..."."""
    title = re.escape(f"[{setting.section}] {setting.key}" if setting.section else setting.key)
    return "; ".join(re.sub(rf"^{_WHERE}: {title}(, |: )", "", line) for line in said.splitlines())
