"""Metrics against confusion matrices counted by hand."""
from __future__ import annotations

import numpy as np
import pytest

from minicnn.training.metrics import accuracy, confusion_matrix, predictions, short, table, worst
from tests.compare import assert_equal
from tests.data.errors import says

#                  cat dog cow
COUNTS = np.array([[2, 1, 0],                                  # cat
                   [0, 0, 0],                                  # dog: none in the test
                   [1, 0, 12]])                                # cow


def test_a_confusion_matrix_counted_by_hand() -> None:
    labels = [0, 0, 0, 2] + [2] * 12
    predicted = [0, 1, 0, 0] + [2] * 12
    assert_equal(confusion_matrix(predicted, labels, 3), COUNTS)
    assert_equal(confusion_matrix([], [], 2), np.zeros((2, 2), np.int64))


def test_accuracy_takes_the_first_of_equal_scores_and_no_nan() -> None:
    logits = np.array([[1, 1, 0], [0, 2, 1], [np.nan, 5, 0], [-np.inf, -1, 0]])
    assert_equal(predictions(logits), np.array([0, 1, -1, 2]))
    assert accuracy(logits, [0, 2, 1, 2]) == 0.5


def test_the_table_shows_counts_and_the_share_found() -> None:
    assert table(COUNTS, ("cat", "dog", "cow")).splitlines() == [
        " true |   0   1   2  found",
        "0 cat |   2   1   .  66.7%",
        "1 dog |   .   .   .      –",
        "2 cow |   1   .  12  92.3%",
    ]


def test_the_worst_confusions_come_first() -> None:
    counts = np.array([[9, 1, 0], [5, 9, 2], [0, 0, 9]])
    assert worst(counts, ("a", "b", "c")) == ["b taken for a: 5", "b taken for c: 2", "a taken for b: 1"]
    assert worst(np.eye(3, dtype=int), ("a", "b", "c")) == []


def test_long_names_are_cut() -> None:
    assert short("two\nlines ") == "two lines"
    assert short("a" * 24) == "a" * 24
    assert short("a" * 25) == "a" * 23 + "…"
    assert table(np.eye(2, dtype=int), ("b" * 99, "c")).splitlines()[1] == f"0 {'b' * 23}… |   1   . 100.0%"
    assert worst(np.array([[0, 3], [0, 1]]), ("b" * 99, "c")) == [f"{'b' * 23}… taken for c: 3"]


@pytest.mark.parametrize(("predicted", "labels", "text"), [
    ([0, 1], [0], "confusion_matrix: predicted has shape (2,), labels (1,)"),
    ([0, 3], [0, 1], "confusion_matrix: prediction 3 at 1 is out of range: 3 classes are 0..2"),
    ([0, 1], [-1, 1], "confusion_matrix: label -1 at 0 is out of range: 3 classes are 0..2"),
])
def test_errors(predicted: list[int], labels: list[int], text: str) -> None:
    with says(ValueError, text):
        confusion_matrix(predicted, labels, 3)


def test_accuracy_of_nothing() -> None:
    with pytest.raises(ValueError, match=r"^accuracy: there are no labels, so no share of them is right$"):
        accuracy(np.zeros((0, 3)), [])
