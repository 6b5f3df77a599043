"""The house as docs/explanation/architecture.md draws it."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from barlowtrack.config import Config
from barlowtrack.pipeline import GIVEN, MAKER, STAGES
from barlowtrack.storage import ARTEFACTS

ROOT = Path(__file__).parents[2]
ASIDE = {"config", "compute", "seed", "settings", "progress", "start", "stop", "checkpoint"}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_the_table_agrees_with_the_signature(stage):
    parameters = inspect.signature(stage.function()).parameters.values()
    positional = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
    aside = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert positional == stage.needs
    assert aside <= ASIDE
    assert ("seed" in aside or "settings" in aside) == stage.seeded
    for name in stage.sections:
        section, _, setting = name.partition(".")
        assert setting == "" or setting in Config.model_fields[section].annotation.model_fields


def test_every_setting_belongs_to_the_key_of_the_stage_that_reads_it():
    """A setting of a stage's section that no key knows would change nothing when it is changed."""
    keyed = {name for stage in STAGES if stage.name != "report" for name in stage.sections}
    for stage in STAGES:
        section = stage.sections[0].partition(".")[0]
        settings = Config.model_fields[section].annotation.model_fields
        assert section in keyed | {"report"} or {f"{section}.{setting}" for setting in settings} <= keyed


def test_every_need_is_made_before_it_is_needed():
    made = set(GIVEN)
    for stage in STAGES:
        assert set(stage.needs) <= made, stage.name
        made |= set(stage.makes)
    assert set(MAKER) == set(ARTEFACTS) == made - set(GIVEN)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["export", "--help"], ["--version"]])
def test_help_imports_nothing_slow(arguments):
    code = f"import sys; from barlowtrack.cli.main import cli; cli({arguments}, standalone_mode=False); print('modules:', *sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    slow = {"numpy", "torch", "pandas", "pydantic", "zarr", "scipy", "matplotlib", "stardist", "napari"}
    assert not slow & set(said.rpartition("modules:")[2].split())


@pytest.mark.parametrize("name", ["barlowtrack.showing.thumbnails", "barlowtrack.plugin.layers.opened", "barlowtrack.plugin.solution"])
def test_what_a_window_waits_for_does_not_load_torch(name):
    """Seconds of its import, beside a window, let everything in it stumble."""
    said = subprocess.run(
        [sys.executable, "-c", f"import sys, {name}; print('modules:', *sys.modules)"], capture_output=True, text=True, check=True
    )
    assert "torch" not in said.stdout.rpartition("modules:")[2].split()


def test_napari_and_qt_stay_in_the_plugin():
    for path in (ROOT / "barlowtrack").rglob("*.py"):
        if "plugin" not in path.parts:
            assert not re.search(r"^\s*(import|from) (napari|qtpy|PyQt\w*|PySide\w*)", path.read_text(), re.M), path


def test_no_pickle_is_ever_read():
    for path in (ROOT / "barlowtrack").rglob("*.py"):
        text = path.read_text()
        assert not re.search(
            r"\bimport pickle|from pickle|allow_pickle=True|(?<!safetensors\.)torch\.load\(|joblib\.load|read_pickle", text
        ), path


def test_no_machine_path_in_what_we_publish():
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".cfg", ".yaml", ".yml", ".html", ".json"} and path.exists():
            assert not re.search(r"/(home|work|root)/\w", path.read_text(encoding="utf-8")), name


def test_nothing_that_computes_results_knows_the_truth():
    known = re.compile(r"\bTruth\b|read_truth|barlowtrack\.(evaluate|synthetic)|import (evaluate|synthetic)")
    for room in ("stages", "activity", "detect", "embedding", "identity", "nn", "storage"):
        for path in (ROOT / "barlowtrack" / room).rglob("*.py"):
            assert not known.search(path.read_text()), path
