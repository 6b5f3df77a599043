from dataclasses import replace

import numpy as np
import pytest

from barlowtrack.errors import StorageError
from barlowtrack.plugin.session import Session
from barlowtrack.plugin.solution import Solution


@pytest.fixture(scope="module")
def solution(tiny_run):
    return Solution.read(tiny_run.path)


def test_a_solution_finds_nuclei_by_label_by_neuron_and_by_place(solution):
    for row in np.flatnonzero(solution.tracks.neuron >= 0)[::7]:
        t, label = int(solution.detections.t[row]), int(solution.detections.label[row])
        neuron = int(solution.tracks.neuron[row])
        assert solution.row_at(t, label) == row == solution.row_of[neuron, t]
        assert solution.neuron_at(t, label) == neuron
        place = solution.detections.position_um[row]
        assert solution.nearest(t, tuple(place + 0.01), 1.0) == row
        assert solution.nearest(t, tuple(place + 1e4), 1.0) is None
    assert solution.row_at(0, 10**6) is None
    assert solution.neuron_at(0, 10**6) == -1


def test_traces_that_are_older_than_the_tracks_are_not_shown(tiny_run, tmp_path):
    import shutil

    folder = shutil.copytree(tiny_run.path, tmp_path / "run.barlowtrack")
    assert Solution.read(folder).traces is not None
    key = folder / "keys" / "trace.json"
    key.write_text(key.read_text().replace(tiny_run.folder.record("track").key, "0" * 32))
    assert Solution.read(folder).traces is None


def test_a_folder_without_tracks_says_so(tiny_worm, tmp_path):
    from barlowtrack.api import prepare

    job = prepare(tiny_worm / "recording", out=tmp_path / "new.barlowtrack")
    job.run(upto="segment")
    with pytest.raises(StorageError, match="has no tracks to look at yet"):
        Solution.read(job.folder)


def test_listeners_hear_what_changes_and_nothing_else(solution):
    session, heard = Session(), []
    session.solved.connect(lambda new, old: heard.append(("solved", old is not None)))
    session.moved.connect(lambda t: heard.append(("moved", t)))
    session.chosen_changed.connect(lambda neurons: heard.append(("chosen", neurons)))
    session.take(solution)
    session.show(3)
    session.show(3)
    session.choose([2, 2, 1])
    session.choose([1, 4], add=True)
    session.show(10**6)
    assert heard == [("solved", False), ("moved", 3), ("chosen", (2, 1)), ("chosen", (2, 1, 4)), ("moved", solution.n_volumes - 1)]
    heard.clear()
    session.take(replace(solution))  # solved again: who was chosen stays
    assert heard == [("solved", True)]
    assert session.chosen == (2, 1, 4)
    session.take(None)
    assert session.solution is None


def test_all_hear_of_a_solution_first_and_one_that_fails_keeps_nobody_from_hearing(solution, raised):
    session, heard = Session(), []

    def first(new, old):
        if new is not None:
            session.show(10**6)  # as where the viewer stands somewhere else
            heard.append("first")

    def fails(new, old):
        raise ValueError("a bug")

    session.take(solution)
    session.show(3)
    session.choose([2, 1])
    for slot in (first, fails):
        session.solved.connect(slot)
    session.solved.connect(lambda new, old: heard.append(("last", session.t, session.chosen)))
    session.moved.connect(lambda t: heard.append(("moved", t)))
    session.chosen_changed.connect(lambda neurons: heard.append(("chosen", neurons)))
    end = solution.n_volumes - 1
    session.take(replace(solution, path=solution.path.with_name("other.barlowtrack")))
    assert heard == ["first", ("last", end, ()), ("moved", end), ("chosen", ())]
    assert [str(error) for error in raised] == ["a bug"]
    raised.clear()
    session.solved.disconnect(fails)
    session.take(None, "it has no tracks")
    assert session.why_none == "it has no tracks"
    session.take(solution)
    assert session.why_none == ""


def test_a_viewer_opens_and_draws(viewer, qt):
    viewer.add_image(np.arange(64.0).reshape(8, 8), name="picture")
    qt.spin()
    assert viewer.screenshot(canvas_only=True, flash=False)[..., :3].std() > 0


def test_stops_are_gone_to_one_after_the_other(qt, raised, solution):
    from barlowtrack.plugin.stepper import Stepper
    from barlowtrack.plugin.stops import Stop

    session, places = Session(), []
    session.take(solution)
    session.looked.connect(places.append)
    stepper = Stepper(session, ["volume", "what"])
    stepper.show_stops([Stop(2, (1.0, 2.0, 3.0), (4,), ("2", "a")), Stop(5, None, (), ("5", "b"))])
    assert (session.t, stepper.where.text()) == (0, "2 to look at")
    stepper.on.click()
    assert (session.t, session.chosen, places, stepper.where.text()) == (2, (4,), [(1.0, 2.0, 3.0)], "1 of 2")
    stepper.on.click()
    assert (session.t, session.chosen, len(places), stepper.on.isEnabled()) == (5, (), 1, False)
    stepper.back.click()
    assert session.t == 2
    stepper.show_stops([])
    assert stepper.where.text() == "nothing to look at"
    stepper.deleteLater()


def test_a_listener_that_fails_keeps_no_other_from_hearing(raised):
    session, heard = Session(), []

    def fail(neurons):
        raise RuntimeError("broken")

    session.chosen_changed.connect(fail)
    session.chosen_changed.connect(heard.append)
    session.choose([4])
    assert heard == [(4,)]
    assert [str(error) for error in raised] == ["broken"]
    raised.clear()


def test_listening_keeps_nobody_alive_and_ends_when_it_is_said():
    import gc

    class Panel:
        def __init__(self, session):
            session.solved.connect(self.solved)
            session.said.connect(self.solved)

        def solved(self):
            heard.append(self)

    session, heard = Session(), []
    panel = Panel(session)
    session.take(None)  # told to a listener that wants to know no more than that
    session.said.disconnect(panel.solved)
    session.tell()
    assert heard == [panel]
    heard.clear()
    del panel
    gc.collect()
    session.take(None)
    assert not heard
