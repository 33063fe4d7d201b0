"""minicnn train --resume as people type it: from where it goes on, what it refuses, and what it says about damage and other backends."""
from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from minicnn import kernels
from minicnn.training import recipe_file, snapshot
from tests.command_line import minicnn, ok, refused
from tests.training.test_resume import StopAfter
from tests.training.tiny import outcome, patch, recipe, train


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its report and pictures are tested elsewhere, and take longer than the training."""
    patch(monkeypatch.setattr)
    monkeypatch.setattr("minicnn.cli.train._report", lambda *_: None)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", recipe(), StopAfter(6), every=0.0)
    return tmp_path / "run"


def test_it_goes_on_as_if_it_had_not_been_stopped(stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "undisturbed", recipe())
    monkeypatch.chdir(tmp_path)
    result = minicnn("train", "--resume", "run")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "dataset  digits: images of 1 x 6 x 6, 3 classes"
    assert lines[6:8] == ["backend  numpy, seed 5", "resume   from epoch 2, after its batch 2"]
    assert [line[:9] for line in lines if line.startswith("epoch")] == ["epoch 2/3", "epoch 3/3"]
    assert outcome(stopped) == outcome(tmp_path / "undisturbed")
    assert ok("train", "--resume", "run") == "run is finished: there is nothing left to do\n"


def test_ctrl_c_says_how_to_go_on(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minicnn.training.progress.Quiet", lambda: StopAfter(1))
    for number, how, status in ((signal.SIGINT, "interrupted", 130), (signal.SIGTERM, "terminated", 143)):
        monkeypatch.setattr(StopAfter, "batch", lambda *_, number=number: signal.raise_signal(number))
        result = minicnn("train", "--resume", stopped, "--quiet")
        assert result.exit_code == status
        assert re.fullmatch(rf"{how} in epoch 2, batch \d of 4; go on with: minicnn train --resume {stopped}\n", result.stderr)


@pytest.mark.parametrize(("options", "text"), [
    ("--epochs 9", "--epochs beside --resume: the learning rates of a run are planned to its last epoch; leave it out, or train anew"),
    ("--doctor", "--doctor beside --resume: it judges a training by its first step; leave it out, or train anew"),
    ("--lr 1 --no-augment", "--lr, --no-augment beside --resume: a run goes on as it began; leave them out, or train anew"),
    ("--out elsewhere", "--out beside --resume: a run goes on as it began; leave it out, or train anew"),
    ("--seed 5 --name x", "--seed, --name beside --resume: a run goes on as it began; leave them out, or train anew"),
])
def test_options_that_would_make_it_another_training(stopped: Path, options: str, text: str) -> None:
    before = {path.name: path.read_bytes() for path in stopped.iterdir()}
    message = refused("train", "--resume", stopped, *options.split())
    assert sorted(message.removeprefix("error: ").partition(" beside")[0].split(", ")) == sorted(text.partition(" beside")[0].split(", "))
    assert message.partition(" beside")[2] == text.partition(" beside")[2]
    assert {path.name: path.read_bytes() for path in stopped.iterdir()} == before


def test_what_is_no_run(tmp_path: Path) -> None:
    assert refused("train", "--resume", tmp_path / "none") == f"error: {tmp_path}/none is not the folder of a run of minicnn train"
    assert refused("train", "--resume", tmp_path) == f"error: {tmp_path}: there is no checkpoint.safetensors to go on from"


def test_a_damaged_checkpoint_and_another_backend_are_said(stopped: Path) -> None:
    path = stopped / snapshot.CURRENT
    path.write_bytes(path.read_bytes()[:500])
    others = [name for name in ("numba", "cuda-sim") if not kernels.missing(name)]
    result = minicnn("train", "--resume", stopped, "--quiet", "--backend", others[0])
    assert result.exit_code == 0, result.output
    damage, backend = result.stderr.splitlines()
    assert damage == (f"note: {path}: not a .safetensors file, or a damaged one (Error while deserializing header: invalid header length): "
                      "going on from the checkpoint before it")
    assert backend == (f"note: backend numpy before, {others[0]} now: the result may differ a little from that of a run that was never "
                       "stopped")


def test_other_images_are_refused(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patch(monkeypatch.setattr, changed=1)
    assert refused("train", "--resume", stopped) == (
        f"error: {stopped}: cannot go on with this run: the images (training, validation, test) are not those it was trained on: as many, "
        "but other pixels or labels; name the folder that holds those with --data, or train anew")


def test_a_simulated_device_stops_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on a device is copied from it and back: the same bits as without a stop."""
    about = tmp_path / "about.toml"
    about.write_text(recipe_file.write(recipe(epochs=1, ema=0.9)))
    ok("train", "--recipe", about, "--backend", "cuda-sim", "--quiet", "--out", tmp_path, "--name", "undisturbed")
    with monkeypatch.context() as patched:
        patched.setattr("minicnn.training.progress.Quiet", lambda: StopAfter(2))
        assert minicnn("train", "--recipe", about, "--backend", "cuda-sim", "--quiet", "--out", tmp_path, "--name", "run").exit_code == 130
    ok("train", "--resume", tmp_path / "run", "--quiet")
    assert outcome(tmp_path / "run") == outcome(tmp_path / "undisturbed")

