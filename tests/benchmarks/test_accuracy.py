"""Time to accuracy: training is `minicnn train`'s, the peers' steps are ours, and who is let in, who reaches the target, who does not."""
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn.benchmarks.accuracy import Course, Finish, Student, collect_accuracy
from minicnn.benchmarks.contestants import BACKENDS, PEERS, Contestant
from minicnn.benchmarks.learning import Learner, Lesson, store_epoch
from minicnn.benchmarks.race import Settings
from minicnn.benchmarks.results import Case, Measurement
from minicnn.benchmarks.verify import Verified
from minicnn.training import Experiment, Recipe, recipe_file
from minicnn.training.progress import Quiet

NUMPY = next(c for c in BACKENDS if c.setting == "numpy")
TORCH = next(c for c in PEERS if c.setting == "contiguous")
PLAIN = Recipe("plain", "convnet", {"layers": [4, "pool", 4], "head": "flatten"}, batch_size=128, epochs=2, goal_accuracy=0.4)
FULL = dataclasses.replace(PLAIN, name="full", optimizer="muon", lr=0.02, adamw_lr=0.01, shift=1, cutout=2, seeds=(3, 4), ema=0.9,
                           options={**PLAIN.options, "dropout": 0.2})


@pytest.mark.parametrize("recipe", [PLAIN, FULL, dataclasses.replace(PLAIN, name="sgd", optimizer="sgd", lr=0.05)], ids=lambda r: r.name)
def test_it_is_the_training_of_minicnn_train(recipe: Recipe, tmp_path: Path) -> None:
    """The weights after all epochs, or their averages, are those of an Experiment, to the last bit."""
    with minicnn.use_backend("numpy"):
        experiment = Experiment.prepare(recipe)
        experiment.run(tmp_path / "runs", lambda *_: Quiet())
        lesson = Lesson.of(recipe)
        loader, rates = lesson.loader(recipe.seed), lesson.rates()
        learner = Learner(NUMPY, lesson.problem(recipe.seed), tmp_path)
        for epoch in range(recipe.epochs):
            store_epoch(loader, tmp_path)
            learner.epoch(rates[epoch * len(loader):(epoch + 1) * len(loader)])
    last = minicnn.training.load_checkpoint(next((tmp_path / "runs").glob("*/last.safetensors")))[0].state_dict()
    network = learner.trainer.average.module if recipe.ema else learner.trainer.model
    for name, value in network.state_dict().items():
        assert np.array_equal(value.array, last[name].array), name


def test_test_images_are_normalised_with_the_training_images_alone() -> None:
    lesson = Lesson.of(PLAIN)
    x, statistics = lesson.test_images(), lesson.statistics
    assert x.dtype == np.float32
    pixels = lesson.test.images.astype(np.float64) / 16
    assert np.abs(x - (pixels - statistics.mean[0]) / statistics.std[0]).max() < 1e-6
    assert len(lesson.train) < 1437, "the validation images are left out"


def test_contestants_learn_alike(tmp_path: Path) -> None:
    """The same weights, batches and rates: after an epoch ours and torch's networks say nearly the same."""
    recipe = dataclasses.replace(FULL, options=PLAIN.options)           # no two libraries drop alike
    lesson = Lesson.of(recipe)
    np.save(tmp_path / "test.npy", lesson.test_images())
    store_epoch(lesson.loader(0), tmp_path)
    logits = []
    for contestant in (NUMPY, TORCH):
        learner = Learner(contestant, lesson.problem(0), tmp_path)
        before = learner.predict()["logits"]
        times = learner.epoch(lesson.rates()[:len(lesson.loader(0))])
        assert len(times) == len(lesson.loader(0)) == len(lesson.train) // 128
        assert min(times) > 0
        logits.append(learner.predict()["logits"])
        change = np.abs(logits[-1] - before).max()
        assert change > 0.05
    assert np.abs(logits[0] - logits[1]).max() < 0.001 * change


@pytest.fixture(scope="module")
def found() -> dict[str, Measurement]:
    liars = [Contestant(f"liar {s}", "tests.benchmarks.liar", s, peer=False) for s in ("bad start", "diverges", "no library")]
    kept = []
    results = collect_accuracy([PLAIN], [NUMPY, *liars], [], Settings(threads=1, rounds=1), keep=kept.append)
    assert kept == [results, results], "before the first recipe and after it"
    assert [(c.id, c.direction) for c in results.cases] == [("recipe:plain", "train")]
    assert results.entrants[0].threads == {"openblas": 1}
    assert recipe_file.parse(results.settings["recipes"]["plain"], "plain") == PLAIN
    return {m.contestant: m for m in results.measurements}


def test_who_learns_has_a_time(found: dict[str, Measurement]) -> None:
    m = found["minicnn numpy"]
    assert (m.refused, m.verified, m.algorithm) == ("", "bounded", "AdamW, label smoothing 0.1")
    assert m.turns == (m.median,)
    assert m.extra["reached"] == (m.extra["accuracy"] >= 0.4)
    assert m.extra["accuracy"] > 0.25, "chance is 0.1"
    assert 1 <= m.extra["epochs"] <= 2
    each, = m.extra["each"]
    assert each["images"] == each["epochs"] * (1297 // 128) * 128
    assert m.extra["images_per_second"] == each["images"] / m.median


@pytest.mark.parametrize(("who", "why"), [
    ("bad start", "logits is wrong: the root mean square of its errors is "),
    ("diverges", "FloatingPointError: the loss is nan at step "),
    ("no library", "ImportError: no module named liar"),
])
def test_who_does_not_has_none(found: dict[str, Measurement], who: str, why: str) -> None:
    m = found[f"liar {who}"]
    assert m.refused.startswith(why)
    assert (m.turns, m.median) == ((), 0.0)


def test_a_recipe_without_a_goal() -> None:
    with pytest.raises(ValueError, match=r"^recipe x: there is no accuracy to reach: add a section \[goal\] with accuracy, such as 0.9$"):
        collect_accuracy([Recipe("x")], [], [], Settings(threads=1))


def test_compilation_is_not_counted(tmp_path: Path) -> None:
    """Each seed's first two steps compile: they count as median steps, and the slowest pair of them is the first call."""
    recipe = dataclasses.replace(PLAIN, epochs=3, batch_size=250)
    course = Course(Lesson.of(recipe), [], Settings(threads=1), str(tmp_path))
    np.savez(course.logits, logits=np.zeros((len(course.lesson.test), 10), np.float32))     # no better than chance: all epochs are needed
    asked = []

    class Trained:
        def ask(self, **request: Any) -> dict[str, Any]:
            asked.append(request["rates"])
            return {"times": [{1: 20.0, 4: 30.0}.get(len(asked), 1.0), 5.0, 1.0, 1.0, 2.0]}

    student = Student(NUMPY, Trained())      # all that an epoch asks of a process
    for seed in (0, 1):
        course._set(seed)
        student.spent, student.images, student.done = 0.0, 0, False
        for epoch in (1, 2, 3):
            course._epoch(student, epoch)
        assert student.done
    seconds = (2 + 2 + 1 + 1 + 2) + 2 * (1 + 5 + 1 + 1 + 2)
    assert student.finished == [Finish(seconds, 3, 0.1, False, 3 * 5 * 250)] * 2
    assert student.first_call == 30 + 5
    assert [*asked[0], *asked[1], *asked[2]] == course.rates == course.lesson.rates()


@pytest.mark.parametrize(("finishes", "reached", "seconds", "epochs"), [
    ([(5.0, 2, True), (7.0, 3, True), (6.0, 2, True)], True, 6.0, 2),
    ([(5.0, 2, True), (9.0, 4, False), (7.0, 3, True)], True, 7.0, 3),
    ([(9.0, 4, False), (9.5, 4, False), (7.0, 3, True)], False, 9.0, 4),
])
def test_who_does_not_reach_the_target_never_will(finishes: list[Any], reached: bool, seconds: float, epochs: int, tmp_path: Path) -> None:
    course = Course(Lesson.of(PLAIN), [], Settings(threads=1, rounds=3), str(tmp_path))
    course._set(0)
    student = Student(NUMPY, None, [Finish(s, e, 0.9, r, 100) for s, e, r in finishes], verified=Verified("exact"))
    m = course.measurement(student, Case("recipe:plain", "train", 1, 1))
    assert (m.extra["reached"], m.median, m.extra["epochs"]) == (reached, seconds, epochs)
    assert m.extra["times_reached"] == sum(r for *_, r in finishes)
    assert m.extra["seeds"] == [0, 1, 2]
