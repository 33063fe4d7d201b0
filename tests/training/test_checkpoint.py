"""Checkpoints: what is saved comes back bit for bit, what is damaged is a ValueError, and a failed write leaves the old file."""
from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as serialize

from minicnn import nn
from minicnn.files import write_whole
from minicnn.training import Description, load_checkpoint, save_checkpoint
from minicnn.training.checkpoint import arrays_of, digest, read
from tests.compare import assert_equal
from tests.data.errors import says
from tests.strategies import floats

ABOUT = Description("lenet", 1, (12, 12), ("cat", "dog"), (0.5,), (0.25,), 0.0)


def filled(about: Description) -> nn.Module:
    """A network all of whose parameters and buffers differ from new ones."""
    model = about.build()
    for i, tensor in enumerate(model.state_dict().values()):
        tensor.array[...] = np.abs(10 * floats(tensor.shape, i)) + 1
    return model


def assert_same(model: nn.Module, expected: nn.Module) -> None:
    state, expected_state = model.state_dict(), expected.state_dict()
    assert list(state) == list(expected_state)
    for name in state:
        assert_equal(state[name], expected_state[name], name)


@pytest.mark.parametrize("about", [
    ABOUT, Description("digits", 1, (8, 8), tuple("0123456789"), (0.3,), (0.4,), 0.1),
    Description("convnet", 1, (8, 9), ("a", "b"), (0.5,), (0.25,), 0.0, {"layers": [4, "pool", 6], "head": "flatten", "dropout": 0.1}),
    Description("resnet8", 3, (9, 12), ("große Katze", 'a "b"', ""), (0.1, 0.2, 0.3), (1.0, 2.0, 3.0), 0.9),
], ids=lambda about: about.model)
def test_a_network_comes_back_bit_for_bit(tmp_path: Path, about: Description) -> None:
    model = filled(about)
    save_checkpoint(tmp_path / "w.safetensors", model, about)
    loaded, description = load_checkpoint(tmp_path / "w.safetensors")
    assert description == about
    assert not loaded.training
    assert_same(loaded, model)
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_weights_in_any_memory_order_are_saved_right(tmp_path: Path) -> None:
    model = filled(ABOUT)
    for p in model.parameters():
        p.array = np.asfortranarray(p.array)
    save_checkpoint(tmp_path / "w", model, ABOUT)
    assert_same(load_checkpoint(tmp_path / "w")[0], model)


SMALL = Description("digits", 1, (2, 2), ("a", "b"), (0.5,), (0.25,), 0.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "w"
    save_checkpoint(path, filled(SMALL), SMALL)
    return path.read_bytes()


def assert_refused_or_equal(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    refused = None
    try:
        model, description = load_checkpoint(path)
    except ValueError as error:
        refused = str(error)
    if refused is None:                                        # a byte that says nothing, such as a space in the header
        assert description == SMALL
        assert_same(model, filled(SMALL))
    else:
        assert re.fullmatch(rf"{path}: .*(train again|load_state_dict\(\))", refused, re.DOTALL)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(place=st.one_of(st.integers(0, 3000), st.integers(0, 10**6)), bits=st.integers(1, 255))
def test_a_changed_byte_is_noticed(tmp_path: Path, whole: bytes, place: int, bits: int) -> None:
    place %= len(whole)
    assert_refused_or_equal(tmp_path / "w", whole[:place] + bytes([whole[place] ^ bits]) + whole[place + 1:])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.one_of(st.integers(0, 3000), st.integers(0, 10**6)))
def test_a_truncated_file_is_noticed(tmp_path: Path, whole: bytes, length: int) -> None:
    path = tmp_path / "w"
    path.write_bytes(whole[:length % len(whole)])
    with pytest.raises(ValueError, match=r"not a \.safetensors file, or a damaged one"):
        load_checkpoint(path)


def crafted(path: Path, about: dict[str, Any], arrays: dict[str, np.ndarray], version: int = 1) -> Path:
    """A file whose SHA-256 is right, whatever it says."""
    text = json.dumps(about)
    header = {"version": version, "sha256": digest(arrays, text), "description": text}
    path.write_bytes(serialize(arrays, {"minicnn": json.dumps(header)}))
    return path


GOOD = {"model": "lenet", "in_channels": 1, "image_size": [12, 12], "classes": ["a", "b"], "mean": [0.5], "std": [0.25], "background": 0}


@pytest.mark.parametrize(("change", "text"), [
    ({"model": "lenett"}, "unknown model 'lenett'; there are: digits, lenet, convnet, tinyvgg, resnet8, resnet20, vgg16"),
    ({"image_size": [3, 3]}, "LeNet: images of 3x3 are too small: height and width must be at least 12 "
                             "(12 + 2*2 - 4 = 12, pooled 6, 6 - 4 = 2, pooled 1 pixel is left)"),
    ({"in_channels": "x"}, "in_channels is x, expected a number in 1..4096"),
    ({"mean": [0.5, 0.5]}, "mean and std are (0.5, 0.5) and (0.25,), expected numbers for 1 channels, std at least 1e-6"),
    ({"model": "lenet"}, "the network is larger than what the file holds, 2 numbers in 1 arrays: there is no room for a weight of shape "
                         "(6, 1, 5, 5)"),
], ids=["name", "size", "number", "channels", "arrays"])
def test_weights_of_another_network(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    path = crafted(tmp_path / "w", GOOD | change, {"x": np.zeros(2, np.float32)})
    with says(ValueError, f"{path}: the weights do not fit this version of the network: {text}; train again"):
        load_checkpoint(path)


def test_weights_under_another_name(tmp_path: Path) -> None:
    arrays = arrays_of(ABOUT.build())
    arrays["x"] = arrays.pop("fc3.bias")
    path = crafted(tmp_path / "w", GOOD, arrays)
    with says(ValueError, f"{path}: the weights do not fit this version of the network: Error(s) in loading state_dict for LeNet: Missing "
                          "key(s) in state_dict: \"fc3.bias\". Unexpected key(s) in state_dict: \"x\".; train again"):
        load_checkpoint(path)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_bytes(serialize({"x": np.zeros(2, np.float32)}))
    with says(ValueError, f"{foreign}: these are weights, but not a checkpoint of minicnn: load them into a network with "
                                 "load_state_dict()"):
        load_checkpoint(foreign)
    assert_equal(read(foreign)[0]["x"], np.zeros(2, np.float32))
    newer = crafted(tmp_path / "newer", GOOD, {}, version=2)
    with says(ValueError, f"{newer}: a checkpoint of version 2, this minicnn reads version 1: use the minicnn that saved it, or "
                                 "train again"):
        load_checkpoint(newer)
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, old: bytes | None) -> None:
    path = tmp_path / "file"
    if old:
        path.write_bytes(old)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with says(OSError, f"cannot write {path}: No space left on device"):
        write_whole(path, b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == ({"file": old} if old else {})


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(sorted(p.name for p in tmp_path.iterdir())))
    write_whole(tmp_path / "file", "text")
    assert seen == [[".file.part"], ["file"]]                  # what is in the file, then its name in the folder
    assert (tmp_path / "file").read_text() == "text"
    with pytest.raises(OSError, match=r"^cannot write .*nowhere/file: No such file or directory$"):
        write_whole(tmp_path / "nowhere" / "file", "text")
