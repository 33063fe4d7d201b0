"""The page of a run: all its parts, any names, any part of a run that there is."""
from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import report
from minicnn.data import ArrayDataset, load
from minicnn.report import page, record
from tests.data.errors import says
from tests.report.html_check import Found, check
from tests.report.run_files import CONFUSION, DIGITS, make_run

ALL = ["Learning curves", "Class by class", "Worst mistakes", "First layer", "Layers", "Speed", "Recipe", "Environment"]
HOSTILE = ("<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "</style><script>alert(1)</script>", "'&amp; &lt;b&gt;",
           "</td></table>", "a\x00b\x1b[31m", "\udcff\udc80", "\u202egnp.exe", "x" * 300, "кот 猫")


def written(folder: Path, **options: Any) -> tuple[str, Found]:
    result = report.write(folder, **options)
    text = result.path.read_text()
    assert result.size == len(text.encode()) == result.path.stat().st_size
    return text, check(text)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("runs") / "whole", network=True)
    report.write(folder)
    return folder


def test_a_whole_run_has_all_parts(whole: Path) -> None:
    text, found = written(whole)
    assert found.headings == ALL
    assert (whole / "report.html").read_text() == text, "another page from the same files"
    accuracy = np.trace(CONFUSION) / CONFUSION.sum()
    assert f"digits on digits: {np.trace(CONFUSION)} of {CONFUSION.sum()} test images are right, {accuracy:.2%}" in found.text
    for said in ("90.00%", "epoch 3, whose weights are kept", "38,442", "6.0 s", "802", "A CPU, 2 cores", "0 taken for 1: 3",
                 "minicnn train", "8.00 GB", "31 January 2026, 12:00 UTC", 'name = "digits"', "multiply-adds per second"):
        assert said in found.text, said
    assert len([alt for alt in found.pictures if alt.startswith("Test image")]) == 24
    assert len([alt for alt in found.pictures if alt.startswith("Filter")]) == 32
    assert found.tags["svg"] == 4
    assert len(text) < 100_000
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_it_may_go_elsewhere(whole: Path, tmp_path: Path) -> None:
    result = report.write(whole, out=tmp_path / "page.html")
    assert result.path == tmp_path / "page.html"
    assert result.path.read_bytes() == (whole / "report.html").read_bytes()
    with pytest.raises(OSError, match=r"^cannot write .*/none/page.html: No such file or directory$"):
        report.write(whole, out=tmp_path / "none" / "page.html")


def test_names_that_would_be_markup(tmp_path: Path) -> None:
    """Of classes, the run, the model, the command, the error, the recipe: all are shown as they are."""
    script = HOSTILE[0]
    folder = make_run(tmp_path / script.replace("/", "∕"), network=True, classes=HOSTILE, model="digits", backend=script, name=script,
                      dataset="digits", result={"status": script, "error": script, "test_accuracy": 0.5, "test_images": 10},
                      environment=dict.fromkeys(("date", "command", "cpu", "os", "python", "blas", "revision"), script)
                      | {"versions": {script: script}, "variables": {script: script}})
    (folder / "recipe.toml").write_text(f"</pre>{script}")
    _, digits = load("digits")
    test = ArrayDataset(digits.images, digits.labels, HOSTILE, digits.max_value)
    text, found = written(folder, test=test)
    assert found.headings == ALL
    for name in (HOSTILE[0], "</style><script>alert(1)</s…", "'&amp; &lt;b&gt;", "</td></table>", "a�b�[31m", "��", "�gnp.exe",
                 "x" * 23, "кот 猫"):
        assert name in found.text, name
    assert "</pre><script>" in found.text
    assert not re.search(r"<script|<img src=x|[\x00-\x08\x1b\u202e]", text)


@pytest.mark.parametrize("missing", ["metrics.jsonl", "result.json", "environment.json", "confusion_matrix.csv", "recipe.toml",
                                     "best.safetensors", "config.json"])
def test_what_is_missing_is_left_out(whole: Path, tmp_path: Path, missing: str) -> None:
    for path in whole.iterdir():
        if path.name not in (missing, "report.html"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    _, found = written(tmp_path)
    gone = {"metrics.jsonl": {"Learning curves", "Speed"}, "confusion_matrix.csv": {"Class by class", "Worst mistakes"},
            "best.safetensors": {"Worst mistakes", "First layer", "Layers"}, "environment.json": {"Environment"},
            "config.json": {"Worst mistakes"}}.get(missing, set())
    assert found.headings == [part for part in ALL if part not in gone]
    if missing == "best.safetensors":
        assert f"No filters and layers: {tmp_path} is not a run of minicnn train: it has no best.safetensors." in found.text
    if missing == "config.json":
        assert "config.json: missing" in found.text


@pytest.mark.parametrize(("status", "error", "said"), [
    ("interrupted", None, "This run was interrupted after 2 of 4 epochs."),
    ("failed", "training diverged: the loss is nan", "This run failed after 2 of 4 epochs: training diverged: the loss is nan."),
    ("failed", "cannot write last.safetensors: No space left on device",
     "This run failed after 2 of 4 epochs: cannot write last.safetensors: No space left on device."),
    (None, None, "This run has not finished: it runs still, or was killed after 2 of 4 epochs."),
])
def test_a_run_that_did_not_finish(tmp_path: Path, status: str | None, error: str | None, said: str) -> None:
    folder = make_run(tmp_path / "run", done=2, network=True, counts=None, result={"status": status, "error": error, "epochs": 2})
    if status is None:
        (folder / "result.json").unlink()
    (folder / "best.safetensors").rename(folder / "last.safetensors")
    (folder / "checkpoint-previous.safetensors").write_bytes(b"")
    _, found = written(folder)
    assert said in found.text
    assert (f"Go on with: minicnn train --resume {folder}" in found.text) == ("diverged" not in said)      # it would only diverge again
    assert "90.00% of the validation images are right; the test images have not been used, after 2 epochs in 3.0 s." in found.text
    assert found.headings == [part for part in ALL if part not in ("Class by class", "Worst mistakes")]


def test_before_the_first_epoch(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", done=0, counts=None, result={})
    _, found = written(folder)
    assert "digits on digits: nothing was tested." in found.text
    assert found.headings == ["Recipe", "Environment"]


def test_weights_that_are_damaged(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "best.safetensors").write_bytes(b"nothing")
    _, found = written(folder)
    assert f"No filters and layers: {folder}/best.safetensors: not a .safetensors file, or a damaged one" in found.text


def test_test_images_that_are_not_there_or_have_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path / "nothing"))
    monkeypatch.setattr("minicnn.data.locate.find", lambda *_: None)
    for i, (dataset, said) in enumerate((
        ("mnist", "No worst mistakes: the files of mnist are not on this machine; name their folder with --data."),
        ("/nowhere/birds", "No worst mistakes: there is no folder /nowhere/birds."),
    )):
        folder = make_run(tmp_path / str(i), network=True, dataset=dataset)
        result = report.write(folder)
        assert said in check(result.path.read_text()).text
        assert result.missing == [said]
    other = ArrayDataset(np.zeros((4, 1, 9, 9), np.uint8), np.arange(4), DIGITS)
    _, found = written(make_run(tmp_path / "other", network=True), test=other)
    assert "No worst mistakes: the test images have changed since the training: other sizes or classes." in found.text


def test_many_classes_are_a_picture(tmp_path: Path) -> None:
    names = tuple(f"class {i}" for i in range(300))
    counts = np.eye(300, dtype=int) * 5 + np.eye(300, k=7, dtype=int)
    text, found = written(make_run(tmp_path / "many", classes=names, counts=counts))
    assert "300 classes, from dark (none) to bright (all)" in found.text
    assert "The 40 of 300 classes with the lowest recall." in found.text
    assert any(alt.startswith("The confusion matrix of 300 classes as a picture") for alt in found.pictures)
    assert len(text) < 200_000


def test_many_epochs_stay_small(tmp_path: Path) -> None:
    text, found = written(make_run(tmp_path / "long", done=5000, epochs=5000))
    assert "5,000 epochs of 1,200 images" in found.text
    assert len(text) < 200_000


def test_what_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, why in ((tmp_path / "none", "there is no such folder"), (tmp_path / "file", "a file"),
                      (tmp_path, "it has none of config.json, metrics.jsonl, result.json, best.safetensors, last.safetensors")):
        with says(ValueError, f"{path} is not a run of minicnn train: {why}"):
            report.write(path)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=12)


@given(data=st.data())
def test_any_values_make_a_page(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """JSON of any kind in the place of any value; the page is in order whatever it says."""
    folder = make_run(tmp_path_factory.mktemp("any") / "run", done=2, classes=("cat", "dog"), counts=np.array([[5, 1], [0, 6]]))
    for name in ("config.json", "result.json", "environment.json"):
        values = json.loads((folder / name).read_text())
        for key in data.draw(st.lists(st.sampled_from(sorted(values)), unique=True)):
            values[key] = data.draw(JSON)
        (folder / name).write_text(json.dumps(values))
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        for key in data.draw(st.lists(st.sampled_from(sorted(line)), unique=True, max_size=3)):
            line[key] = data.draw(JSON)
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text, _ = page.page(record.read(folder))
    check(text)


def test_the_page_needs_no_matplotlib(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert written(whole)[1].headings == ALL
