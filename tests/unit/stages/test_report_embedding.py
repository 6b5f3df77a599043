"""The part of the page about the embedding."""

import re

import numpy as np
import pytest

from barlowtrack.data import UNKNOWN, Detections, Embeddings, Traces, Tracks
from barlowtrack.embedding import drift, health, retrieval, tsne, two_volumes
from barlowtrack.showing.thumbnails import PIXELS, thumbnails
from barlowtrack.stages.report.drawing import TimeAxis, house_style
from barlowtrack.stages.report.embedding import embedding_part
from barlowtrack.stages.report.retrieved import retrieval_picture
from barlowtrack.stages.report.similarity import drift_chart, layout_chart, matrices_chart
from tests.unit.stages.test_report import HISTORY, Tags, case, page_of, steps_of


def part_of(html: str) -> str:
    found = re.search(r'<section id="embedding">.*?</section>', html, re.S)
    assert found
    return found.group()


def test_the_part_shows_its_figures_and_says_how_sound_the_embedding_is():
    part = part_of(page_of(case(n_volumes=20)))
    tags = Tags(part)
    assert len([tag for tag, _ in tags.tags if tag == "img"]) == 4  # layout, drift, both matrices, retrieval
    assert tags.text.count("✓") >= 3 + 1  # three findings, and the legend of the retrieval
    assert "has not collapsed" in tags.text
    assert "in 100\u00a0% of the cases; guessing would reach 20\u00a0%" in tags.text


def part_alone(run: dict) -> str:
    vectors, t = run["embeddings"].vectors, run["detections"].t
    inputs = (run[name] for name in ("recording", "detections", "embeddings", "tracks"))
    with house_style():
        return embedding_part(*inputs, health=health(vectors, t), time=TimeAxis(run["traces"].time_s), seed=0)


def unidentified(run: dict) -> dict:
    n, n_volumes = len(run["detections"]), run["recording"].n_volumes
    none = np.full((0, n_volumes), np.nan)
    changed = {
        "tracks": Tracks(np.full(n, UNKNOWN), np.full(n, 0.5), 0),
        "traces": Traces.of_seen(np.arange(float(n_volumes)), *(none,) * 5),
    }
    return run | changed


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(("n_volumes", "n_neurons"), [(1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (3, 5)])
def test_tiny_recordings_have_the_part_too(n_volumes: int, n_neurons: int, named: bool):
    run = case(n_volumes=n_volumes, n_neurons=n_neurons)
    text = Tags(part_alone(run if named else unidentified(run))).text
    if not n_neurons:
        assert "nothing to show" in text
    elif n_volumes == 1 or not named:
        assert "nobody can say" in text


def test_the_layout_says_how_it_was_made_and_of_how_many():
    run = case(n_volumes=20)
    vectors, neuron = run["embeddings"].vectors, run["tracks"].neuron
    assert layout_chart(tsne(vectors, neuron, 0), run["tracks"]).alt.startswith("Embedding of 100 nuclei in two dimensions (t-SNE)")
    assert "40 of 100 nuclei" in layout_chart(tsne(vectors, neuron, 0, most=40), run["tracks"]).alt
    assert "PCA, for 10 are too few" in layout_chart(tsne(vectors[:10], neuron[:10], 0), Tracks(neuron[:10], np.ones(10), 5)).caption
    alike = np.full((100, 8), 8**-0.5, np.float32)
    assert "no layout, for all of them look alike" in layout_chart(tsne(alike, neuron, 0), run["tracks"]).caption


def test_drift_is_in_words_too():
    run = case(n_volumes=20)
    found = drift(run["embeddings"].vectors, run["detections"].t, run["tracks"].neuron)
    alt = drift_chart(found, TimeAxis(run["traces"].time_s)).alt
    assert f"{found.same[0]:.2f} after 1, {found.same[-1]:.2f} after 16 volumes" in alt
    alone = drift(np.ones((2, 1), np.float32), np.arange(2), np.zeros(2, int))
    assert "1.00 after 1 volumes" in drift_chart(alone, TimeAxis(np.arange(2.0))).alt
    assert "nan" not in drift_chart(alone, TimeAxis(np.arange(2.0))).alt  # there is no other neuron


def test_both_matrices_say_their_diagonals():
    run = case(n_volumes=4)
    vectors = np.eye(8, dtype=np.float32)[run["tracks"].neuron]
    pair = two_volumes(run["detections"].t, run["tracks"].neuron)
    picture = matrices_chart(vectors, pair)
    assert "volume 0 against 3" in picture.alt
    assert "objects: 1.00 on the diagonal, 0.14 off it" in picture.alt  # of 8 features with a single one each: -1/7
    own = matrices_chart(vectors[:5], two_volumes(run["detections"].t[:5], run["tracks"].neuron[:5]))
    assert "by construction" in own.caption
    assert "-0.00" not in matrices_chart(np.ones((20, 8), np.float32), pair).alt


def test_retrieval_pictures_name_right_and_wrong():
    run = case(n_volumes=8)
    neuron = run["tracks"].neuron.copy()
    wrong = run["detections"].t == 0
    neuron[wrong] = np.roll(neuron[wrong], 1)
    tracks = Tracks(neuron, run["tracks"].probability, 5)
    answers = retrieval(run["embeddings"].vectors, run["detections"].t, neuron)
    picture = retrieval_picture(run["recording"], run["detections"], tracks, answers)
    assert "with 25, and not with 5" in picture.alt
    assert sorted(run["recording"].source.reads) == [0, 1, 2, 4, 5, 6, 7]  # each once


def test_a_crop_shows_its_nucleus_in_the_middle_whatever_is_not_finite_elsewhere():
    run = case(n_volumes=2, n_neurons=1)
    source = run["recording"].source

    def read(t: int) -> np.ndarray:
        volume = np.zeros(source.shape[1:], np.float32)
        volume[:, :, -1, -1] = np.nan
        for z, y, x in np.round(run["detections"].position_um[run["detections"].rows_of(t)] / (2.0, 0.5, 0.5)).astype(int):
            volume[:, z, y, x] = 100.0
        return volume

    source.read = read
    answers = retrieval(run["embeddings"].vectors, run["detections"].t, run["tracks"].neuron)
    images = thumbnails(run["recording"], run["detections"], np.concatenate([answers.query, answers.found.ravel()]))
    assert sorted(images) == [0, 1]
    for image in images.values():
        assert image.shape == (PIXELS, PIXELS)
        assert np.isfinite(image).all()
        y, x = np.unravel_index(image.argmax(), image.shape)
        assert abs(y - PIXELS / 2) <= 3
        assert abs(x - PIXELS / 2) <= 3


def test_advice_about_the_embedding():
    run = case(n_volumes=20, n_neurons=12)
    assert steps_of(run) == []
    vectors = run["embeddings"].vectors
    dead = np.concatenate([vectors, np.full((len(vectors), 8), 0.1, np.float32)], axis=1)
    assert any(step.startswith("8 of 16 dimensions of the embedding are dead") for step in steps_of(run | {"embeddings": Embeddings(dead)}))
    common = np.random.default_rng(0).normal(size=(20, 8))[run["detections"].t]
    shared = Embeddings((vectors + common).astype(np.float32))
    assert any("of the embedding's variance is shared by all nuclei of a volume" in step for step in steps_of(run | {"embeddings": shared}))
    as_it_is = {name: column[:1] for name, column in HISTORY.items()}
    for history, said in ((HISTORY, "Train longer"), (as_it_is, "--set train.mode=fine-tune")):
        steps = steps_of(run | {"embeddings": Embeddings(dead), "history": history})
        assert any("dimensions of the embedding are dead" in step and said in step for step in steps)


def test_without_a_nucleus_there_is_nothing_to_say_of_the_embedding():
    run = case(n_neurons=0, n_volumes=2)
    assert isinstance(run["detections"], Detections)
    assert not any("embedding" in step for step in steps_of(run))
