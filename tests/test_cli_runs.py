"""`minicnn runs` and `minicnn report`: lists, comparisons and pages of runs, whatever state their folders are in."""
from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from minicnn import document
from minicnn.report import comparison, listing, record
from tests.command_line import minicnn, ok, refused
from tests.report.html_check import check
from tests.report.run_files import DIGITS, make_run


@pytest.fixture
def some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with runs/: a good run, a better, smaller and newer one, and one that failed."""
    runs = tmp_path / "runs"
    good = np.diag([30] * 10)
    good[0, 1] = 5
    make_run(runs / "good", counts=good)
    make_run(runs / "better", counts=np.diag([30] * 10), parameters=1000, done=3, epochs=3, lr=0.02, model="lenet",
             environment={"date": "2026-02-01T12:00:00+00:00"})
    make_run(runs / "failed", counts=None, done=1, result={"status": "failed", "error": "training diverged: the loss is nan"},
             environment={"date": "2025-02-01T12:00:00+00:00"})
    monkeypatch.chdir(tmp_path)
    return runs


def names(output: str) -> list[str]:
    return [line.split()[0] for line in output.splitlines()[1:] if line and not line.startswith(" ")]


def test_the_newest_run_stands_first(some: Path) -> None:
    output = ok("runs")
    heads = ["run", "status", "recipe", "epochs", "validation", "test", "parameters", "time", "when", "(UTC)"]
    assert output.splitlines()[0].split() == heads
    assert names(output)[:3] == ["better", "good", "failed"]
    rows = {line.split()[0]: line.split() for line in output.splitlines()[1:4]}
    assert rows["better"] == ["better", "finished", "digits-lenet", "3", "90.00%", "100.00%", "1,000", "0:05", "2026-02-01", "12:00"]
    assert rows["good"] == ["good", "finished", "digits-digits", "4", "90.00%", "98.36%", "38,442", "0:06", "2026-01-31", "12:00"]
    assert rows["failed"][:5] == ["failed", "failed", "digits-digits", "1/4", "51.00%"]
    assert output.splitlines()[-1] == "failed: failed; training diverged: the loss is nan"
    assert ok("runs", some) == output
    assert names(ok("runs", some, "better"))[:4] == ["better", "better", "good", "failed"], "a folder and a run are a list"


@pytest.mark.parametrize(("order", "expected"), [
    ("date", ["better", "good", "failed"]), ("accuracy", ["better", "good", "failed"]), ("validation", ["better", "good", "failed"]),
    ("parameters", ["better", "failed", "good"]), ("time", ["failed", "better", "good"]), ("name", ["better", "failed", "good"])])
def test_orders(some: Path, order: str, expected: list[str]) -> None:
    assert names(ok("runs", "--sort", order))[:3] == expected
    assert [run["name"] for run in json.loads(ok("runs", "--sort", order, "--json"))] == expected


def test_json(some: Path) -> None:
    better, _, failed = json.loads(ok("runs", "--json"))
    assert better == {
        "name": "better", "folder": "runs/better", "status": "finished", "recipe": "digits", "dataset": "digits", "model": "lenet",
        "epochs": 3, "planned_epochs": 3, "best_epoch": 2, "validation_accuracy": 0.9, "test_accuracy": 1.0, "parameters": 1000,
        "seconds": 4.5,
        "images_per_second": 802.0, "started": "2026-02-01T12:00:00+00:00", "error": None, "problems": []}
    assert (failed["status"], failed["test_accuracy"], failed["error"]) == ("failed", None, "training diverged: the loss is nan")


def test_broken_folders_are_listed_with_what_is_wrong(some: Path) -> None:
    (some / "empty").mkdir()
    (some / "note.txt").write_text("no folder")
    half = make_run(some / "half")
    (half / "config.json").write_text('{"name": "ha')
    (half / "result.json").unlink()
    running = make_run(some / "running", done=2, counts=None)
    (running / "result.json").unlink()
    (running / "checkpoint.safetensors").write_bytes(b"")
    weights = some / "weights"
    weights.mkdir()
    (weights / "best.safetensors").write_bytes(b"")
    output = ok("runs")
    assert set(names(output)[:6]) == {"better", "good", "failed", "half", "running", "weights"}
    for line in ("half: broken; config.json: not JSON, or cut short",
                 "running: unfinished: it runs still, or was killed; go on with: minicnn train --resume runs/running",
                 "weights: broken; config.json: missing", "no run: 1 other folder"):
        assert line in output.splitlines(), line
    os.chmod(half, 0)
    try:
        assert "better" in ok("runs")
    finally:
        os.chmod(half, 0o755)


def test_nothing_to_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ok("runs") == "no runs in runs yet: minicnn train makes one\n"
    assert ok("runs", "--json") == "[]\n"
    (tmp_path / "runs").mkdir()
    assert ok("runs") == "no runs in runs yet: minicnn train makes one\n"
    assert refused("runs", "nowhere") == ("error: nowhere: no folder of runs (No such file or directory): give the one of "
                                          "`minicnn train --out`")
    assert refused("runs", "--sort", "size") == "error: unknown order 'size'; there are: date, accuracy, validation, parameters, time, name"
    assert refused("runs", "--picture", "x.jpg") == "error: cannot draw x.jpg: the name of a picture must end in .png, .svg, .pdf"


def test_a_comparison_says_what_differs(some: Path) -> None:
    output = ok("runs", "good", some / "better")
    lines = {line[:20].strip(): line[20:].split() for line in output.splitlines()}
    assert lines[""] == ["good", "better"]
    assert lines["test accuracy"] == ["98.36%", "100.00%"]
    assert lines["best epoch"] == ["3", "of", "4", "2", "of", "3"]
    assert lines["lr"] == ["0.01", "0.02"]
    assert lines["model"] == ["digits", "lenet"]
    assert lines["epochs"] == ["4", "3"]
    assert "batch size" not in output
    assert "seed" not in output
    assert "machine" not in output, "the machine of one of them is not known"
    found = json.loads(ok("runs", "good", "better", "--json"))
    assert [run["name"] for run in found["runs"]] == ["good", "better"]
    assert found["different"] == {"model": ["digits", "lenet"], "lr": [0.01, 0.02], "epochs": [4, 3]}


def test_runs_that_do_not_differ(some: Path) -> None:
    assert "settings: all the same" in ok("runs", "good", "good")


def test_long_names_are_letters(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / f"2026-01-31-12000{i}-digits-digits", lr=0.01 * (i + 1)) for i in range(3)]
    lines = ok("runs", *folders).splitlines()
    assert lines[:3] == [f"{letter}: {folder}" for letter, folder in zip("ABC", folders, strict=True)]
    assert lines[4].split() == ["A", "B", "C"]


def test_the_picture_of_a_comparison(some: Path) -> None:
    make_run(some / "$a_b$", done=50, epochs=50)
    for what in (("good", "better"), ("good", "better", "failed", "$a_b$"), ("good",), ()):
        output = ok("runs", *what, "--picture", "curves.png")
        assert output.splitlines()[-1] == "drawn in curves.png"
        with Image.open("curves.png") as image:
            image.load()
            assert image.width > 1000
    assert json.loads(minicnn("runs", "good", "--json", "--picture", "curves.svg").stdout)[0]["name"] == "good"
    make_run(some / "new", done=0, counts=None, result={})
    assert refused("runs", "new", "--picture", "x.png").endswith(
        "error: none of these runs has finished an epoch, so there are no curves to draw")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_lists_and_comparisons_fit_the_terminal(tmp_path: Path, width: int) -> None:
    both = ("2026-01-31-120000-fashion-mnist-tinyvgg", "2026-01-31-120001-cifar-10-resnet20")
    runs = [record.read(make_run(tmp_path / name)) for name in both]
    for blocks in (listing.blocks(runs, width), comparison.blocks(runs, width)):
        file = io.StringIO()
        document.show(blocks, Console(file=file, force_terminal=True, width=width, color_system=None))
        assert all(len(line.rstrip()) <= width for line in file.getvalue().splitlines())
        if width >= 80 and "valid." in file.getvalue():
            assert "2026-01-31-120000-fashion-mnist-tinyvgg " in file.getvalue(), "a name in two pieces"


def test_the_report_command(some: Path, tmp_path: Path) -> None:
    run = make_run(some / "whole", network=True)
    for given in ("whole", run):
        output = ok("report", given)
        page = (run / "report.html").read_text()
        assert output == f"written to {'runs/whole' if given == 'whole' else run}/report.html ({len(page.encode()) / 1000:,.0f} kB)\n"
        assert "Worst mistakes" in check(page).headings
    assert ok("report", run, "--out", tmp_path / "x.html").startswith(f"written to {tmp_path}/x.html")
    failed = minicnn("report", "failed")
    assert failed.exit_code == 0
    assert failed.stderr == "note: No filters and layers: runs/failed is not a run of minicnn train: it has no best.safetensors.\n"
    assert refused("report", "none") == "error: none is not a run of minicnn train: there is no such folder"


def test_train_writes_the_page_and_says_what_is_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a folder of images, of which a class is called as HTML would be."""
    for name, colour in (("<script>x", 30), ("b", 200)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(6):
            Image.fromarray(np.full((12, 12), colour + i, np.uint8)).save(tmp_path / "pictures" / name / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    output = ok("train", "--dataset", "pictures", "--model", "lenet", "--image-size", "12", "--epochs", "2", "--name", "first",
                "--tensorboard")
    assert output.splitlines()[-4:] == ["saved in runs/first", "report: runs/first/report.html",
                                        "next: minicnn predict runs/first runs/first/examples/*.png", "      minicnn runs"]
    found = check((tmp_path / "runs/first/report.html").read_text())
    assert "<script>x" in found.text
    assert "Worst mistakes" in found.headings
    assert list((tmp_path / "runs/first").glob("events.out.tfevents.*"))
    quiet = ok("train", "--epochs", "1", "--quiet", "--name", "second", "--out", "elsewhere")
    assert quiet.splitlines()[1:] == ["saved in elsewhere/second"]
    check((tmp_path / "elsewhere/second/report.html").read_text())
    assert names(ok("runs", "elsewhere")) == ["second"]


def test_a_page_that_cannot_be_written_does_not_end_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("cannot write x/report.html: No space left on device")

    monkeypatch.setattr("minicnn.report.write", full)
    output = ok("train", "--epochs", "1", "--out", tmp_path)
    assert "report: not written: cannot write x/report.html: No space left on device" in output.splitlines()


def test_digits_are_the_classes_of_the_made_runs() -> None:
    from minicnn.data import load
    assert load("digits")[1].classes == DIGITS
