"""What the docs show works when typed as printed: every command is run, every TOML block is read, every Python block is executed."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from barlowtrack import config
from tests import nursery
from tests.conftest import ROOT, SAMPLE

PAGES = sorted([ROOT / "README.md", SAMPLE / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
GENERATED = {"commands.md", "settings.md", "stages.md", "tables.md", "formats.md", "exports.md"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)


def blocks(kind: str) -> list:
    found = []
    for page in PAGES:
        if not (page.parent.name == "reference" and page.name in GENERATED) and "_build" not in page.parts:
            found += [
                pytest.param(text, id=f"{page.stem}-{i}") for i, (name, text) in enumerate(FENCE.findall(page.read_text())) if name == kind
            ]
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder that looks like the project's to whoever types a command there."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(SAMPLE, folder / "sample_data")
    shutil.copytree(ROOT / "pipelines", folder / "pipelines")
    return SimpleNamespace(folder=folder, reads="")


@pytest.mark.slow
@pytest.mark.xdist_group("docs")
@pytest.mark.parametrize("text", blocks("bash"))
def test_every_command_works(place, text, request):
    page = request.node.callspec.id.rsplit("-", 1)[0]
    if page != place.reads:  # whoever reads another page has not given the answers of the one before
        place.reads = page
        (place.folder / "sample_data" / "recording.barlowtrack" / "corrections.csv").unlink(missing_ok=True)
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if words[0] == "make":
            subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, check=True, capture_output=True)
            continue
        if words[0] == "python":
            assert (ROOT / words[1]).is_file(), line
            subprocess.run([sys.executable, str(ROOT / words[1]), "--help"], cwd=place.folder, check=True, capture_output=True)
            continue
        assert words[0] in ("barlowtrack", ".venv/bin/barlowtrack"), f"this test does not know how to try: {line}"
        done = nursery.typed(*words[1:], cwd=place.folder)
        assert done.returncode == 0, f"{line}\n{done.stderr}"


@pytest.mark.parametrize("text", blocks("toml"))
def test_every_toml_block_is_a_setting(tmp_path, text):
    (tmp_path / "page.toml").write_text(text)
    config.load(tmp_path / "page.toml")


@pytest.mark.slow
@pytest.mark.xdist_group("docs")
@pytest.mark.parametrize("text", blocks("python"))
def test_every_python_block_runs(place, text):
    subprocess.run([sys.executable, "-c", text], cwd=place.folder, check=True)


def test_there_is_something_to_try():
    assert len(blocks("bash")) > 5
    assert len(blocks("toml")) > 0
    assert len(blocks("python")) > 1


def test_no_block_is_of_a_kind_that_nobody_tries():
    known = {"bash", "toml", "python", "text", "", "console"}
    for page in PAGES:
        if "_build" not in page.parts:
            kinds = {name for name, _ in FENCE.findall(page.read_text())}
            assert kinds <= known, page


def test_generated_pages_are_made_from_the_code(tmp_path):
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import generate
    finally:
        sys.path.pop(0)
    generate.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == GENERATED
    assert "## track" in (tmp_path / "commands.md").read_text()
    for name, section in config.sections():
        for key in section.model_fields:
            assert f"| `{key}` |" in (tmp_path / "settings.md").read_text(), f"{name}.{key}"


def test_every_known_failure_names_tests_that_exist():
    lines = (ROOT / "docs" / "explanation" / "known_failures.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][1:]
    assert len(rows) > 20
    for failure, _, held_by in rows:
        named = re.findall(r"`([^`]+)::(\w+)`", held_by)
        assert named or held_by == "not yet", failure
        for file, name in named:
            assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.M), f"{file}::{name}"


def test_pipelines_are_settings():
    recipes = sorted(Path(ROOT / "pipelines").glob("*.toml"))
    assert recipes
    for recipe in recipes:
        config.load(recipe)


def test_the_published_training_begins_with_nothing_and_the_other_recipe_with_what_comes_along():
    published, adapt = (config.load(ROOT / "pipelines" / f"{name}.toml") for name in ("published", "adapt"))
    assert (published.train.mode, published.train.objective, published.crop.size_um) == ("scratch", "barlow-object", (12.0, 16.0, 16.0))
    assert (published.train.n_epochs, published.train.rounds) == (40, 0)
    assert adapt.train.mode == "fine-tune"
    assert adapt.train.n_epochs == 2 * adapt.train.rounds
    assert adapt.crop == config.Config().crop  # else the encoder would refuse the crops


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(ROOT / "docs"), str(tmp_path / "html")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html" / "reference" / "settings.html").is_file()
