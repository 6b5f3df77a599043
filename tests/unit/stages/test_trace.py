"""trace: whose light, made into what, and what it leaves alone."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from barlowtrack.activity.ratios import FEWEST_VALUES
from barlowtrack.activity.unseen import FEWEST_SEEN
from barlowtrack.config import TraceConfig
from barlowtrack.data import UNKNOWN, Candidates, Detections, Flag, Identities, Light, Places, Recording, Source, Traces, Tracks
from barlowtrack.errors import InputError
from barlowtrack.stages.trace import trace

K, T = 6, 40
RADIUS_UM = 1.5
PLAIN = TraceConfig(reading="mean", bleaching="none", motion="none", swaps=False)
NAMES = ("red", "green", "ratio", "dr_over_r0", "df_over_f0")


@dataclasses.dataclass
class Scene:
    """Neurons of known activity; what trace asks for may be changed before it is called."""

    recording: Recording
    light: Light
    places: Places
    detections: Detections
    identities: Identities
    tracks: Tracks
    neurons: pd.DataFrame
    absences: pd.DataFrame

    def traced(self, config: TraceConfig = PLAIN):
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return trace(*given.values(), config=config)

    def traces(self, config: TraceConfig = PLAIN) -> Traces:
        return self.traced(config).traces

    def swap(self, **changes) -> None:
        for name, changed in changes.items():
            setattr(self, name, dataclasses.replace(getattr(self, name), **changed))


def lights(red: np.ndarray, green: np.ndarray, background: tuple[float, float] = (10.0, 5.0), voxels: int = 100) -> Light:
    """Light of nuclei this much brighter than their background in one voxel."""
    n = len(red)
    level = np.repeat(np.array(background)[:, None], n, axis=1)
    mean = np.stack([red, green]) + level
    alone = np.zeros(n)
    return Light(mean, mean + 1, mean + 2, level, level, np.ones((2, n)), np.full(n, voxels), alone, alone.astype(bool), alone)


def activity() -> np.ndarray:
    t = np.arange(T)
    return 1 + 0.5 * np.sin(0.3 * t + np.arange(K)[:, None])


def scene(unseen: tuple[tuple[int, int], ...] = (), n_channels: int = 2) -> Scene:
    """K neurons in T volumes, red 100 and green 100 x activity; unseen: (t, neuron) that no detection is, but a place."""
    place = np.arange(K)[:, None] * np.array([0.0, 6.0, 8.0])  # (K, 3)
    cells = [(t, k) for t in range(T) for k in range(K)]
    seen = np.array([cell for cell in cells if cell not in unseen])
    t, neuron = seen.T
    ones = np.ones(len(t))
    size = 4 / 3 * np.pi * RADIUS_UM**3 * ones
    detections = Detections(T, t, neuron + 1, place[neuron] + 0.2, size, ones, ones, ones, ones, ones, ones)
    place_um = np.tile(place[::-1], (T, 1, 1))  # entry e is neuron K - 1 - e
    entry = K - 1 - neuron
    absent = np.full((T, K), 0.9)
    absent[t, entry] = np.nan
    who = Candidates(np.full((len(t), 1), UNKNOWN), np.zeros((len(t), 1)))
    identities = Identities(entry, 0.9 * ones, who, absent, place_um)
    at = np.array(unseen, int).reshape(-1, 2)
    places = Places(at[:, 0], K - 1 - at[:, 1], place[at[:, 1]], lights(np.full(len(at), 90.0), 90 * activity()[at[:, 1], at[:, 0]]))
    neurons = pd.DataFrame({"neuron": np.arange(K), "entry": pd.array(K - 1 - np.arange(K), dtype="Int32"), "name": [""] * K})
    absences = pd.DataFrame({"t": at[:, 0], "neuron": at[:, 1], "probability": np.full(len(at), 0.7, np.float32)})
    recording = Recording(
        "worm", None, (T, n_channels, 4, 9, 9), np.dtype(np.uint16), (1.0, 1, 1), 4.0, ("red", "green")[:n_channels], 0, None, "print"
    )
    light = lights(100 * ones, 100 * activity()[neuron, t])
    return Scene(recording, light, places, detections, identities, Tracks(neuron, 0.9 * ones, K), neurons, absences)


def test_every_neuron_has_its_own_light():
    traces = scene().traces()
    np.testing.assert_allclose(traces.red, 100, rtol=1e-6)
    np.testing.assert_allclose(traces.ratio, activity(), rtol=1e-6)
    r0 = np.percentile(activity(), 20, axis=1, keepdims=True)
    np.testing.assert_allclose(traces.dr_over_r0, activity() / r0 - 1, atol=1e-5)
    np.testing.assert_allclose(traces.df_over_f0, activity() / r0 - 1, atol=1e-5)
    np.testing.assert_allclose(traces.time_s, np.arange(T) / 4)
    np.testing.assert_allclose(traces.probability, 0.9, rtol=1e-6)
    assert (traces.source == Source.SEEN).all()
    assert (traces.flags == 0).all()


@pytest.mark.parametrize(("reading", "above"), [("mean", 100), ("soft", 101), ("brightest", 102), ("sum", 10_000)])
def test_the_reading_that_was_asked_for_is_read(reading: str, above: float):
    traces = scene().traces(PLAIN.model_copy(update={"reading": reading}))
    np.testing.assert_allclose(traces.red, above)
    kept = scene().traces(PLAIN.model_copy(update={"reading": reading, "background": False}))
    np.testing.assert_allclose(kept.red, above + (1000 if reading == "sum" else 10))


def test_a_neuron_that_was_not_found_is_read_where_it_should_be():
    case = scene(unseen=((3, 1), (20, 4)))
    traces = case.traces()
    assert np.argwhere(traces.source == Source.PREDICTED).tolist() == [[1, 3], [4, 20]]
    np.testing.assert_allclose(traces.red[[1, 4], [3, 20]], 90)
    np.testing.assert_allclose(traces.ratio, activity(), rtol=1e-5)
    # Every detection lay where it should: what is left is that they are who they are, and that this one is none of them.
    np.testing.assert_allclose(traces.probability[[1, 4], [3, 20]], 0.9 * 0.7, rtol=1e-5)
    assert (traces.flags == 0).all()
    gaps = case.traces(PLAIN.model_copy(update={"unseen": "gap"}))
    assert np.argwhere(gaps.source == Source.NONE).tolist() == [[1, 3], [4, 20]]
    for name in NAMES:  # what was seen does not depend on what is predicted
        np.testing.assert_array_equal(getattr(gaps, name)[gaps.seen], getattr(traces, name)[gaps.seen], err_msg=name)
        assert np.isnan(getattr(gaps, name)[~gaps.seen]).all()


def test_a_sum_at_a_place_is_of_as_many_voxels_as_the_neuron_has():
    case = scene(unseen=((3, 1),))
    case.places = dataclasses.replace(case.places, light=dataclasses.replace(case.places.light, voxels=np.array([55])))  # partly covered
    traces = case.traces(PLAIN.model_copy(update={"reading": "sum"}))
    np.testing.assert_allclose(traces.red[1, 3], 9000)


def denied(case: Scene) -> None:
    case.absences = case.absences.assign(probability=np.float32(1))


def stands_for_another(case: Scene) -> None:
    case.absences = case.absences.assign(probability=np.float32(0.5))


def added_by_a_person(case: Scene) -> None:
    entry = case.neurons["entry"].copy()
    entry[1] = pd.NA
    case.neurons = case.neurons.assign(entry=entry)


def dark(case: Scene) -> None:
    case.places = dataclasses.replace(case.places, light=lights(np.array([20.0]), np.array([20.0])))


def of_a_brighter_nucleus(case: Scene) -> None:
    case.places = dataclasses.replace(case.places, light=lights(np.array([180.0]), np.array([20.0])))


def unreadable(case: Scene) -> None:
    case.places = dataclasses.replace(case.places, light=Light.dark(1))


def laid_wrongly(case: Scene) -> None:
    place_um = case.identities.place_um.copy()
    place_um[3] += [0, 4, 0]
    case.swap(identities={"place_um": place_um})


def places_unknown(case: Scene) -> None:
    case.swap(identities={"place_um": np.full((T, K, 3), np.nan)})


@pytest.mark.parametrize(
    "spoil", [denied, stands_for_another, added_by_a_person, dark, of_a_brighter_nucleus, unreadable, laid_wrongly, places_unknown]
)
def test_a_place_that_cannot_be_trusted_leaves_a_gap(spoil):
    case = scene(unseen=((3, 1),))
    assert case.traces().source[1, 3] == Source.PREDICTED
    spoil(case)
    traces = case.traces()
    assert np.argwhere(traces.source == Source.NONE).tolist() == [[1, 3]]
    for name in (*NAMES, "probability"):
        assert np.isnan(getattr(traces, name)[1, 3]), name
    assert traces.flags[1, 3] == 0


def test_how_sure_a_predicted_value_is_follows_from_how_often_places_were_right():
    case = scene(unseen=((3, 1),))
    off = case.detections.position_um.copy()
    late = (case.tracks.neuron == 1) & (case.detections.t >= T // 2)
    off[late] += [0, 3, 0]
    case.swap(detections={"position_um": off})
    assert 0.4 < case.traces().probability[1, 3] / (0.9 * 0.7) < 0.65


@pytest.mark.parametrize("unsure", ["whether_it_is_absent", "who_it_is"])
def test_a_predicted_value_is_no_surer_than_who_the_neuron_is_and_that_it_is_absent(unsure: str):
    case = scene(unseen=((3, 1), (9, 1)))
    if unsure == "who_it_is":
        case.tracks = Tracks(case.tracks.neuron, np.where(case.tracks.neuron == 1, 0.02, 0.9), K)
        wrong, expected = [3, 9], 0.02 * 0.7
    else:
        case.absences = case.absences.assign(probability=np.array([0.05, 0.7], np.float32))
        wrong, expected = [3], 0.9 * 0.05
    traces = case.traces()
    np.testing.assert_allclose(traces.probability[1, wrong], expected, rtol=1e-5)
    assert (traces.flags[1, wrong] == Flag.DOUBTFUL).all()
    assert (traces.source[1, [3, 9]] == Source.PREDICTED).all()


def hide(case: Scene, t: int, neuron: int) -> None:
    """Makes the detection that is a neuron unknown, as track.min_probability does, and gives the atlas a place there."""
    row = np.flatnonzero((case.detections.t == t) & (case.tracks.neuron == neuron))
    whose = case.tracks.neuron.copy()
    whose[row] = UNKNOWN
    case.tracks = Tracks(whose, case.tracks.probability, K)
    part = scene(unseen=((t, neuron),))
    case.places, case.absences = part.places, part.absences


def test_a_detection_that_was_too_doubtful_does_not_come_back_as_a_place():
    case = scene()
    hide(case, 3, 1)
    assert case.traces().source[1, 3] == Source.NONE
    moved = case.identities.neuron.copy()
    moved[case.tracks.neuron == UNKNOWN] = UNKNOWN  # the atlas, too, knew it for nobody
    case.swap(identities={"neuron": moved})
    assert case.traces().source[1, 3] == Source.PREDICTED


def test_a_place_is_open_where_its_detection_is_another_neuron_now():
    case = scene(unseen=((3, 1), (3, 2)))
    row = np.flatnonzero((case.detections.t == 3) & (case.tracks.neuron == 0))
    entry = case.identities.neuron.copy()
    entry[row] = K - 1 - 1  # the atlas took for 1 what a person says is 0
    case.swap(identities={"neuron": entry})
    assert (case.traces().source[[1, 2], 3] == Source.PREDICTED).all()


@pytest.mark.parametrize(
    "why", ["people_say", "another_neuron_there", "too_doubtful_to_track", "too_doubtful_to_trace", "place_too_doubtful"]
)
def test_what_is_not_to_be_is_not_bridged_either(why: str):
    case, asked = scene(unseen=((3, 1), (8, 1))), {"max_gap": 3, "unseen": "gap"}
    assert (case.traces(PLAIN.model_copy(update=asked)).source[1, [3, 8]] == Source.INTERPOLATED).all()
    if why in ("people_say", "another_neuron_there"):
        case.absences = case.absences.assign(probability=np.array([1 if why == "people_say" else 0.5, 0.7], np.float32))
    elif why == "place_too_doubtful":
        case.absences = case.absences.assign(probability=np.array([0.1, 0.7], np.float32))
        asked |= {"unseen": "predicted", "min_probability": 0.5}
    else:
        case = scene(unseen=((8, 1),))
        if why == "too_doubtful_to_track":
            hide(case, 3, 1)
        else:
            doubtful = (case.detections.t == 3) & (case.tracks.neuron == 1)
            case.tracks = Tracks(case.tracks.neuron, np.where(doubtful, 0.1, 0.9), K)
            asked |= {"min_probability": 0.5}
    traces = case.traces(PLAIN.model_copy(update=asked))
    assert traces.source[1, 3] == Source.NONE
    assert np.isnan(traces.red[1, 3])
    assert traces.source[1, 8] != Source.NONE


def test_an_empty_place_is_empty_whether_or_not_the_background_stays():
    case = scene(unseen=((3, 1),))
    far = np.array([[1000.0], [1000.0]])
    case.light = dataclasses.replace(case.light, **{n: getattr(case.light, n) + far for n in ("mean", "background", "shell")})
    nothing = lights(np.array([2.0]), np.array([2.0]), background=(1010.0, 1005.0))
    case.places = dataclasses.replace(case.places, light=nothing)
    for background in (True, False):
        assert case.traces(PLAIN.model_copy(update={"background": background})).source[1, 3] == Source.NONE


def test_who_was_seen_a_few_times_is_not_predicted():
    case = scene(unseen=tuple((t, 1) for t in range(FEWEST_SEEN - 1, T)))
    assert (case.traces().source[1, FEWEST_SEEN - 1 :] == Source.NONE).all()
    more = scene(unseen=tuple((t, 1) for t in range(FEWEST_SEEN, T)))
    assert (more.traces().source[1] != Source.NONE).all()


def test_without_neurons_there_are_no_traces():
    case = scene(unseen=((3, 1),))
    nobody = np.full(len(case.tracks), UNKNOWN)
    case.tracks, case.neurons, case.absences = Tracks(nobody, case.tracks.probability, 0), case.neurons[:0], case.absences[:0]
    assert case.traces().red.shape == (0, T)


def test_a_neuron_that_people_took_away_is_not_brought_back_by_its_places():
    case = scene(unseen=((3, 1), (7, 2)))
    case.swap(tracks={"neuron": np.where(case.tracks.neuron == 2, UNKNOWN, case.tracks.neuron)})
    traces = case.traces()
    assert traces.source[1, 3] == Source.PREDICTED
    assert np.all(traces.source[2] == Source.NONE)
    assert np.isnan(traces.red[2]).all()


def test_doubtful_and_unknown_detections_are_left_out():
    case = scene()
    neuron, probability = case.tracks.neuron.copy(), case.tracks.probability.copy()
    neuron[0], probability[-1] = UNKNOWN, 0.3
    case.tracks = Tracks(neuron, probability, K)
    traces = case.traces(PLAIN.model_copy(update={"min_probability": 0.5}))
    assert np.argwhere(traces.source == Source.NONE).tolist() == [[0, 0], [K - 1, T - 1]]
    kept = case.traces()
    assert kept.probability[K - 1, T - 1] == np.float32(0.3)
    assert kept.flags[K - 1, T - 1] == Flag.DOUBTFUL


def test_who_is_never_surely_seen_is_not_predicted_either():
    case = scene(unseen=((3, 1),))
    doubtful = np.where(case.tracks.neuron == 1, 0.2, 0.9)
    case.tracks = Tracks(case.tracks.neuron, doubtful, K)
    traces = case.traces(PLAIN.model_copy(update={"reading": "sum", "min_probability": 0.5}))
    assert (traces.source[1] == Source.NONE).all()
    assert np.isnan(traces.red[1]).all()


def test_bleaching_is_found_on_what_was_seen_and_undone():
    case = scene(unseen=((5, 2),))
    fading = np.exp(-np.arange(T) / 30)
    case.light = lights(
        100 * fading[case.detections.t], 100 * (fading**2)[case.detections.t] * activity()[case.tracks.neuron, case.detections.t]
    )
    case.places = dataclasses.replace(case.places, light=lights(90 * fading[[5]], 45 * fading[[5]] ** 2))
    undone = case.traced(PLAIN.model_copy(update={"bleaching": "mono"}))
    np.testing.assert_allclose(undone.bleaching.fit[0], fading, rtol=1e-3)
    np.testing.assert_allclose(undone.traces.red[undone.traces.seen], 100, rtol=1e-2)
    np.testing.assert_allclose(undone.traces.red[2, 5], 90, rtol=1e-2)
    assert undone.bleaching.kind == ("mono", "mono")


def test_what_moves_alike_in_red_is_taken_out_of_df_but_not_of_green():
    case = scene()
    wobble = 1 + 0.3 * np.random.default_rng(0).standard_normal((K, T)).clip(-2, 2)
    cells = case.tracks.neuron, case.detections.t
    case.light = lights(100 * wobble[cells], 100 * (wobble * activity())[cells])
    still = case.traces(PLAIN.model_copy(update={"motion": "linear"}))
    shaken = case.traces()
    np.testing.assert_array_equal(still.green, shaken.green)
    np.testing.assert_array_equal(still.dr_over_r0, shaken.dr_over_r0)

    def r(traces: Traces) -> float:
        return min(np.corrcoef(a, b)[0, 1] for a, b in zip(traces.df_over_f0, activity(), strict=True))

    assert r(still) > 0.9 > 0.8 > r(shaken)


def test_gaps_are_bridged_and_traces_smoothed_only_when_asked_for():
    case = scene(unseen=((3, 1), (4, 1)))
    gap = PLAIN.model_copy(update={"unseen": "gap"})
    bridged = case.traces(gap.model_copy(update={"max_gap": 2}))
    assert bridged.source[1, [3, 4]].tolist() == [Source.INTERPOLATED] * 2
    np.testing.assert_allclose(bridged.red[1], 100)
    assert case.traces(gap.model_copy(update={"max_gap": 1})).source[1, 3] == Source.NONE
    rough, smooth = case.traces(), case.traces(PLAIN.model_copy(update={"smooth": 3.0}))
    assert np.abs(np.diff(smooth.ratio)).mean() < np.abs(np.diff(rough.ratio)).mean()


def test_two_that_were_taken_for_each_other_are_reported_and_flagged():
    case = scene()
    rng = np.random.default_rng(1)
    t, neuron = case.detections.t, case.tracks.neuron
    bright = np.array([100.0, 220, 150, 330, 90, 260])
    case.light = lights(bright[neuron] * rng.normal(1, 0.02, len(t)), (bright * 0.5)[neuron] * rng.normal(1, 0.02, len(t)))
    wrong = neuron.copy()
    between = (t >= 10) & (t < 25)
    wrong[between & (neuron == 2)], wrong[between & (neuron == 3)] = 3, 2
    case.tracks = Tracks(wrong, case.tracks.probability, K)
    found = case.traced(PLAIN.model_copy(update={"swaps": True}))
    assert (found.swaps.neuron.tolist(), found.swaps.first.tolist(), found.swaps.last.tolist()) == ([[2, 3]], [10], [24])
    flagged = np.zeros((K, T), bool)
    flagged[2:4, 10:25] = True
    np.testing.assert_array_equal(found.traces.flags == Flag.SWAPPED, flagged)
    assert len(case.traced().swaps) == 0
    said = np.isin(wrong, [2, 3]) & between & (t != 15)
    case.tracks = Tracks(wrong, np.where(said, 1.0, 0.9), K)
    found = case.traced(PLAIN.model_copy(update={"swaps": True}))  # but for one volume people confirmed who they are
    assert (found.swaps.neuron.tolist(), found.swaps.first.tolist(), found.swaps.last.tolist()) == ([[2, 3]], [15], [15])
    assert np.argwhere(found.traces.flags == Flag.SWAPPED).tolist() == [[2, 15], [3, 15]]


def test_what_the_light_says_against_a_value_travels_with_it():
    case = scene(unseen=((7, 5),))
    light = case.places.light
    case.places = dataclasses.replace(case.places, light=dataclasses.replace(light, edge=np.array([True]), crowding=np.array([0.8])))
    flags = case.traces().flags
    assert flags[5, 7] == Flag.EDGE | Flag.CROWDED
    assert flags.sum() == flags[5, 7]


@pytest.mark.parametrize("reading", ["mean", "sum", "soft"])
def test_red_that_does_not_stand_out_from_the_noise_around_it_is_dim(reading: str):
    case = scene()
    red = np.where(case.tracks.neuron == 2, 1.0, 100.0)
    case.light = lights(red, red)
    case.light = dataclasses.replace(case.light, shell_spread=np.full((2, len(red)), 10.0))  # of a mean of 100 voxels: 1
    traces = case.traces(PLAIN.model_copy(update={"reading": reading}))
    assert (traces.flags[2] == Flag.DIM).all()
    assert (np.delete(traces.flags, 2, axis=0) == 0).all()


def test_nothing_is_relative_to_light_that_is_not_told_from_noise():
    case = scene()
    cells = case.tracks.neuron, case.detections.t
    noise = 100 + np.random.default_rng(0).normal(0, 1, (2, K, T))
    green = np.where(cells[0] == 1, 0.02, activity()[cells]) * noise[1][cells]
    red = np.where(cells[0] == 2, 0.02, 1) * noise[0][cells]
    case.light = dataclasses.replace(lights(red, green), shell_spread=np.full((2, len(red)), 10.0))
    traces = case.traces()
    assert np.isfinite(traces.ratio).all()
    assert np.isnan(traces.df_over_f0).all(axis=1).tolist() == [k == 1 for k in range(K)]
    assert np.isnan(traces.dr_over_r0).all(axis=1).tolist() == [k in (1, 2) for k in range(K)]
    assert np.isfinite(traces.df_over_f0[2]).all()  # its green is well seen, whatever its red
    raw = case.traces(PLAIN.model_copy(update={"background": False}))
    assert np.isfinite(raw.df_over_f0).all()


def test_f0_is_light_as_it_was_before_motion_was_taken_out():
    case = scene()
    wobble = np.where(np.arange(T) % 3 == 0, 0.05, 1.0)  # lost from sight again and again: what is left of green is next to nothing
    wobble = np.tile(wobble * (1 + 0.02 * np.random.default_rng(0).standard_normal(T)), (K, 1))
    cells = case.tracks.neuron, case.detections.t
    case.light = lights(100 * wobble[cells], 100 * (wobble**1.5)[cells])
    for motion in ("linear", "none"):
        traces = case.traces(PLAIN.model_copy(update={"motion": motion, "r0_percentile": 50}))
        assert np.nanmax(np.abs(traces.df_over_f0)) < 2
    np.testing.assert_allclose(np.nanmedian(traces.df_over_f0, axis=1), 0, atol=1e-6)


def test_a_neuron_of_a_few_values_changes_from_nothing():
    case = scene(unseen=tuple((t, 1) for t in range(FEWEST_VALUES - 1, T)))
    traces = case.traces()
    assert np.isfinite(traces.ratio[1]).sum() == FEWEST_VALUES - 1
    assert np.isnan(traces.dr_over_r0[1]).all()
    assert np.isnan(traces.df_over_f0[1]).all()


def test_red_that_is_not_above_its_background_gives_no_ratio():
    case = scene()
    dark = case.detections.t == 4
    mean = case.light.mean.copy()
    mean[0, dark] = case.light.background[0, dark] - 3
    mean[0, case.detections.t == 5] = case.light.background[0, case.detections.t == 5]
    case.light = dataclasses.replace(case.light, mean=mean)
    traces = case.traces()
    assert (traces.red[:, 4] < 0).all()
    assert (traces.red[:, 5] == 0).all()
    assert np.isnan(traces.ratio[:, 4:6]).all()
    assert not np.isinf(traces.dr_over_r0).any()
    assert (traces.flags[:, 4:6] == Flag.DIM).all()


def test_without_a_signal_channel_there_is_red_alone():
    case = scene(n_channels=1)
    mean = case.light.mean.copy()
    mean[1] = np.nan
    case.light = dataclasses.replace(case.light, mean=mean)
    found = case.traced(TraceConfig(reading="mean"))
    assert np.isfinite(found.traces.red).all()
    assert np.isnan([found.traces.green, found.traces.ratio, found.traces.dr_over_r0, found.traces.df_over_f0]).all()


def test_brighter_recordings_scale_traces_but_not_ratios():
    case = scene(unseen=((3, 1),))
    before = case.traces(TraceConfig())
    for name in ("light", "places"):
        part = getattr(case, name)
        light = part if name == "light" else part.light
        light = dataclasses.replace(light, **{n: 3 * getattr(light, n) for n in ("mean", "soft", "brightest", "background", "shell")})
        setattr(case, name, light if name == "light" else dataclasses.replace(part, light=light))
    after = case.traces(TraceConfig())
    np.testing.assert_allclose(after.red, 3 * before.red, rtol=1e-5)
    np.testing.assert_allclose(after.dr_over_r0, before.dr_over_r0, atol=1e-5)
    np.testing.assert_array_equal(after.source, before.source)


@pytest.mark.parametrize("reading", ["mean", "sum", "brightest", "soft"])
def test_another_background_in_every_volume_and_channel_changes_no_trace(reading: str):
    config = PLAIN.model_copy(update={"reading": reading})
    case = scene()
    before = case.traces(config)
    offset = np.stack([7.0 + case.detections.t, 30.0 - 0.5 * case.detections.t])  # (2, N): red drifts up, green down
    case.light = dataclasses.replace(
        case.light, **{n: getattr(case.light, n) + offset for n in ("mean", "soft", "brightest", "background", "shell")}
    )
    after = case.traces(config)
    for name in ("red", "green", "ratio", "dr_over_r0", "df_over_f0"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-5, atol=1e-6, err_msg=name)


def test_without_a_rate_there_is_no_time():
    case = scene()
    case.swap(recording={"rate_hz": None})
    assert np.isnan(case.traces(TraceConfig()).time_s).all()


def test_nobody_gives_no_trace_and_no_error():
    case = scene()
    n = len(case.tracks)
    case.tracks, case.neurons = Tracks(np.full(n, UNKNOWN), np.ones(n), 0), case.neurons.iloc[:0]
    found = case.traced(TraceConfig())
    assert found.traces.red.shape == (0, T)
    assert np.isnan(found.bleaching.level).all()
    assert len(found.swaps) == 0


def test_inputs_of_different_runs_are_refused():
    case = scene()
    with pytest.raises(InputError, match="identity for each of 240 detections, got 1"):
        dataclasses.replace(case, tracks=Tracks(np.zeros(1, int), np.ones(1), K)).traced()
    with pytest.raises(InputError, match="light for each of 240 detections, got 2"):
        dataclasses.replace(case, light=case.light.subset(np.arange(2))).traced()
    with pytest.raises(InputError, match="a table of 6 neurons, from 0, got 5 rows"):
        dataclasses.replace(case, neurons=case.neurons.iloc[1:]).traced()
    with pytest.raises(InputError, match="detections of 41 volumes, got 40"):
        dataclasses.replace(case, recording=dataclasses.replace(case.recording, shape=(T + 1, 2, 4, 9, 9))).traced()
    twice = case.tracks.neuron.copy()
    twice[1] = twice[0]
    with pytest.raises(InputError, match="volume 0: expected every neuron once"):
        dataclasses.replace(case, tracks=Tracks(twice, case.tracks.probability, K)).traced()
