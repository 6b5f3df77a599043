"""The Run panel in a real window: the form, a run that is stopped and goes on, and a window that is closed over it."""

import os

import pytest

from barlowtrack import config
from barlowtrack.pipeline import STAGES
from barlowtrack.plugin.solution import Solution
from tests.conftest import FAST
from tests.integration.test_kill_and_resume import fingerprints

BEFORE_TRAIN = [stage.name for stage in STAGES].index("train")


@pytest.fixture
def panel(viewer, qt):
    from barlowtrack.plugin.running.panel import Run

    made = Run(viewer)
    viewer.window.add_dock_widget(made, area="right", name="Run")
    qt.spin()
    return made


def typed(line, text):
    """As with a keyboard: what stood there is replaced."""
    from qtpy.QtTest import QTest

    line.selectAll()
    QTest.keyClicks(line, text)


def test_the_form_says_what_is_wrong_and_what_will_happen(panel, viewer, qt, tiny_worm, tiny_run, tmp_path):
    from barlowtrack.plugin.attached import session_of

    assert not panel.start.isEnabled()
    assert "Choose a recording" in panel.headline.text()
    panel.place.choose(tiny_worm / "recording")
    assert panel.place.folder.placeholderText() == str(tiny_worm / "recording.barlowtrack")
    qt.wait(panel.start.isEnabled, what="a plan")
    assert panel.headline.text().startswith(f"Start will run all {len(STAGES)} stages")

    alpha = panel.form_view.field("train.alpha")
    typed(alpha.places[0], "2")
    assert alpha.problem.text() == "input should be less than or equal to 1, got 2"
    assert alpha.problem.isVisibleTo(panel)
    assert not panel.start.isEnabled()
    assert panel.headline.text() == "Cannot start: train.alpha: input should be less than or equal to 1, got 2"
    assert panel.form_view.parts["train"].head.text() == "train (1 changed, 1 wrong)"
    typed(alpha.places[0], "0.5")
    assert (alpha.problem.text(), panel.form.config().train.alpha) == ("", 0.5)
    alpha.back.click()
    assert (panel.form.changed, alpha.places[0].text(), alpha.back.isVisibleTo(panel)) == ([], "0.67", False)
    panel.form_view.field("track.position").places[0].click()
    panel.form_view.field("train.mode").places[0].setCurrentText("scratch")
    assert panel.form.changed == ["train.mode", "track.position"]
    qt.wait(panel.start.isEnabled, what="another plan")

    panel.form_view.search.setText("smallest radius")
    shown = [name for name, part in panel.form_view.parts.items() if part.isVisibleTo(panel)]
    assert shown == ["segment"]
    fields = panel.form_view.parts["segment"].fields
    assert [name for name, field in fields.items() if field.isVisibleTo(panel)] == ["segment.radius_um"]
    panel.form_view.search.setText("")
    panel.form_view.save_file(tmp_path / "mine.toml")
    assert config.load(tmp_path / "mine.toml") == panel.form.config()

    panel.place.choose(tiny_worm / "recording", tiny_run.path)  # done already, with settings of its own
    assert panel.form.changed == ["train.mode", "track.position"]
    panel.theirs.click()
    assert panel.form.config() == config.load(None, FAST)
    qt.wait(panel.start.isEnabled, what="the plan of the finished run")
    assert panel.headline.text().startswith("Nothing to do")
    panel.form_view.put("trace.smooth", ("2",))
    qt.wait(panel.start.isEnabled, what="the plan with another setting")
    assert panel.headline.text().startswith("Start will run trace, report;")
    assert panel.stages.reasons["trace"].text() == "trace.smooth 0.0 -> 2.0"
    panel.check.click()
    qt.wait(lambda: panel.findings.count() > 1, what="the findings")
    assert any("resolve nuclei" in panel.findings.item(i).text() for i in range(panel.findings.count()))
    panel.place.choose("")
    session_of(viewer).take(Solution.read(tiny_run.path))
    assert panel.place.target == str(tiny_run.path)  # what is opened is offered
    panel.place.choose(tmp_path / "nowhere")
    qt.wait(lambda: "nowhere" in panel.headline.text(), what="what is wrong")
    assert not panel.start.isEnabled()


def test_a_setting_that_is_wanted_is_named_as_the_form_names_it_and_comes_into_sight(panel, viewer, qt, tmp_path):
    import numpy as np
    import tifffile
    from qtpy.QtGui import QColor
    from qtpy.QtWidgets import QDockWidget

    from barlowtrack.findings import Finding

    (tmp_path / "worm").mkdir()
    for t in range(2):
        tifffile.imwrite(tmp_path / "worm" / f"{t}.tif", np.zeros((4, 8, 8), np.uint16), photometric="minisblack", metadata={"axes": "ZYX"})
    panel.place.choose(tmp_path / "worm")
    qt.wait(lambda: "voxel" in panel.headline.text(), what="what is wanting")
    assert "'voxel size (um)' (Settings, recording)" in panel.headline.text()
    assert "--" not in panel.headline.text()
    size = panel.form_view.parts["recording"].fields["recording.voxel_size_um"]
    qt.wait(lambda: not size.visibleRegion().isEmpty(), what="the field")
    panel.tabs.setCurrentWidget(panel.findings)
    panel._show_findings([Finding("warn", "volumes a second: unknown", "give --rate HZ, or [recording] rate_hz"), Finding("ok", "fine")])
    unknown, fine = panel.findings.item(0), panel.findings.item(1)
    assert unknown.text().endswith("give 'rate (Hz)' (Settings, recording) - click to go there")
    dark = fine.foreground().color()
    viewer.theme = "light"
    qt.wait(lambda: fine.foreground().color() != dark, what="another colour")
    assert fine.foreground().color().lightness() < dark.lightness()
    assert QColor(panel.note.styleSheet().split()[1].rstrip(";")).lightness() < 110
    panel.findings.itemClicked.emit(unknown)
    assert panel.tabs.currentWidget() is panel.form_view

    dock = next(part for part in viewer.window._qt_window.findChildren(QDockWidget) if part.isAncestorOf(panel))
    dock.setFloating(True)
    dock.resize(300, 700)
    for part in panel.form_view.parts.values():
        part.unfold(True)
    qt.spin(0.3)
    inside = panel.form_view.parts["train"].parentWidget()
    assert panel.width() <= 300
    assert inside.width() <= inside.parentWidget().width()  # nothing lies under the scroll bar


def test_a_run_is_stopped_and_goes_on_to_the_same_bytes_and_is_shown(panel, viewer, qt, tiny_worm, tiny_run, tmp_path):
    from qtpy.QtGui import QCloseEvent

    from barlowtrack.plugin.attached import session_of
    from barlowtrack.plugin.running.runner import runner_of

    runner, out = runner_of(viewer), tmp_path / "new.barlowtrack"
    panel.place.choose(tiny_worm / "recording", out)
    for override in FAST:
        name, _, value = override.partition("=")
        panel.form_view.put(name, (value.strip("[]"),) if name != "crop.grid" else ("4", "16", "16"))
    assert panel.form.config() == config.load(None, FAST)
    qt.wait(panel.start.isEnabled, what="a plan")
    panel.start.click()
    assert (panel.start.isEnabled(), panel.cancel.isEnabled(), panel.form_view.isEnabled()) == (False, True, False)
    seen = runner.heard.stages
    qt.wait(lambda: seen["train"].state == "working", 120, what="the training")
    assert seen["segment"].state == seen["crop"].state == "done"
    assert panel.stages.bars["segment"].format().startswith("done in ")
    assert f"Running train; {BEFORE_TRAIN} of {len(STAGES)} stages are done." in panel.headline.text()

    class ByAPerson(QCloseEvent):
        def spontaneous(self):
            return True

    window, close = viewer.window._qt_window, ByAPerson()
    runner.guard(window, lambda: False)
    assert runner.eventFilter(window, close)
    assert not close.isAccepted()  # the window stays, and so does the run
    assert runner.is_running
    panel.cancel.click()
    qt.wait(lambda: not runner.is_running, 30, what="the end")
    assert runner.heard.ended == "stopped"
    qt.wait(lambda: panel.headline.text().startswith("Stopped. Start will "), what="the plan of what is left")

    panel.start.click()
    qt.wait(lambda: not runner.is_running, 120, what="the end")
    assert runner.heard.ended == "done", "\n".join(runner.log)
    assert panel.headline.text().startswith("Done: ")
    assert panel.stages.bars["segment"].format() == "up to date"
    assert "track: done in" in panel.log.toPlainText()
    qt.wait(lambda: session_of(viewer).path == out, what="the result")
    ours, theirs = fingerprints(out), fingerprints(tiny_run.path)
    ours.pop("run.json"), theirs.pop("run.json")  # another way to the recording
    assert ours == theirs


def test_a_window_that_is_closed_stops_its_run(panel, viewer, qt, tiny_worm, tmp_path):
    from barlowtrack.plugin.running.runner import runner_of

    runner, out = runner_of(viewer), tmp_path / "new.barlowtrack"
    panel.place.choose(tiny_worm / "recording", out)
    qt.wait(panel.start.isEnabled, what="a plan")
    panel.start.click()
    process = qt.wait(lambda: int(runner._process.processId()), 10, what="the process")
    viewer.close()
    qt.spin(0.05)
    assert not runner.is_running
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert runner.heard.ended == "stopped"
