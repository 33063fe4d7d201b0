"""The time left of a whole training, with a clock that the tests turn."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.training.pace import FORWARD, Pace


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def epoch(pace: Pace, clock: Clock, number: int, batches: int, each: float, validation: float = 0.0) -> None:
    """Batches of 10 images, `each` seconds long."""
    for batch in range(1, batches + 1):
        clock.now += each
        pace.batch(number, 10 * batch)
    clock.now += validation
    pace.epoch()


def test_nothing_is_known_before_the_second_batch() -> None:
    clock = Clock()
    pace = Pace(3, 100, clock=clock)
    assert (pace.remaining, pace.images_per_second) == (None, 0)
    clock.now += 9                                             # memory, compilation
    pace.batch(1, 10)
    assert (pace.remaining, pace.images_per_second) == (None, 0)
    clock.now += 1
    pace.batch(1, 20)
    assert pace.remaining == pytest.approx(28)                 # 280 images at 10 a second, whatever the first batch took
    assert pace.images_per_second == pytest.approx(10)


def test_validation_counts_before_it_has_been_seen_and_then_as_it_was() -> None:
    clock = Clock()
    pace = Pace(2, 100, 30, clock)
    clock.now += 5
    pace.batch(1, 10)
    clock.now += 1
    pace.batch(1, 20)
    assert pace.remaining == pytest.approx(18 + 2 * 30 * FORWARD / 10)
    for images in range(30, 110, 10):
        clock.now += 1
        pace.batch(1, images)
    assert pace.validating
    assert pace.remaining == pytest.approx(10 + 2 * 30 * FORWARD / 10)
    clock.now += 4
    pace.epoch()
    assert not pace.validating
    assert pace.remaining == pytest.approx(10 + 4)
    epoch(pace, clock, 2, 10, 1.0, 4.0)
    assert pace.remaining == 0


def test_it_counts_down_within_a_batch() -> None:
    clock = Clock()
    pace = Pace(1, 100, clock=clock)
    for images in (10, 20):
        clock.now += 5
        pace.batch(1, images)
    assert pace.remaining == pytest.approx(40)
    clock.now += 3
    assert pace.remaining == pytest.approx(37)
    clock.now += 100
    assert pace.remaining == 0


def test_compilation_does_not_count() -> None:
    clock = Clock()
    pace = Pace(1, 100, clock=clock)
    clock.now += 1
    pace.batch(1, 10)
    clock.now += 31
    pace.lost(30)
    pace.batch(1, 20)
    assert pace.remaining == pytest.approx(8)


def test_a_training_that_goes_on_in_the_middle_of_an_epoch() -> None:
    clock = Clock()
    pace = Pace(4, 100, clock=clock)
    clock.now += 1
    pace.batch(3, 60)                                          # the first batch after the pause: 50 images were there already
    clock.now += 1
    pace.batch(3, 70)
    assert pace.remaining == pytest.approx(13)
    assert pace.images_per_second == pytest.approx(10)


def test_the_present_epoch_and_the_one_before_count_not_those_long_ago() -> None:
    clock = Clock()
    pace = Pace(10, 100, clock=clock)
    for number, each in ((1, 9.0), (2, 9.0), (3, 1.0), (4, 1.0)):
        epoch(pace, clock, number, 10, each)
    assert pace.remaining == pytest.approx(60)


@given(epochs=st.integers(1, 5), batches=st.integers(1, 6), each=st.floats(0.01, 10), share=st.floats(0, 2))
def test_a_steady_training_ends_when_it_was_said(epochs: int, batches: int, each: float, share: float) -> None:
    """From the second epoch on, at any moment."""
    clock = Clock()
    validation = share * each
    pace = Pace(epochs, 10 * batches, 10 if share else 0, clock)
    end = clock.now + epochs * (batches * each + validation)
    for number in range(1, epochs + 1):
        for batch in range(1, batches + 1):
            clock.now += each
            pace.batch(number, 10 * batch)
            if number > 1:
                assert pace.remaining == pytest.approx(end - clock.now, abs=1e-6)
        clock.now += validation
        pace.epoch()
        if epochs > 1 and number > 1:
            assert pace.remaining == pytest.approx(end - clock.now, abs=1e-6)
