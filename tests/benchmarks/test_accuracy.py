"""Time to accuracy: the shared task, and who is let in, who reaches the target, who does not."""
import dataclasses
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minicnn.benchmarks.accuracy import Course, Student, collect_accuracy
from minicnn.benchmarks.contestants import BACKENDS, PEERS, Contestant
from minicnn.benchmarks.learning import TASKS, Learner
from minicnn.benchmarks.race import Settings
from minicnn.benchmarks.results import Measurement

NUMPY = next(c for c in BACKENDS if c.setting == "numpy")
TORCH = next(c for c in PEERS if c.setting == "contiguous")
DIGITS = TASKS["digits"]
SHORT = dataclasses.replace(DIGITS, epochs=3, target=0.5)


def test_every_epoch_has_an_order_of_its_own_which_the_seed_decides() -> None:
    orders = {(seed, epoch): DIGITS.order(epoch, seed) for seed in (0, 1) for epoch in (0, 1)}
    images = len(DIGITS.images[0])
    for key, order in orders.items():
        assert order.shape == (images // 64, 64)
        assert len(np.unique(order)) == order.size
        assert np.array_equal(order, DIGITS.order(key[1], key[0]))
    assert len({order.tobytes() for order in orders.values()}) == 4


def test_the_learning_rate_rises_and_falls() -> None:
    steps = DIGITS.epochs * DIGITS.steps_per_epoch
    rates = [DIGITS.learning_rate(step) for step in range(steps)]
    top = int(np.argmax(rates))
    assert abs(top - steps / 5) <= 1
    assert 0.99 * DIGITS.lr < rates[top] <= DIGITS.lr
    assert all(a < b for a, b in pairwise(rates[:top + 1]))
    assert all(a > b for a, b in pairwise(rates[top:]))
    assert 0 < rates[-1] < 0.001 * DIGITS.lr


def test_images_are_normalised_with_the_training_images_alone() -> None:
    x, labels, test_x, test_labels = DIGITS.images
    assert (abs(x.mean()) < 1e-5, x.dtype, test_x.dtype) == (True, np.float32, np.float32)
    assert abs(x.std() - 1) < 1e-5
    assert abs(test_x.std() - 1) > 1e-5
    assert (len(x), len(test_x)) == (len(labels), len(test_labels))


def test_contestants_learn_alike() -> None:
    """The same weights, batches and rates: after an epoch ours and torch's networks say nearly the same."""
    logits = []
    for contestant in (NUMPY, TORCH):
        learner = Learner(contestant, dataclasses.replace(DIGITS, epochs=1), seed=0)
        before = learner.predict()["logits"]
        times = learner.epoch()
        assert len(times) == DIGITS.steps_per_epoch
        assert min(times) > 0
        logits.append(learner.predict()["logits"])
        change = np.abs(logits[-1] - before).max()
        assert change > 0.05
    assert np.abs(logits[0] - logits[1]).max() < 0.001 * change


@pytest.fixture(scope="module")
def found() -> dict[str, Measurement]:
    liars = [Contestant(f"liar {s}", "tests.benchmarks.liar", s, peer=False) for s in ("bad start", "diverges", "no library")]
    kept = []
    results = collect_accuracy([SHORT], [NUMPY, *liars], [], Settings(threads=1, rounds=1), keep=kept.append)
    assert kept == [results, results], "before the first task and after it"
    assert [(c.id, c.direction) for c in results.cases] == [("digits:tinyvgg:mb64", "train")]
    assert results.entrants[0].threads == {"openblas": 1}
    return {m.contestant: m for m in results.measurements}


def test_who_learns_has_a_time(found: dict[str, Measurement]) -> None:
    m = found["minicnn numpy"]
    assert (m.refused, m.verified) == ("", "bounded")
    assert m.turns == (m.median,)
    assert m.extra["seconds"] == m.median > 0
    assert m.extra["reached"] == (m.extra["accuracy"] >= 0.5)
    assert m.extra["accuracy"] > 0.3, "chance is 0.1"
    assert 1 <= m.extra["epochs"] <= 3


@pytest.mark.parametrize(("who", "why"), [
    ("bad start", "logits is wrong: the root mean square of its errors is "),
    ("diverges", "FloatingPointError: the loss is nan at step "),
    ("no library", "ImportError: no module named liar"),
])
def test_who_does_not_has_none(found: dict[str, Measurement], who: str, why: str) -> None:
    m = found[f"liar {who}"]
    assert m.refused.startswith(why)
    assert (m.turns, m.median) == ((), 0.0)


def test_compilation_is_not_counted(tmp_path: Path) -> None:
    """Each seed's first step compiles: it counts as a median step, and the slowest of them is the first call."""
    course = Course(SHORT, [], Settings(threads=1), str(tmp_path))
    np.savez(course.path, logits=np.zeros((len(course.labels), 10), np.float32))        # no better than chance: all epochs are needed

    class Trained:
        def __init__(self) -> None:
            self.epochs = 0

        def ask(self, **_: Any) -> dict[str, Any]:
            self.epochs += 1
            return {"times": [{1: 20.0, 4: 30.0}.get(self.epochs, 1.0), 1.0, 2.0]}

    student = Student(NUMPY, Trained())      # all that an epoch asks of a process
    for _ in range(2):
        student.spent, student.done = 0.0, False
        for epoch in (1, 2, 3):
            course._epoch(student, epoch)
        assert student.done
    assert student.seconds == [2 + 1 + 2 + 2 * (1 + 1 + 2)] * 2
    assert student.first_call == 30
