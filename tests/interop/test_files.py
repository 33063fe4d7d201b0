""".safetensors files: torch reads what is written here and the other way round, bit for bit; a damaged file is a ValueError."""
from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minicnn
from minicnn import Tensor, interop, nn
from minicnn.interop.reader import read
from tests.compare import assert_equal
from tests.interop.test_memory import DTYPES, some
from tests.strategies import floats, layouts

fixtures_are_fine = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
shapes = st.lists(st.integers(0, 3), max_size=4).map(tuple)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda name: name != "__metadata__")
contents = st.dictionaries(names, st.tuples(shapes, st.sampled_from(DTYPES), layouts), max_size=4)
texts = st.dictionaries(names, st.text(st.characters(codec="utf-8"), max_size=8), max_size=3)


@fixtures_are_fine
@given(content=contents, metadata=texts)
def test_torch_reads_what_is_written_here(tmp_path: Path, content: dict[str, Any], metadata: dict[str, str]) -> None:
    """Whatever the dtype, the shape and the order in memory; and the same tensors and text give the same file."""
    tensors = {name: Tensor(some(*how)) for name, how in content.items()}
    interop.save_file(tensors, tmp_path / "ours", metadata)
    found = safetensors.torch.load_file(tmp_path / "ours")
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        assert_equal(found[name], tensor, name)
    assert interop.load_metadata(tmp_path / "ours") == metadata
    interop.save_file(dict(reversed(tensors.items())), tmp_path / "again", dict(reversed(metadata.items())))
    assert (tmp_path / "again").read_bytes() == (tmp_path / "ours").read_bytes()


@fixtures_are_fine
@given(content=contents, metadata=texts, bfloat16=st.booleans())
def test_what_torch_writes_is_read_here(tmp_path: Path, content: dict[str, Any], metadata: dict[str, str], bfloat16: bool) -> None:
    tensors = {name: torch.from_numpy(some(shape, dtype, "contiguous")) for name, (shape, dtype, _) in content.items()}
    if bfloat16:
        tensors["half"] = torch.tensor(floats((2, 3), len(content))).bfloat16()
    safetensors.torch.save_file(tensors, tmp_path / "theirs", metadata or None)      # of nothing with {} it writes broken JSON
    found = interop.load_file(tmp_path / "theirs")
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        assert_equal(found[name], tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor, name)
        found[name].array.fill(1)                              # it may be written to
    assert interop.load_metadata(tmp_path / "theirs") == metadata


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_half_precision_number(tmp_path: Path, dtype: Any) -> None:
    numbers = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(dtype)
    safetensors.torch.save_file({"a": numbers}, tmp_path / "half")
    assert_equal(interop.load_file(tmp_path / "half")["a"], numbers.float())


def network(library: Any, tied: bool = False) -> Any:
    net = library.Sequential(library.Conv2d(1, 4, 3), library.BatchNorm2d(4), library.ReLU(), library.Conv2d(4, 4, 1),
                             library.Conv2d(4, 4, 1))
    if tied:
        net[4].weight = net[3].weight
    return net


@pytest.mark.parametrize("tied", [False, True])
def test_networks_as_torch_saves_them(tmp_path: Path, tied: bool) -> None:
    """save_file of a network against safetensors.torch's save_model and load_model: the same tensors and names, shared ones too."""
    ours, theirs = network(nn, tied), network(torch.nn, tied)
    ours[1](Tensor(floats((2, 4, 3, 3), 0)))
    interop.save_file(ours, tmp_path / "ours")
    assert safetensors.torch.load_model(theirs, tmp_path / "ours") == (set(), [])
    for name, value in ours.state_dict().items():
        assert_equal(theirs.state_dict()[name], value, name)
    safetensors.torch.save_model(theirs, str(tmp_path / "theirs"))
    (arrays, text), (expected, expected_text) = read(tmp_path / "ours"), read(tmp_path / "theirs")
    assert (set(arrays), text) == (set(expected), expected_text)
    again = network(nn, tied)
    assert interop.load_model(again, tmp_path / "theirs") == ([], [])
    for name, value in ours.state_dict().items():
        assert_equal(again.state_dict()[name], value, name)


def test_strict_or_not(tmp_path: Path) -> None:
    interop.save_file(nn.Sequential(nn.Linear(2, 3)), tmp_path / "a")
    other = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU())
    keys = interop.load_model(other, tmp_path / "a", strict=False)
    assert keys.unexpected_keys == ["0.bias"]
    with pytest.raises(RuntimeError, match="Unexpected key"):
        interop.load_model(other, tmp_path / "a")


def test_from_a_device_and_to_it(tmp_path: Path) -> None:
    interop.save_file(nn.Linear(2, 3).to("cuda-sim"), tmp_path / "a")
    assert interop.load_file(tmp_path / "a", device="cuda-sim")["weight"].device == "cuda-sim"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    for bad in ({"x": minicnn.ones(2), "y": "no"}, {"x": np.ones(2, complex)}):
        with pytest.raises((TypeError, ValueError)):
            interop.save_file(bad, tmp_path / "a")
    with pytest.raises(OSError, match="cannot write"):
        interop.save_file({}, tmp_path / "nowhere" / "a")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"old"}


def of_dtype(dtype: str) -> dict[str, Any]:
    return {"x": {"dtype": dtype, "shape": [1], "data_offsets": [0, {"F8_E4M3": 1, "C64": 8}[dtype]]}}


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda p: interop.save_file([1], p), TypeError, "save_file: expected a Module or a dictionary of tensors, got list"),
    (lambda p: interop.save_file({"x": 3.0}, p), TypeError, "save_file: expected a Tensor or an array by name, got 'x': float"),
    (lambda p: interop.save_file({3: np.ones(1)}, p), TypeError, "save_file: expected a Tensor or an array by name, got 3: ndarray"),
    (lambda p: interop.save_file({"x": torch.ones(1)}, p), TypeError, "save_file: expected a Tensor or an array by name, got 'x': Tensor"),
    (lambda p: interop.save_file({"x": np.ones(1, np.longdouble)}, p), ValueError,
     f"save_file: x holds {np.dtype(np.longdouble)}, which a .safetensors file cannot"),
    (lambda p: interop.save_file({"__metadata__": np.ones(1)}, p), ValueError,
     "save_file: __metadata__ is what a .safetensors file calls its text: give the tensor another name"),
    (lambda p: interop.save_file({}, p, {"epoch": 3}), TypeError, "save_file: metadata are text by name, got 'epoch': 3"),
    (lambda p: interop.load_file(written(p, of_dtype("F8_E4M3"), b"1")), ValueError,
     "PATH: x holds F8_E4M3, which NumPy has not: save it as float32, in torch with tensor.float()"),
    (lambda p: interop.load_file(written(p, of_dtype("C64"), b"12345678")), ValueError,
     "PATH: x holds complex64: minicnn has floats, integers and booleans"),
])
def test_errors(tmp_path: Path, call: Any, error: type[Exception], text: str) -> None:
    path = tmp_path / "a"
    with pytest.raises(error) as raised:
        call(path)
    assert str(raised.value) == text.replace("PATH", str(path))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        interop.load_file(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        interop.load_file(tmp_path)


def written(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


HOSTILE: dict[str, tuple[Any, ...]] = {
    "nothing": (b"", b"", 0), "a header as long as all memory": ({}, b"", 2**63), "a header longer than the file": ({}, b"", 10**6),
    "no JSON": (b"{" * 50,), "a list": ([1],), "deep": (b'{"a":' * 10**5,), "no text": (b'{"\xff": 1}',), "a number for text":
    ({"__metadata__": {"a": 1}},), "overlap": ({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 0, 4)}, b"1234"),
    "a gap": ({"a": entry("F32", [1], 4, 8)}, b"12345678"), "bytes after the end": ({"a": entry("F32", [1], 0, 4)}, b"12345678"),
    "too few bytes": ({"a": entry("F32", [2], 0, 8)}, b"1234"), "shape against bytes": ({"a": entry("F32", [2], 0, 4)}, b"1234"),
    "dtype against bytes": ({"a": entry("F64", [1], 0, 4)}, b"1234"), "backwards": ({"a": entry("F32", [1], 4, 0)}, b"1234"),
    "a huge shape": ({"a": entry("F32", [2**62, 2**62], 0, 4)}, b"1234"), "huge and empty": ({"a": entry("F32", [0, 2**62, 2**62], 0, 0)},),
    "huger and empty": ({"a": entry("F32", [0, 2**63, 2**63], 0, 0)},), "a negative shape": ({"a": entry("F32", [-1], 0, 4)}, b"1234"),
    "too many axes": ({"a": entry("F32", [1] * 70, 0, 4)}, b"1234"), "an unknown dtype": ({"a": entry("X", [1], 0, 4)}, b"1234"),
    "a huge bfloat16": ({"a": entry("BF16", [0, 2**62, 2**62], 0, 0)},), "axes of bfloat16": ({"a": entry("BF16", [1] * 70, 0, 2)}, b"12"),
    "half a byte": ({"a": entry("F4", [3], 0, 2)}, b"12"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files(tmp_path: Path, what: str) -> None:
    path = written(tmp_path / "a", *HOSTILE[what])
    interop.load_file(written(tmp_path / "fine", {"a": entry("F32", [1], 0, 4)}, b"1234"))              # imports everything
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: not a \.safetensors file, or a damaged one \("):
            interop.load_file(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20 + 8 * path.stat().st_size
    finally:
        tracemalloc.stop()


@fixtures_are_fine
@given(st.binary(max_size=300))
def test_any_bytes_at_all(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    try:
        found = interop.load_file(tmp_path / "a")
    except ValueError:
        return
    assert sum(t.array.nbytes for t in found.values()) <= len(data)


@fixtures_are_fine
@given(place=st.integers(0, 10**4), bits=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_file_gives_what_it_holds_or_an_error(tmp_path: Path, place: int, bits: int, cut: bool) -> None:
    """Of float32 and bfloat16; a truncated one always is an error."""
    tensors = {"a": torch.tensor(floats((2, 3), 0)), "b": torch.tensor(floats((3,), 1)).bfloat16(), "c": torch.tensor(3)}
    data = safetensors.torch.save(tensors, {"some": "text"})
    place %= len(data)
    (tmp_path / "a").write_bytes(data[:place] if cut else data[:place] + bytes([data[place] ^ bits]) + data[place + 1:])
    try:
        found = interop.load_file(tmp_path / "a")
    except ValueError as error:
        assert str(error).startswith(f"{tmp_path / 'a'}: ")  # noqa: PT017  (there may be none)
    else:
        assert not cut
        assert sum(t.array.nbytes for t in found.values()) <= 2 * len(data)
