"""The event files are read back with TensorBoard's own reader."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from minicnn import nn
from minicnn.data import ArrayDataset, DataLoader
from minicnn.optim import SGD
from minicnn.training import fit
from minicnn.training.tensorboard import BATCHES, TensorBoard
from tests.compare import assert_equal
from tests.data.errors import says


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()


def values(found: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, make_ndarray(event.tensor_proto).item()) for event in found.Tensors(tag)]


def train(board: TensorBoard, folder: Path, epochs: int = 2, validation: bool = True) -> tuple[list, nn.Module]:
    images = np.random.default_rng(0).integers(0, 256, (48, 1, 4, 4)).astype(np.uint8)
    data = DataLoader(ArrayDataset(images, np.arange(48) % 3, ("a", "b", "c")), 4)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    optimizer = SGD(model.parameters(), 0.01)
    return fit(model, data, data if validation else None, optimizer, epochs, observers=[board.open(folder, 48)]), model


def test_what_it_writes(tmp_path: Path) -> None:
    with TensorBoard({"lr": 0.01, "model": "linear", "flip": True, "options": {"x": 1}}) as board:
        history, model = train(board, tmp_path)
        board.test(history[-1].validation)
    found = events(tmp_path)
    expected = {
        "loss/training": [e.loss for e in history], "accuracy/training": [e.accuracy for e in history],
        "loss/validation": [e.validation.loss for e in history], "accuracy/validation": [e.validation.accuracy for e in history],
        "learning_rate": [0.01, 0.01], "images_per_second": [e.images_per_second for e in history]}
    for tag, numbers in expected.items():
        assert values(found, tag) == [(n, np.float32(number)) for n, number in enumerate(numbers, 1)], tag
    assert values(found, "accuracy/test") == [(2, np.float32(history[-1].validation.accuracy))]
    assert [step for step, _ in values(found, "loss/batch")] == [4, 44, 48 + 36]         # images seen, every 10 batches of 4
    assert BATCHES == 10
    for tag in ("weights/1.weight", "weights/1.bias"):
        last = make_ndarray(found.Tensors(tag)[-1].tensor_proto)                         # (buckets, 3): from, to, count
        parameter = dict(model.named_parameters())[tag.removeprefix("weights/")].array
        assert last[:, 2].sum() == parameter.size
        assert_equal(np.float32([last[0, 0], last[-1, 1]]), np.float32([parameter.min(), parameter.max()]))
    settings = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"linear" in settings
    assert b"options" not in settings


def test_without_validation(tmp_path: Path) -> None:
    with TensorBoard() as board:
        train(board, tmp_path, 1, validation=False)
    tags = events(tmp_path).Tags()["tensors"]
    assert "loss/training" in tags
    assert not [tag for tag in tags if "validation" in tag or "hparams" in tag]


def test_what_was_written_is_there_when_the_training_fails(tmp_path: Path) -> None:
    def interrupted() -> None:
        with TensorBoard() as board:
            train(board, tmp_path, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(values(events(tmp_path), "loss/training")) == 1


def test_weights_that_are_not_finite_or_too_many_have_no_histogram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TensorBoard() as board:
        _, model = train(board, tmp_path / "a", 1)
        model[1].weight.array[0] = np.nan
        board._histograms(2)
    assert [event.step for event in events(tmp_path / "a").Tensors("weights/1.weight")] == [1]
    monkeypatch.setattr("minicnn.training.tensorboard.LARGEST", 10)
    with TensorBoard() as board:
        train(board, tmp_path / "b", 1)
    assert not [tag for tag in events(tmp_path / "b").Tags()["tensors"] if tag.startswith("weights")]


def test_without_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    with says(ImportError, "event files need TensorBoard (import of tensorboard.summary.writer.event_file_writer halted; None in "
                           "sys.modules): pip install 'minicnn[tensorboard]'"):
        TensorBoard()


def test_neither_torch_nor_tensorflow_is_imported(tmp_path: Path) -> None:
    """Both are large; TensorBoard's writer needs none of them."""
    code = ("import sys; from pathlib import Path; from minicnn.training.tensorboard import TensorBoard; from minicnn import nn\n"
            f"board = TensorBoard({{'lr': 0.1}}).open(Path({str(tmp_path)!r}), 1)\n"
            "board.model = nn.Linear(2, 2); board._histograms(1); board.writer.close()\n"
            "print(*sorted({'torch', 'tensorflow', 'matplotlib'} & set(sys.modules)))")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == []
