"""Files of a run that are damaged in any way: each is read as far as it can be, said to be wrong, and never the end of a command."""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.report import comparison, files, listing, record
from tests.compare import assert_equal
from tests.data.errors import says
from tests.report.run_files import CONFUSION, DIGITS, epochs, make_run

TEXTS = ("config.json", "metrics.jsonl", "result.json", "environment.json", "confusion_matrix.csv", "recipe.toml")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    run = record.read(make_run(tmp_path / "run"))
    assert run.problems == []
    assert run.epochs == epochs(4)
    assert run.confusion is not None
    assert_equal(run.confusion, CONFUSION.astype(np.int64))
    assert (run.name, run.status, run.classes, run.best["epoch"], run.seconds) == ("run", "finished", DIGITS, 3, 6.0)
    assert (run.planned, run.parameters, run.validation_accuracy, run.images_per_second) == (4, 38442, 0.9, 802.5)
    assert str(run.started) == "2026-01-31 12:00:00+00:00"


def test_names_of_classes_in_the_confusion_matrix(tmp_path: Path) -> None:
    """As run_folder writes them: quotes, commas, line feeds."""
    names = ('a "b"', "c,d", "e\nf")
    path = make_run(tmp_path / "run", classes=names, counts=np.arange(9).reshape(3, 3)) / "confusion_matrix.csv"
    assert_equal(files.read_confusion(path), np.arange(9).reshape(3, 3))


@pytest.mark.parametrize(("text", "why"), [
    ("", "not JSON, or cut short"), ('{"a": 1', "not JSON, or cut short"), ("[1]", "not a JSON object"), ("3", "not a JSON object"),
    ("[" * 100_000, "not JSON, or cut short"), ('{"a": ' + "1" * 10_000 + "}", "not JSON, or cut short"),
    ("\x00\xff", "not JSON, or cut short"),
])
def test_objects(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with says(ValueError, why):
        files.read_object(tmp_path / "x.json")


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b" " * 101)
    for name, why in (("pipe", "not a file"), (".", "not a file"), ("none", "missing"),
                      ("large", "larger than 100 bytes, so not what minicnn wrote"), ("x" * 300, "cannot be read (File name too long)")):
        with says(ValueError, why):
            files.read_text(tmp_path / name, 100)
    assert files.read_text(tmp_path / "large", 101) == " " * 101


def test_what_is_no_finite_number_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": NaN, "b": -Infinity, "c": 1e999, "d": [1.5, -1e999]}')
    assert files.read_object(tmp_path / "x.json") == {"a": None, "b": None, "c": None, "d": [1.5, None]}


@pytest.mark.parametrize(("lines", "kept", "wrong"), [
    (['{"epoch": 1}', '{"epoch": 2}'], [1, 2], ""), (['{"epoch": 1}', '{"epo'], [1], "line 2 is not JSON, or cut short"),
    (["", '{"epoch": 1}'], [1], "line 1 is not JSON, or cut short"),
    (['{"epoch": 2}', '{"epoch": 1}'], [2], "line 2 has no epoch, or one out of order"),
    (['{"loss": 2}', '{"epoch": 1.5}', '{"epoch": 0}', '{"epoch": NaN}', '{"epoch": 1e20}'], [],
     "line 1 has no epoch, or one out of order (and 4 more lines)"),
])
def test_epochs(tmp_path: Path, lines: list[str], kept: list[int], wrong: str) -> None:
    (tmp_path / "m").write_text("\n".join(lines))
    found, said = files.read_epochs(tmp_path / "m")
    assert ([epoch["epoch"] for epoch in found], said) == (kept, wrong)


def test_numbers_that_no_run_comes_to_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "m").write_text('{"epoch": 1, "loss": NaN, "accuracy": 1e300, "lr": "x", "seconds": true, "images_per_second": 5}')
    assert files.read_epochs(tmp_path / "m") == ([{"epoch": 1.0, "images_per_second": 5.0}], "")


@pytest.mark.parametrize(("text", "why"), [
    ("", "not a row and a column for each class"), ("x", "not a row and a column for each class"),
    ("x,a,b\na,1,2\n", "not a row and a column for each class"), ("x,a\na,-1", "holds something that is no count"),
    ("x,a\na,1.5", "holds something that is no count"), ("x,a\na," + "9" * 30, "holds something that is no count"),
])
def test_confusion_matrices(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "c").write_text(text)
    with says(ValueError, why):
        files.read_confusion(tmp_path / "c")


def test_the_seconds_of_result_json_come_first(tmp_path: Path) -> None:
    assert record.read(make_run(tmp_path / "run", result={"status": "finished", "seconds": 12.5})).seconds == 12.5


@pytest.mark.parametrize("when", ["yesterday", "2026-01-31T12:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_dates(tmp_path: Path, when: str) -> None:
    """Of any kind; the time of the file where it is none."""
    run = record.read(make_run(tmp_path / "run", environment={"date": when}))
    assert run.started is not None
    assert (run.started.year == 2026 and run.started.month == 1) == when.startswith("2026-01")


def test_a_run_of_minicnn_is_read_without_problems(tmp_path: Path) -> None:
    """What the training itself writes into result.json and the matrix."""
    from minicnn.training import Experiment, recipe_for
    from minicnn.training.progress import Quiet

    result = Experiment.prepare(recipe_for("digits", epochs=1)).run(tmp_path, lambda epochs, images: Quiet())
    run = record.read(result.folder)
    assert run.problems == []
    assert (run.status, len(run.epochs), run.test_accuracy) == ("finished", 1, result.test.accuracy)
    assert run.confusion is not None
    assert_equal(run.confusion, result.test.confusion)
    assert run.environment["cores"] >= 1


@given(data=st.data())
def test_any_damage_is_listed_and_no_more(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Bytes changed, cut off or put in, in any of the files."""
    folder = make_run(tmp_path_factory.mktemp("any") / "run", done=2, classes=("cat", "dog"), counts=np.array([[5, 1], [0, 6]]))
    other = make_run(folder.parent / "other")
    for name in data.draw(st.lists(st.sampled_from(TEXTS), unique=True, min_size=1)):
        path = folder / name
        path.write_bytes(damaged(path.read_bytes(), data))
    runs = [record.read(folder), record.read(other)]
    for width in (60, 10_000):
        listing.blocks(runs, width)
        comparison.blocks(runs, width)
    for order in listing.ORDERS:
        listing.ordered(runs, order)
    json.dumps([listing.as_json(run) for run in runs], allow_nan=False)
    json.dumps(comparison.as_json(runs), allow_nan=False)


def damaged(whole: bytes, data: st.DataObject) -> bytes:
    at = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(at, min(len(whole), at + 20)))
    odd = st.sampled_from([b"-", b"0", b"9" * 20, b"null", b"NaN", b"[", b"{", b'"', b"\n"])
    kinds: list[Any] = [st.just(b""), st.binary(max_size=20), odd]
    return whole[:at] + data.draw(st.one_of(kinds)) + (b"" if data.draw(st.booleans()) else whole[end:])
