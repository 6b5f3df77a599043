"""What twenty answers of a person are worth: those the review queue asks for, beside as many at random; and what heeding them costs.

python benchmarks/bench_corrections.py --presets mid hard --seeds 0 1 2
python benchmarks/bench_corrections.py --cost --repeat 11 --presets mid hard --seeds 0

True positions of the synthetic worm, 10 % dropped, 10 % false ones, .3 um of jitter, as in bench_track.py.
The person knows the truth, and calls neurons by the ids that most of their detections have; a neuron that has none is new. What counts:
true detections with the right identity.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
from bench_track import Scene, detections_at, synthetic_scene
from threadpoolctl import threadpool_limits

from barlowtrack.config import ComputeConfig, TrackConfig
from barlowtrack.data import UNKNOWN, Candidates, Correction, Corrections, Embeddings, Identities, Tracks, VolumeLooks
from barlowtrack.evaluate.matching import map_ids
from barlowtrack.identity.heed import heed
from barlowtrack.identity.review import Question, review
from barlowtrack.identity.rulings import rule
from barlowtrack.stages.identify import Identification, identify
from barlowtrack.stages.track import track


@dataclass(frozen=True)
class Person:
    """Knows who every detection truly is, and which of our ids that neuron has."""

    scene: Scene
    id_of: dict[int, int]

    def on(self, row: int, line: int) -> Correction:
        """What the person says of a detection."""
        detections, true = self.scene.detections, int(self.scene.true[row])
        t, label = int(detections.t[row]), int(detections.label[row])
        if true == UNKNOWN:
            return Correction("not-a-neuron", t=t, label=label, line=line)
        return Correction("is", t=t, label=label, neuron=str(self.id_of[true]) if true in self.id_of else f"true {true}", line=line)

    def on_question(self, question: Question, neuron: np.ndarray, line: int) -> Correction | None:
        """The answer to a question of the queue; None: two neurons that are two."""
        if question.kind == "nobody":
            mostly = np.bincount(self.scene.true[neuron == question.neuron] + 1).argmax() - 1
            if mostly == UNKNOWN:
                return Correction("not-a-neuron", neuron=str(question.neuron), line=line)
            return self._on_question(question, line)
        if question.kind != "same":
            return self._on_question(question, line)
        mostly = [np.bincount(self.scene.true[neuron == k] + 1).argmax() for k in (question.neuron, question.other)]
        if mostly[0] != mostly[1]:
            return None
        return Correction("merge", neuron=str(question.neuron), other=str(question.other), line=line)

    def _on_question(self, question: Question, line: int) -> Correction:
        rows = self.scene.detections.rows_of(question.t)
        return self.on(rows.start + int(np.flatnonzero(self.scene.detections.label[rows] == question.label)[0]), line)


def identified(scene: Scene) -> Identification:
    n = scene.detections.n_volumes
    alike = VolumeLooks(np.bincount(scene.detections.t, minlength=n), np.ones(n), np.ones(n))
    looks = scene.embeddings.vectors.shape[1] > 1
    config, compute = TrackConfig(appearance=looks), ComputeConfig(workers=1)
    return identify(scene.detections, alike, scene.embeddings, config=config, compute=compute, seed=0)


def tracked(scene: Scene, found: Identification, said: list[Correction]) -> Tracks:
    table = Corrections(tuple(said))
    return track(scene.detections, scene.embeddings, found.learned, found.identities, table, config=TrackConfig()).tracks


def right(scene: Scene, neuron: np.ndarray) -> tuple[np.ndarray, dict[int, int]]:
    """(N,) whether each true detection has the right id, after one mapping for the whole recording; and that mapping, ours to true."""
    rows = np.flatnonzero((scene.true >= 0) & (neuron >= 0))
    mapping = map_ids(neuron[rows], scene.true[rows])
    true_of = np.array([mapping.get(k, -2) for k in range(int(neuron.max(initial=0)) + 1)] + [-2])
    return (scene.true >= 0) & (true_of[neuron] == scene.true), mapping


def misnamed(scene: Scene, neuron: np.ndarray) -> int:
    """Detections, false ones among them, that carry a wrong id."""
    return int(((neuron >= 0) & ~right(scene, neuron)[0]).sum())


def ask(scene: Scene, found: Identification, n: int, rounds: int) -> tuple[list[Correction], list[tuple[Question, Correction | None]]]:
    """Answers n questions of the queue, which is made anew after every n / rounds of them."""
    rulings = rule(Corrections(), scene.detections, found.identities)
    before = heed(rulings, scene.detections, scene.embeddings.vectors, found.learned, found.identities)
    person = Person(scene, {true: ours for ours, true in right(scene, before.neuron)[1].items()})
    said: list[Correction] = []
    asked = []
    for _ in range(rounds):
        rulings = rule(Corrections(tuple(said)), scene.detections, found.identities)
        now = heed(rulings, scene.detections, scene.embeddings.vectors, found.learned, found.identities)
        for question in review(scene.detections, now, rulings, n // rounds):
            answer = person.on_question(question, now.neuron, len(said) + 2)
            asked.append((question, answer))
            said += [answer] if answer is not None else []
    return said, asked


def random_answers(scene: Scene, found: Identification, n: int, seed: int) -> list[Correction]:
    base = tracked(scene, found, []).neuron
    person = Person(scene, {true: ours for ours, true in right(scene, base)[1].items()})
    rows = np.random.default_rng(seed).choice(len(scene.detections), n, replace=False)
    return [person.on(int(row), line) for line, row in enumerate(np.sort(rows), 2)]


def worth(scene: Scene, found: Identification, n: int, draws: int) -> tuple[float, int]:
    """Prints what answers are worth; returns how many more are right by random ones, on average, and by the queue's."""
    before_all = tracked(scene, found, []).neuron
    before = right(scene, before_all)[0].sum()

    def gain(said: list[Correction]) -> int:
        return int(right(scene, tracked(scene, found, said).neuron)[0].sum() - before)

    at_random = [gain(random_answers(scene, found, n, seed)) for seed in range(draws)]
    said, asked = ask(scene, found, n, 1)
    at_once, in_rounds = gain(said), gain(ask(scene, found, n, 4)[0])
    ratio = f"{at_once / np.mean(at_random):.1f} times" if np.mean(at_random) > 0 else "random ones help nobody"
    wrong = scene.true[scene.true >= 0].size - before
    print(f"{scene.name:22s}{wrong:7d} wrong; right by {n} answers: random {np.mean(at_random):6.1f} +- {np.std(at_random):.1f}, "
          f"queue {at_once:4d} ({ratio}), queue in 4 rounds {in_rounds:4d}", flush=True)  # fmt: skip
    kinds: dict[str, list[tuple[float, int, int]]] = defaultdict(list)
    for question, answer in asked:
        alone = [] if answer is None else [replace(answer, line=2)]
        kinds[question.kind].append(
            (question.gain, gain(alone), misnamed(scene, before_all) - misnamed(scene, tracked(scene, found, alone).neuron))
        )
    for kind, triples in kinds.items():
        promised, came, fewer = np.mean(triples, axis=0)
        print(f"{'':22s}{kind:8s}{len(triples):3d} questions, each by itself: promised {promised:.1f}, {came:.1f} more are right, "
              f"{fewer:.1f} fewer carry a wrong id", flush=True)  # fmt: skip
    return float(np.mean(at_random)), at_once


def repeated(scene: Scene, found: Identification, times: int) -> tuple[Scene, Identification]:
    """A recording of so many copies, identified as the one is: as long as need be, without learning so long."""
    old, who = scene.detections, found.identities
    t = np.concatenate([old.t + i * old.n_volumes for i in range(times)])
    detections = detections_at(t, np.tile(old.position_um, (times, 1)), times * old.n_volumes)
    candidates = Candidates(*(np.tile(column, (times, 1)) for column in (who.candidates.neuron, who.candidates.probability)))
    of_volumes = np.tile(who.absent, (times, 1)), np.tile(who.place_um, (times, 1, 1))
    identities = Identities(np.tile(who.neuron, times), np.tile(who.probability, times), candidates, *of_volumes)
    longer = Scene(scene.name, detections, Embeddings(np.tile(scene.embeddings.vectors, (times, 1))), np.tile(scene.true, times), 0)
    return longer, Identification(found.learned, identities)


def cost(scene: Scene, found: Identification, n: int) -> None:
    print(f"{scene.name:22s}{scene.detections.n_volumes} volumes, {len(scene.detections)} detections", flush=True)
    said, _ = ask(scene, found, n, 1)
    rulings = rule(Corrections(), scene.detections, found.identities)
    heard = heed(rulings, scene.detections, scene.embeddings.vectors, found.learned, found.identities)
    tasks = {
        "track without corrections": lambda: tracked(scene, found, []),
        f"track with {len(said)}": lambda: tracked(scene, found, said),
        "the queue": lambda: review(scene.detections, heard, rulings, n),
    }
    for name, task in tasks.items():
        wall, busy = time.perf_counter(), time.process_time()
        task()
        print(f"{'':22s}{name:28s}{time.perf_counter() - wall:6.2f} s, {time.process_time() - busy:.2f} s of one core", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="*", default=["mid", "hard"])
    parser.add_argument("--looks", nargs="*", default=["none"], help="scatter of looks, relative to that between neurons")
    parser.add_argument("--volumes", type=int, default=150)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--answers", type=int, default=20)
    parser.add_argument("--draws", type=int, default=10, help="how often random answers are drawn")
    parser.add_argument("--cost", action="store_true", help="measure time instead")
    parser.add_argument("--repeat", type=int, default=1, help="with --cost: so many copies of the recording, one after the other")
    arguments = parser.parse_args()
    for preset in arguments.presets:
        for looks in arguments.looks:
            gains = []
            for seed in arguments.seeds:
                scene = synthetic_scene(preset, arguments.volumes, None if looks == "none" else float(looks), seed)
                with threadpool_limits(1):
                    found = identified(scene)
                    if arguments.cost:
                        cost(*repeated(scene, found, arguments.repeat), arguments.answers)
                    else:
                        gains.append(worth(scene, found, arguments.answers, arguments.draws))
            if gains:
                at_random, queue = np.sum(gains, axis=0)
                print(f"{preset}, looks {looks}: over {len(gains)} seeds random {at_random:.1f}, queue {queue:.0f}", flush=True)


if __name__ == "__main__":
    main()
