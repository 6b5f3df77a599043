"""What napari is told of the plugin is there."""

import warnings
from importlib import import_module
from pathlib import Path

import pytest

import barlowtrack.plugin


def test_every_command_of_the_manifest_is_there(qt):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library, while it is imported
        from npe2 import PluginManifest
    told = PluginManifest.from_file(Path(barlowtrack.plugin.__file__).parent / "napari.yaml").contributions
    assert told.commands
    for command in told.commands:
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(import_module(module), name)), command.id
    assert {widget.command for widget in told.widgets or ()} <= {command.id for command in told.commands}


@pytest.mark.parametrize("title", ["Run", "Compare"])
def test_panels_are_offered(title):
    assert f"display_name: {title}\n" in (Path(barlowtrack.plugin.__file__).parent / "napari.yaml").read_text()
