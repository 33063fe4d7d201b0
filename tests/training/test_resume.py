"""A training that is stopped and gone on with gives the same bits as one that is not, wherever it stops."""
from __future__ import annotations

import dataclasses
import itertools
import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from minicnn import kernels, nn, optim, random
from minicnn.data import DataLoader
from minicnn.files import alone
from minicnn.training import Epoch, Evaluation, Interrupted, Position, Predictor, Recipe, Stopped, fit, snapshot
from minicnn.training.progress import Quiet
from minicnn.training.stopped import Finished
from tests.compare import assert_equal
from tests.data.errors import says
from tests.training.tiny import BATCHES, datasets, outcome, patch, recipe, small, train

__all__ = ["small"]                                            # a fixture
FEW = max(4, settings.default.max_examples // 4)
runs = itertools.count()


class Crash(Exception):
    """Nothing that a training knows of."""


class StopAfter(Quiet):
    """Ctrl-C, or something nobody catches, during a batch."""

    def __init__(self, batches: int, crash: bool = False) -> None:
        self.left, self.crash = batches, crash

    def batch(self, epoch: int, images: int, loss: float, accuracy: float) -> None:
        self.left -= 1
        if self.left == 0 and self.crash:
            raise Crash
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


recipes = st.builds(recipe, optimizer=st.sampled_from(["adamw", "adam", "sgd", "muon"]), ema=st.sampled_from([0.0, 0.5, 0.9]),
                    dropout=st.sampled_from([0.0, 0.3]), validation=st.sampled_from([0.0, 0.25]), shift=st.sampled_from([0, 1]),
                    cutout=st.sampled_from([0, 2]))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a recipe gives when nothing stops it; once a recipe."""
    found: dict[str, dict[str, Any]] = {}
    folder = tmp_path_factory.mktemp("undisturbed")

    def result(about: Recipe) -> dict[str, Any]:
        key = repr(about)
        if key not in found:
            train(folder / str(len(found)), about)
            found[key] = outcome(folder / str(len(found)))
        return found[key]

    return result


@settings(max_examples=FEW, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(about=recipes, first=st.integers(1, 3 * BATCHES), second=st.integers(1, 3 * BATCHES), crash=st.booleans(),
       every=st.sampled_from([0.0, 1e9]))
@example(about=recipe(ema=0.9, optimizer="muon", shift=1), first=6, second=3, crash=False, every=1e9)
@example(about=recipe(ema=0.5, optimizer="sgd", validation=0.0), first=5, second=4, crash=True, every=0.0)
def test_wherever_it_stops_it_ends_the_same(tmp_path: Path, small: None, undisturbed: Any, about: Recipe, first: int, second: int,
                                            crash: bool, every: float) -> None:
    folder = tmp_path / str(next(runs))
    with pytest.raises(Crash if crash else Interrupted):
        train(folder, about, StopAfter(first, crash), every=every)
    try:
        train(folder, None, StopAfter(second, crash), every=every)
    except (Crash, Interrupted):
        train(folder, None, every=every)
    assert outcome(folder) == undisturbed(about)
    assert not list(folder.glob("checkpoint*"))


def test_the_best_weights_outlive_a_stop(tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the second epoch of four; the file that holds them is lost meanwhile."""
    ends = []
    for name in ("undisturbed", "run"):
        found = iter([Evaluation(1.0, np.array([[right, 9 - right], [0, 2]])) for right in (3, 8, 5, 4)])
        monkeypatch.setattr("minicnn.training.loop.evaluate", lambda *_, found=found: next(found))
        if name == "undisturbed":
            train(tmp_path / name, recipe(epochs=4))
        else:
            with pytest.raises(Interrupted):
                train(tmp_path / name, recipe(epochs=4), StopAfter(2 * BATCHES + 2))
            (tmp_path / name / "best.safetensors").unlink()
            train(tmp_path / name)
        ends.append(outcome(tmp_path / name))
    assert ends[0] == ends[1]
    assert ends[0]["result"]["best_epoch"] == 2
    assert ends[0]["weights"]["best.safetensors"] != ends[0]["weights"]["last.safetensors"]


def test_the_average_is_what_is_saved_and_measured(tmp_path: Path, small: None) -> None:
    """With a decay of nearly 1 the average hardly leaves its beginning; the checkpoint holds the weights themselves."""
    beginnings = []
    for ema in (0.0, 0.999999):
        folder = tmp_path / f"ema {ema}"
        with pytest.raises(Interrupted):
            train(folder, recipe(ema=ema), StopAfter(BATCHES + 1))
        found, _ = snapshot.newest(folder)
        beginnings.append({name.removeprefix("model/"): a for name, a in found.arrays.items() if name.startswith("model/")})
        saved = snapshot.read_safetensors(folder / "last.safetensors")[0]
        if ema:
            assert_equal(saved["features.0.weight"], found.arrays["average/module.features.0.weight"])
            assert (saved["features.0.weight"] != found.arrays["model/features.0.weight"]).any()
        else:
            assert_equal(saved["features.0.weight"], found.arrays["model/features.0.weight"])
    for name, array in beginnings[0].items():
        assert_equal(beginnings[1][name], array, name)         # the average changes nothing about the training


@pytest.mark.parametrize("as_list", [False, True])
def test_fit_goes_on_from_a_position_with_any_loader(as_list: bool) -> None:
    """A list of batches is passed over up to there; a loader is told where to begin."""
    def result(stop: int | None) -> tuple[Any, list[Epoch]]:
        random.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
        optimizer, position = optim.SGD(model.parameters(), lr=0.1, momentum=0.9), Position()

        def batches() -> Any:
            loader = DataLoader(datasets()[0], 6, shuffle=True, seed=3)
            return list(loader) if as_list else loader

        if stop:
            with pytest.raises(Crash):
                fit(model, batches(), None, optimizer, 2, observers=[StopAfter(6 + stop, crash=True)], position=position)
            assert (position.epoch, position.batch) == (2, stop)
        history = fit(model, batches(), None, optimizer, 2, position=position)
        return model.state_dict(), [dataclasses.replace(e, seconds=0, images_per_second=0) for e in history]

    with kernels.use_backend("numpy"):
        (expected, history), (found, history_found) = result(None), result(4)
    assert history == history_found
    for name, tensor in expected.items():
        assert_equal(found[name], tensor, name)


@pytest.fixture
def stopped(tmp_path: Path, small: None) -> Path:
    """A run that was stopped in its second epoch, with two checkpoints."""
    folder = tmp_path / "run"
    with pytest.raises(Interrupted) as caught:
        train(folder, recipe(), StopAfter(BATCHES + 2), every=0.0)
    assert str(caught.value) == f"interrupted in epoch 2, batch 2 of {BATCHES}; go on with: minicnn train --resume {folder}"
    assert caught.value.status == 130
    return folder


def damage(path: Path, how: str) -> str:
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
        return "there is no such file"
    if how == "flipped":
        middle = len(data) - 50
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1:])
        return "damaged (ValueError: it does not have the SHA-256 it was saved with)"
    path.write_bytes(data[:{"empty": 0, "header": 100, "truncated": len(data) - 1}[how]])
    return "not a .safetensors file, or a damaged one ("


@pytest.mark.parametrize("how", ["missing", "flipped", "empty", "header", "truncated"])
def test_a_damaged_checkpoint_is_not_used_and_not_kept(stopped: Path, undisturbed: Any, how: str) -> None:
    good = (stopped / snapshot.PREVIOUS).read_bytes()
    said = damage(stopped / snapshot.CURRENT, how)
    found = Stopped.find(stopped)
    assert found.problem.startswith(f"{stopped / snapshot.CURRENT}: {said}")
    assert found.place == "from epoch 2, after its batch 1"
    with pytest.raises(Crash):
        train(stopped, None, StopAfter(2, crash=True), every=0.0)      # so one checkpoint was written
    assert snapshot.newest(stopped)[1] == ""
    assert (stopped / snapshot.PREVIOUS).read_bytes() == good  # the damaged one has not taken its place
    train(stopped)
    assert outcome(stopped) == undisturbed(recipe())


def test_a_checkpoint_is_not_a_network(stopped: Path) -> None:
    path = stopped / snapshot.CURRENT
    with says(ValueError, f"{path}: the state of a training, to go on from with minicnn train --resume; the network alone is in "
                          "last.safetensors and best.safetensors beside it"):
        Predictor.load(path)
    with says(ValueError, f"{stopped}/last.safetensors: no checkpoint of a training: it holds weights only, and is nothing to go on from"):
        snapshot.read(stopped / "last.safetensors")


def test_two_damaged_checkpoints(stopped: Path) -> None:
    said = [damage(stopped / name, "flipped") for name in (snapshot.CURRENT, snapshot.PREVIOUS)]
    with says(ValueError, f"{stopped}: no checkpoint to go on from: {stopped / snapshot.CURRENT}: {said[0]}; "
                          f"{stopped / snapshot.PREVIOUS}: {said[1]}"):
        Stopped.find(stopped)
    for name in (snapshot.CURRENT, snapshot.PREVIOUS):
        (stopped / name).unlink()
    with says(FileNotFoundError, f"{stopped}: there is no checkpoint.safetensors to go on from"):
        Stopped.find(stopped)


def test_damaged_weights_are_written_again(tmp_path: Path, small: None, undisturbed: Any) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(folder, recipe(epochs=4), StopAfter(3 * BATCHES), every=0.0)
    for name in ("best.safetensors", "last.safetensors", "metrics.jsonl"):
        (folder / name).write_text("rubbish")
    train(folder)
    assert outcome(folder) == undisturbed(recipe(epochs=4))


def test_other_images(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patch(monkeypatch.setattr, changed=1)
    begun = "the images (training, validation, test) are not those it was trained on"
    ending = "name the folder that holds those with --data, or train anew"
    with says(ValueError, f"{stopped}: cannot go on with this run: {begun}: as many, but other pixels or labels; {ending}"):
        train(stopped)
    monkeypatch.setattr("minicnn.training.images.load", lambda *_: datasets()[::-1])
    with says(ValueError, f"{stopped}: cannot go on with this run: {begun}: [9, 3, 36], not [27, 9, 12]; {ending}"):
        train(stopped)


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, small: None, undisturbed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a step, which is then half done: the checkpoint before it is what is left."""
    folder, update, calls = tmp_path / "run", optim.AdamW.update, itertools.count()

    def pressed_twice(*args: Any) -> None:
        update(*args)
        if next(calls) == 20:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(optim.AdamW, "update", pressed_twice)
    with pytest.raises(Interrupted) as caught:
        train(folder, recipe(), every=0.0)
    parameters = 3 + 3 + 2                                     # twice convolution, scale and shift; weight and bias
    done = (20 // parameters)
    assert str(caught.value) == (f"stopped at once, with the last checkpoint in epoch 1, batch {done} of {BATCHES}; "
                                 f"go on with: minicnn train --resume {folder}")
    monkeypatch.undo()
    patch(monkeypatch.setattr)
    train(folder)
    assert outcome(folder) == undisturbed(recipe())


def test_sigterm_is_a_ctrl_c_with_another_status(tmp_path: Path, small: None) -> None:
    class Terminating(StopAfter):
        def batch(self, *args: Any) -> None:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted) as caught:
        train(tmp_path / "run", recipe(), Terminating(0))
    assert str(caught.value) == f"terminated in epoch 1, batch 1 of 4; go on with: minicnn train --resume {tmp_path}/run"
    assert caught.value.status == 143
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "interrupted"


def test_what_else_computes_is_said(stopped: Path) -> None:
    found = Stopped.find(stopped)
    now = {**found.versions, "numpy": "99.1"}
    assert found.differences("numpy", found.versions) == []
    assert found.differences("numba", now) == ["backend numpy before, numba now", f"numpy {found.versions['numpy']} before, 99.1 now"]


def test_a_finished_run_and_what_is_none(tmp_path: Path, small: None) -> None:
    train(tmp_path / "run", recipe(epochs=1))
    with says(Finished, f"{tmp_path}/run is finished: there is nothing left to do"):
        Stopped.find(tmp_path / "run")
    with says(ValueError, f"{tmp_path}/none is not the folder of a run of minicnn train"):
        Stopped.find(tmp_path / "none")
    with says(FileNotFoundError, f"{tmp_path}: there is no checkpoint.safetensors to go on from"):
        Stopped.find(tmp_path)


def test_checkpoints_take_their_share_of_the_time(tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With writes of 10 s each and batches of 30 s, by a clock that only they move: one in 1,000 s."""
    from minicnn.training import autosave

    now, written = [0.0], []
    monkeypatch.setattr(autosave.time, "perf_counter", lambda: now[0])
    write = snapshot.write

    def slow(*args: Any, **options: Any) -> None:
        now[0] += 10.0
        written.append(now[0])
        write(*args, **options)

    class Clock(Quiet):
        def batch(self, *args: Any) -> None:
            now[0] += 30.0

    monkeypatch.setattr(snapshot, "write", slow)
    train(tmp_path / "run", recipe(epochs=30), Clock())
    waits = [b - a for a, b in itertools.pairwise(written)]
    assert len(waits) >= 2
    assert all(1000 <= wait <= 1000 + 10 + 30 for wait in waits)


def test_one_process_at_a_time(stopped: Path, undisturbed: Any) -> None:
    with alone(stopped):
        before = {path.name: path.read_bytes() for path in stopped.iterdir()}
        with says(OSError, f"{stopped} is in use: another process is training in it"):
            train(stopped)
        assert {path.name: path.read_bytes() for path in stopped.iterdir()} == before
    train(stopped)
    assert outcome(stopped) == undisturbed(recipe())
