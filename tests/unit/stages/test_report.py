import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pytest

from barlowtrack.config import ReportConfig, TrainConfig
from barlowtrack.data import (
    UNKNOWN,
    Bleaching,
    Candidates,
    Correction,
    Corrections,
    Detections,
    Embeddings,
    Identities,
    Recording,
    StageCost,
    Swaps,
    Traces,
    Tracks,
    VolumeLooks,
)
from barlowtrack.embedding import health
from barlowtrack.errors import InputError
from barlowtrack.identity.learned import Learned
from barlowtrack.identity.solve import Atlas
from barlowtrack.identity.volumes import Preparation
from barlowtrack.showing.names import Names
from barlowtrack.stages.report import page, report
from barlowtrack.stages.report.advice import about_the_embedding, advice
from barlowtrack.stages.report.charts import detections_chart, probability_histogram
from barlowtrack.stages.report.drawing import TimeAxis, canvas, house_style, in_blocks, name_rows
from barlowtrack.stages.report.made import corrections_in_words, people_in_words
from barlowtrack.stages.report.pictures import choose_volumes
from barlowtrack.stages.report.shown import Shown
from barlowtrack.stages.report.training import about_the_training, is_trained
from barlowtrack.stages.report.verdict import judge
from barlowtrack.stages.report.words import percent
from tests.cases import looks_of

COLUMNS = ("epoch", "loss", "feature_term", "object_term", "held_out_agreement", "effective_rank", "round_trips")
HISTORY = dict(zip(COLUMNS, np.linspace([0, 1, 1, 1, 0.4, 8, 0.3], [5, 0.2, 0.1, 0.3, 0.9, 12, 0.8], 6).T, strict=True))
SCRATCH = TrainConfig(mode="scratch")
NO_SWAPS = Swaps(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 2), int), np.zeros(0))
COSTS = (StageCost("segment", 125.0, 900.0), StageCost("trace", 5.0, 1000.0))


class Noise:
    """Volumes of noise; notes which are read."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape, self.reads = shape, []

    def read(self, t: int) -> np.ndarray:
        self.reads.append(t)
        return np.random.default_rng(t).integers(0, 200, self.shape[1:]).astype(np.uint16)


def recording_of(n_volumes: int, n_channels: int = 2, **changes) -> Recording:
    shape = (n_volumes, n_channels, 4, 24, 32)
    values = {
        "name": "worm",
        "source": Noise(shape),
        "shape": shape,
        "dtype": np.dtype(np.uint16),
        "voxel_size_um": (2.0, 0.5, 0.5),
        "rate_hz": 4.0,
        "channel_names": ("red", "green")[:n_channels],
        "reference": 0,
        "signal": 1 if n_channels > 1 else None,
        "fingerprint": "abc",
    }
    return Recording(**values | changes)


def case(n_volumes: int = 6, n_neurons: int = 5, n_channels: int = 2, keep: np.ndarray | None = None, **changes) -> dict:
    """A run that went well: every neuron in every volume (but those that keep leaves out), at .95."""
    rng = np.random.default_rng(0)
    t, neuron = (a.ravel() for a in np.meshgrid(np.arange(n_volumes), np.arange(n_neurons), indexing="ij"))
    t, neuron = (t, neuron) if keep is None else (t[keep[t]], neuron[keep[t]])
    n = len(t)
    ones = np.ones(n)
    position = np.stack([3 * ones, 2 + 1.5 * neuron, 3 + 2.0 * neuron], axis=1)
    quality = 20 + rng.random(n)
    detections = Detections(n_volumes, t, neuron + 1, position, 9 * ones, 100 * ones, 150 * ones, 50 * ones, 60 * ones, quality, ones)
    vectors = np.eye(8)[neuron % 8] + 0.1 * rng.normal(size=(n, 8))
    red, probability = np.full((n_neurons, n_volumes), np.nan), np.full((n_neurons, n_volumes), np.nan)
    red[neuron, t], probability[neuron, t] = 100.0, 0.95
    green = red * rng.random(red.shape) if n_channels > 1 else np.full_like(red, np.nan)
    time_s = np.arange(n_volumes) / 4.0
    return {
        "recording": recording_of(n_volumes, n_channels, **changes),
        "detections": detections,
        "volumes": looks_of(detections),
        "embeddings": Embeddings((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)),
        "tracks": Tracks(neuron, 0.95 * ones, n_neurons),
        "traces": Traces.of_seen(time_s, red, green, green / red, green / red - 0.5, probability),
        "history": HISTORY,
    }


def identities_of(tracks: Tracks, n_volumes: int, t: np.ndarray) -> Identities:
    """What the atlas must have said, where nobody was heard."""
    absent = np.full((n_volumes, tracks.n_neurons), 0.5, np.float32)
    known = tracks.neuron != UNKNOWN
    absent[t[known], tracks.neuron[known]] = np.nan
    candidates = Candidates(tracks.neuron[:, None], np.where(known, tracks.probability, 0)[:, None])
    nowhere = np.full((*absent.shape, 3), np.nan, np.float32)
    return Identities(tracks.neuron, tracks.probability, candidates, absent, nowhere)


def whole(run: dict) -> dict:
    """The run with all that the page needs beside; what stands there already stays."""
    n_volumes = run["recording"].n_volumes
    level = np.ones((2, n_volumes))
    others = {
        "atlas": Learned(Preparation(1.0), Atlas(None, None, 0)),  # nobody was asked for a second opinion
        "corrections": Corrections(),
        "swaps": NO_SWAPS,
        "bleaching": Bleaching(level, level, ("none", "none")),
        "costs": COSTS,
    }
    if "identities" not in run:
        others["identities"] = identities_of(run["tracks"], n_volumes, run["detections"].t)
    return others | run


def shown_of(run: dict, names: tuple[str, ...] | None = None) -> Shown:
    recording, detections, tracks, traces = (run[name] for name in ("recording", "detections", "tracks", "traces"))
    given = ("",) * tracks.n_neurons if names is None else names
    swaps, time = run.get("swaps", NO_SWAPS), TimeAxis(traces.time_s)
    return Shown(recording, detections, tracks, traces, swaps, verdict_of(run), Names(given), time)


def page_of(run: dict, settings: str = "seed = 0", **more) -> str:
    return report(**whole(run), config=more.pop("config", ReportConfig(max_traces=2)), settings=settings, **more)


class Tags(HTMLParser):
    """Checks that every tag is closed in order; collects tags and text."""

    def __init__(self, html: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_stands_alone_and_is_well_formed():
    html = page_of(case())
    tags = Tags(html)
    images = [attrs for tag, attrs in tags.tags if tag == "img"]
    assert len(images) >= 8
    assert all(image["src"].startswith("data:image/") and len(image["alt"]) > 20 for image in images)
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in tags.tags}
    assert not re.search(r"https?://|file:|url\(|@import", re.sub(r'src="data:[^"]*"', "", html))
    assert "default-src 'none'" in html
    assert len(html) < 10e6
    anchors = {attrs["href"][1:] for tag, attrs in tags.tags if tag == "a"}
    assert anchors <= {attrs.get("id") for _, attrs in tags.tags}


def test_the_same_input_gives_the_same_bytes_whatever_matplotlib_is_set_to():
    first = page_of(case(n_volumes=10))
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.hashsalt": "other"}):
        again = page_of(case(n_volumes=10))
        assert mpl.rcParams["font.size"] == 20  # left as it was
    assert first == again
    assert page_of(case(n_volumes=10), seed=1) != first  # the layout of the embedding has a seed


def test_texts_of_the_user_show_as_text():
    evil = "<script>alert(1)</script> & $\\frac$ \"'"
    html = page_of(case(name=evil, channel_names=(evil, "<b>"), assumptions=(evil,), fingerprint=evil), settings=f"x = '''{evil}'''")
    tags = Tags(html)
    assert tags.text.count(evil) >= 6
    assert not {"script", "b"} & {tag for tag, _ in tags.tags}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "5 neurons found in 6 volumes"),
        ({"n_volumes": 1}, "in 1 volume,"),
        ({"n_volumes": 1, "n_neurons": 1}, "1 neuron found in 1 volume"),
        ({"n_volumes": 2, "n_neurons": 2}, "2 neurons found in 2 volumes"),
        ({"n_channels": 1, "n_volumes": 2}, "no activity to read"),
        ({"rate_hz": None, "n_volumes": 2}, "rate is unknown"),
        ({"n_volumes": 1, "assumptions": ("voxel size 1 um",)}, "Check the assumptions"),
        ({"n_neurons": 0, "n_volumes": 2}, "No nucleus was found"),
        ({"keep": np.array([1, 1, 1, 0, 1, 1], bool)}, "no nucleus found"),
        ({"keep": np.array([0, 0, 0, 0, 0, 1], bool)}, "no nucleus found"),
    ],
)
def test_odd_recordings_have_a_page_and_it_says_what_is_odd(changes: dict, said: str):
    html = page_of(case(**changes))
    Tags(html)
    assert said in html


def test_an_unknown_rate_alone_is_no_assumption_to_check():
    unknown = "volumes a second: unknown, so traces have no seconds"
    html = page_of(case(n_volumes=2, rate_hz=None, assumptions=(unknown,)))
    assert "Check the assumptions" not in html
    assert unknown in html


def test_nobody_identified():
    run = case()
    none = np.full((0, 6), np.nan)
    run["tracks"] = Tracks(np.full(30, UNKNOWN), np.full(30, 0.5), 0)
    run["traces"] = Traces.of_seen(run["traces"].time_s, none, none, none, none, none)
    html = page_of(run)
    assert "No neuron was identified in 6 volumes." in html
    assert "Do not rely on this" in html
    assert "none was identified: look at the detections" in html


def test_traces_without_a_number_and_ids_that_nobody_carries():
    run = case()
    nan = np.full((7, 6), np.nan)  # ids 5 and 6 were merged away
    run["tracks"] = Tracks(run["tracks"].neuron, run["tracks"].probability, 7)
    split = np.where(run["detections"].t < 2, run["tracks"].neuron % 2 + 5, UNKNOWN)  # two entries that nobody is any more
    split[run["detections"].label > 2] = UNKNOWN
    split = np.where(split == UNKNOWN, run["tracks"].neuron, split)
    run["identities"] = identities_of(Tracks(split, run["tracks"].probability, 7), 6, run["detections"].t)
    run["traces"] = Traces.of_seen(np.full(6, np.nan), nan, nan, nan, nan, nan)
    html = page_of(run)
    assert "5 neurons found" in html
    assert "Show 5 neurons" in html


def test_points_that_were_read_but_have_no_change_are_told_from_those_not_seen():
    run = case()
    assert "no dR/R0" not in page_of(run)
    dark = run["traces"].dr_over_r0.copy()
    dark[0] = np.nan
    traces = run["traces"]
    run["traces"] = Traces.of_seen(traces.time_s, traces.red, traces.green, traces.ratio, dark, traces.probability)
    html = page_of(run)
    assert "of the points read have no dR/R0" in html
    assert "White: the neuron was not seen, or has no positive R0 to divide by." in html


def test_only_a_few_volumes_are_read():
    run = case(n_volumes=40)
    who, t = run["tracks"].neuron, run["detections"].t
    doubtful = np.where((who == t % 5) & (t < 20), 0.6, 0.95)  # one in each of twenty volumes, four of each neuron
    run["tracks"] = Tracks(who, doubtful, 5)
    page_of(run)
    shown, compared = [0, 13, 26, 39], [0, 6, 13, 20, 26, 32, 39]
    reads = Counter(run["recording"].source.reads) - Counter(shown + compared)
    assert max(reads.values()) == 1  # for the questions, once each: of twelve volumes, and of a few to compare with
    assert set(range(12)) <= set(reads) <= set(range(12)) | set(shown)
    assert choose_volumes(run["detections"]) == [0, 13, 26, 39]
    assert choose_volumes(Detections.empty(3)) == [0, 1, 2]


def test_every_part_reports_progress():
    seen: list[tuple[int, int]] = []
    page_of(case(n_volumes=2), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(k, len(seen)) for k in range(1, len(seen) + 1)]


def test_inputs_of_different_runs_are_refused():
    run = case()
    with pytest.raises(InputError, match="30, 1, 30 and 30"):
        page_of(run | {"embeddings": Embeddings(np.ones((1, 4)))})
    with pytest.raises(InputError, match=r"traces of shape \(5, 6\)"):
        page_of(run | {"traces": case(n_volumes=5)["traces"]})
    four = Tracks(run["tracks"].neuron % 4, run["tracks"].probability, 4)
    with pytest.raises(InputError, match="tracks of 4 neurons, as corrections say, got 5"):
        page_of(run | {"identities": identities_of(four, 6, run["detections"].t)})


def verdict_of(run: dict):
    return judge(run["detections"], run["volumes"], run["tracks"], run["traces"])


def steps_of(run: dict, training: TrainConfig = SCRATCH) -> list[str]:
    sound = health(run["embeddings"].vectors, run["detections"].t)
    embedding = [*about_the_embedding(sound, is_trained(run["history"])), *about_the_training(run["history"], training)]
    return list(advice(shown_of(run), embedding, ()))


def test_the_verdict_counts():
    run = case(n_volumes=10, n_neurons=4, keep=np.arange(10) != 7)
    verdict = verdict_of(run)
    assert verdict.coverage == pytest.approx(0.9)
    assert verdict.estimated_right == pytest.approx(0.95)
    assert verdict.grade == "care"  # ten volumes are few, however sure the tracker is
    assert verdict_of(case(n_volumes=20)).grade == "good"
    assert verdict.distrust == [(7, 7, "no nucleus found")]
    assert verdict.neurons.seen.tolist() == [9] * 4
    assert verdict_of(run | {"tracks": Tracks(run["tracks"].neuron, np.full(36, 0.7), 4)}).grade == "care"
    assert verdict_of(run | {"tracks": Tracks(run["tracks"].neuron, np.full(36, 0.4), 4)}).grade == "poor"


def test_volumes_that_stand_out_are_named_with_their_reason():
    run = case(n_volumes=12, n_neurons=10)
    t, probability, neuron = run["detections"].t, run["tracks"].probability.copy(), run["tracks"].neuron.copy()
    probability[t == 3] = probability[t == 4] = 0.6
    neuron[t == 9] = UNKNOWN
    quality = run["detections"].quality.copy()
    quality[t == 6] *= 0.3
    columns = {name: getattr(run["detections"], name) for name in Detections.__dataclass_fields__} | {"quality": quality}
    keep = ~((t == 11) & (run["detections"].label > 4))
    few = Detections(12, **{name: column[keep] for name, column in columns.items() if name != "n_volumes"})
    changed = {"detections": few, "tracks": Tracks(neuron[keep], probability[keep], 10), "embeddings": None}
    assert verdict_of(run | changed).distrust == [
        (3, 4, "identities uncertain"),
        (6, 6, "dim or blurred"),
        (9, 9, "nobody identified"),
        (11, 11, "few nuclei (4; 10 are usual)"),
    ]
    assert verdict_of(run).distrust == []


def test_few_nuclei_in_a_row_are_one_stretch_with_all_their_numbers():
    run = case(n_volumes=12, n_neurons=10)
    t, label = run["detections"].t, run["detections"].label
    keep = ~(((t == 5) & (label > 4)) | ((t == 6) & (label > 6)))
    few = run["detections"].subset(np.flatnonzero(keep))
    tracks = Tracks(run["tracks"].neuron[keep], run["tracks"].probability[keep], 10)
    assert verdict_of(run | {"detections": few, "tracks": tracks}).distrust == [(5, 6, "few nuclei (4 to 6; 10 are usual)")]


@pytest.mark.parametrize(("n_volumes", "rough"), [(2, True), (19, True), (20, False)])
def test_estimates_from_few_volumes_are_called_rough(n_volumes: int, rough: bool):
    verdict = verdict_of(case(n_volumes=n_volumes))
    assert (f"From so few volumes ({n_volumes}) such estimates are rough" in verdict.headline) == rough
    assert "the tracker is not sure" not in verdict.headline


def test_nuclei_that_the_tracker_is_not_sure_of_are_in_the_verdict():
    run = case(n_volumes=30)
    unsure = np.where(run["tracks"].neuron < 2, 0.6, 0.95)
    nobody = np.where(run["tracks"].neuron < 2, UNKNOWN, run["tracks"].neuron)
    for tracks in (Tracks(run["tracks"].neuron, unsure, 5), Tracks(nobody, run["tracks"].probability, 5)):
        assert "Of 40\xa0% of all nuclei the tracker is not sure" in verdict_of(run | {"tracks": tracks}).headline


def test_one_volume_is_not_tracked_and_the_page_says_so():
    html = page_of(case(n_volumes=1))
    for said in (
        "one volume cannot be tracked",
        "Do not rely on this",
        "One volume is one point in time",
        "Give a recording of more volumes",
    ):
        assert said in html
    assert "1 volumes" not in html
    assert "estimated, without truth" not in html


def test_the_axis_of_volumes_has_whole_numbers_only():
    for n_volumes in (1, 2, 6):
        figure = canvas(4, 2)
        axes = figure.subplots()
        time = TimeAxis(np.full(n_volumes, np.nan))
        time.finish(axes)
        ticks = np.array([at for at in axes.get_xticks() if time.bounds[0] <= at <= time.bounds[1]])
        assert set(ticks) <= set(range(n_volumes))
        assert len(ticks) >= 1


def test_people_who_corrected_are_counted_and_not_named():
    rows = [
        Correction("name", neuron=str(line % 5), other=f"N{line}", who=who, line=line)
        for line, who in ((2, "Ann L."), (3, "Bo"), (4, "Ann L."))
    ]
    html = page_of(case(n_volumes=1) | {"corrections": Corrections(tuple(rows))})
    assert html.count("People corrected this run: 3 rows in force, by 2 people.") == 2
    assert "<td>corrections by people</td><td>3 rows in force, by 2 people</td>" in html
    assert "Ann L." not in html
    assert corrections_in_words(Corrections()) == "none in force"
    assert people_in_words(Corrections()) == ""


def test_rows_of_maps_are_named_as_far_as_there_is_room():
    axes = canvas(4, 2).subplots()
    name_rows(axes, [str(k) for k in range(125)], 5.0)
    named = [label.get_text() for label in axes.get_yticklabels()]
    assert named == [str(k) for k in range(0, 125, 4)]
    assert axes.get_yticks()[1] == 4.5
    name_rows(axes, "ab", 1.2)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_one_odd_volume_does_not_press_the_contrast_of_others_flat():
    run = case(n_volumes=20)
    quality = np.where(run["detections"].t == 7, 50.0, 1.0) * run["detections"].quality
    odd = replace(run["detections"], quality=quality)
    with house_style():
        assert (
            "The contrast of 1 volume goes beyond its axis (the first is volume 7)."
            in detections_chart(verdict_of(run | {"detections": odd}), TimeAxis(np.arange(20))).caption
        )
        assert "goes beyond" not in detections_chart(verdict_of(run), TimeAxis(np.arange(20))).caption


def test_a_command_breaks_between_words_only():
    html = page.commands(["barlowtrack correct RUN --not-a-neuron <x>"])
    assert re.findall(r'<span class="word">([^ ]*)</span>', html) == ["barlowtrack", "correct", "RUN", "--not-a-neuron", "&lt;x&gt;"]
    assert Tags(html).text == "barlowtrack correct RUN --not-a-neuron <x>"


def test_the_neuron_to_correct_first_is_the_least_certain():
    run = case()
    probability = np.where(run["tracks"].neuron == 3, 0.3, 0.95)
    changed = run | {"tracks": Tracks(run["tracks"].neuron, probability, 5)}
    assert verdict_of(changed).neurons.neuron[-1] == 3
    assert any("least certain neurons first: 3" in step for step in steps_of(changed))
    assert any("20\u00a0% of the identities have a probability below .5" in step for step in steps_of(changed))


def test_neurons_in_pieces_are_noticed():
    run = case(n_volumes=10)
    neuron = run["tracks"].neuron.copy()
    late = run["detections"].t >= 7
    neuron[late & (neuron == 2)] = 5  # the same neuron under another name
    traces = [np.zeros((6, 10))] * 5
    steps = steps_of(run | {"tracks": Tracks(neuron, run["tracks"].probability, 6), "traces": Traces.of_seen(np.arange(10.0), *traces)})
    assert any(step.startswith("1 neuron of 6 was seen in less than half") for step in steps)


def test_shares_are_never_rounded_to_all_or_nothing():
    said = [percent(share) for share in (0.0, 0.004, 0.006, 0.5, 0.994, 0.996, 1.0, float("nan"))]
    assert said == [text.replace(" %", "\u00a0%") for text in ("0 %", "under 1 %", "1 %", "50 %", "99 %", "over 99 %", "100 %", "unknown")]


@pytest.mark.parametrize(("probability", "said"), [(0.999, "estimate over 99\u00a0% of"), (0.87, "estimate about 87\u00a0% of")])
def test_the_headline_claims_identities_of_nuclei_only(probability: float, said: str):
    run = case(n_volumes=10, n_neurons=4)
    headline = verdict_of(run | {"tracks": Tracks(run["tracks"].neuron, np.full(40, probability), 4)}).headline
    assert said in headline
    assert "By the tracker's own estimate" in headline


def test_jumps_outweigh_what_the_tracker_says_of_itself():
    run = case(n_volumes=8, n_neurons=20)
    neuron = run["tracks"].neuron.copy()
    neuron[run["detections"].t == 4] = np.random.default_rng(5).permutation(20)
    run["tracks"] = Tracks(neuron, np.full(160, 0.99), 20)
    proud = verdict_of(run)
    assert proud.volumes.jumps[[4, 5]].min() > 0.6
    assert proud.jumps == pytest.approx(proud.volumes.jumps[1:].mean())
    assert proud.grade == "care"
    assert proud.distrust == [(4, 5, "many neurons jump against their neighbours")]
    assert any("believe the jumps" in step for step in steps_of(run))
    assert verdict_of(case(n_volumes=8, n_neurons=20)).jumps == 0
    assert np.isnan(verdict_of(case()).jumps)  # five neurons have no neighbourhood


def test_bleaching_saturation_and_collapse_are_noticed():
    run = case(n_volumes=20)
    assert steps_of(run) == []
    traces = run["traces"]
    faded = Traces.of_seen(
        traces.time_s, traces.red * np.linspace(1, 0.3, 20), traces.green, traces.ratio, traces.dr_over_r0, traces.probability
    )
    assert any("bleaching" in step for step in steps_of(run | {"traces": faded}))
    columns = {name: getattr(run["detections"], name) for name in Detections.__dataclass_fields__}
    bright = Detections(**columns | {"red_peak": np.full(100, 65535.0)})
    assert any("saturated" in step for step in steps_of(run | {"detections": bright}))
    assert any("collapsed" in step for step in steps_of(run | {"embeddings": Embeddings(np.full((100, 8), 8**-0.5, np.float32))}))


def test_the_best_traces_are_shown_and_no_more():
    run = case(n_volumes=2, n_neurons=12)
    few = page_of(run, config=ReportConfig(max_traces=3))
    assert "The 3 most certain neurons" in few
    assert few.count("each with its probability over time") == 1
    assert page_of(run, config=ReportConfig()).count("each with its probability over time") == 2


def test_averages_in_blocks_keep_gaps_and_means():
    values = np.array([1.0, 3.0, np.nan, np.nan, 5.0, np.nan, 7.0])
    assert in_blocks(values, 4) == pytest.approx([2.0, np.nan, 5.0, 7.0], nan_ok=True)
    assert in_blocks(values, 7) == pytest.approx(values, nan_ok=True)
    assert in_blocks(np.ones((3, 10001)), 1500).shape == (3, 1429)


def test_time_is_in_seconds_only_where_the_rate_is_known():
    assert TimeAxis(np.arange(4) / 2).bounds == (-0.25, 1.75)
    unknown = TimeAxis(np.full(4, np.nan))
    assert (unknown.label, unknown.bounds) == ("volume", (-0.5, 3.5))


def test_the_histogram_counts():
    tracks = Tracks(np.array([0, 1, 2, UNKNOWN]), np.array([0.95, 0.9, 0.2, 0.99]), 3)
    assert "67\u00a0% of the identities" in probability_histogram(tracks).caption


def test_a_volume_that_segment_calls_junk_is_named():
    run = case(n_volumes=12, n_neurons=10)
    sharpness = np.ones(12)
    sharpness[5] = 0.3
    blurred = VolumeLooks(run["volumes"].count, run["volumes"].contrast, sharpness)
    assert verdict_of(run | {"volumes": blurred}).distrust == [(5, 5, "dim or blurred")]
    with pytest.raises(InputError, match="looks of 12 volumes, got 11"):
        page_of(run | {"volumes": VolumeLooks(*(np.ones(11),) * 3)})
