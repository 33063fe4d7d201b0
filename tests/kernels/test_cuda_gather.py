"""A convolution without divisions (gather.py), and the table that chooses a rung (choice.py): the host's part of the CUDA kernels."""
from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.kernels import reference
from minicnn.kernels.cuda_backend import choice, gather
from minicnn.kernels.cuda_backend.divide import divisor
from minicnn.kernels.cuda_backend.gather import Gather
from tests.compare import assert_equal
from tests.strategies import Geometry, conv_geometries, integers


def computed(g: Gather, source: np.ndarray, w: np.ndarray, result: np.ndarray) -> None:
    """What the kernels compute of a part, as gather.cuh says it, in loops."""
    channels, rows = g["source_channels"] // g["G"], g["result_channels"] // g["G"]
    flat = w.reshape(-1)
    for n, group, m, i, j in np.ndindex(g["N"], g["G"], rows, g["rows"], g["columns"]):
        total = 0.0
        for c, th, tw in np.ndindex(channels, g["taps_h"], g["taps_w"]):
            h = i * g["move_h"] + g["start_h"] + th * g["reach_h"]
            v = j * g["move_w"] + g["start_w"] + tw * g["reach_w"]
            kh, kw = g["tap_h"] + th * g["tap_step_h"], g["tap_w"] + tw * g["tap_step_w"]
            if 0 <= h < g["source_h"] and 0 <= v < g["source_w"]:
                place = group * rows * channels * g["KH"] * g["KW"] + m * g["stride_m"] + c * g["stride_c"] + kh * g["KW"] + kw
                total += float(source[n, group * channels + c, h, v]) * float(flat[place])
        result[n, group * rows + m, g["first_h"] + i * g["step_h"], g["first_w"] + j * g["step_w"]] = total


@given(conv_geometries())
def test_a_convolution_is_one_part(g: Geometry) -> None:
    x, w = integers(g.x_shape, g.seed), integers(g.w_shape, g.seed + 1)
    y = np.full(g.y_shape, np.nan, np.float32)
    computed(gather.forward(g.x_shape, g.w_shape, g.window, g.groups), x, w, y)
    assert_equal(y, reference.conv2d(x, w, None, g.window, g.groups))


@given(conv_geometries())
def test_the_input_gradient_falls_into_parts_that_meet_every_pixel_once(g: Geometry) -> None:
    dy, w = integers(g.y_shape, g.seed), integers(g.w_shape, g.seed + 1)
    dx = np.full(g.x_shape, np.nan, np.float32)
    parts = list(gather.backward(g.x_shape, g.w_shape, g.window, g.groups))
    assert sum(part["rows"] * part["columns"] for part, _ in parts) == g.size[0] * g.size[1]
    for part, reached in parts:
        assert reached == bool(part["taps_h"] and part["taps_w"])
        computed(part, dy, w, dx)
    assert_equal(dx, reference.conv2d_grad_input(dy, w, g.x_shape, g.window, g.groups))


@given(st.integers(1, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_division_by_multiplication(d: int, n: int) -> None:
    multiplier, shift = divisor(d)
    assert -2**31 <= multiplier < 2**31
    for m in {n, n - n % d, max(n - n % d - 1, 0), 2**31 - 1}:             # the ends of a multiple, where a rounded factor would show
        assert (2 * m * (multiplier % 2**32) >> 32) >> shift == m // d


def test_division_by_small_numbers() -> None:
    draw = random.Random(0)
    for d, _ in itertools.product(range(1, 600), range(4)):
        multiplier, shift = divisor(d)
        n = draw.randrange(2**31) // d * d + draw.choice([-1, 0])
        assert n < 0 or (2 * n * (multiplier % 2**32) >> 32) >> shift == n // d


def test_every_size_has_a_rung() -> None:
    table = choice.table(None)
    assert len(table) == len({key for key, _, _ in choice.examples()}) == 3 * 4 * 3 * 2
    for key, direction, size in choice.examples():
        assert choice.size_class(direction, size) == key
        assert choice.rung(direction, size, None) == table[key] == choice.measured(direction, size)
    assert choice.size_class("forward", (64, 1025, 33)) == "forward, rows <= 64, columns <= 16384, sum > 32"
    assert {choice.rung(direction, size, None) for direction, size in (                              # depthwise
        ("forward", (1, 10**5, 9)), ("grad_input", (1, 10**5, 9)), ("grad_weight", (1, 9, 10**6)))} == {"direct"}


def test_the_table_that_was_measured_has_a_letter_for_every_class() -> None:
    """In the order of ENDS, where the last class of each size has no end."""
    for direction, (rows, columns, terms) in choice.ENDS.items():
        assert tuple(choice.MEASURED[direction]) == (*rows, math.inf)
        words = [line.split() for line in choice.MEASURED[direction].values()]
        assert {len(line) for line in words} == {len(columns) + 1}
        assert {len(word) for line in words for word in line} == {len(terms) + 1}
    assert choice.measured("forward", (32, 16384, 33)) == "blocked"
    assert choice.measured("forward", (32, 16385, 33)) == "im2col"
    assert choice.measured("forward", (33, 1024, 32)) == "blocked"
    assert choice.measured("forward", (32, 1024, 32)) == "direct"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for what is measured."""
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path))
    monkeypatch.setattr(choice, "table", choice.table.__wrapped__)
    monkeypatch.setattr(choice.table, "cache_clear", lambda: None, raising=False)
    return tmp_path / "cuda" / "rungs.json"


def test_what_was_measured_is_used_on_that_gpu_alone(cache: Path) -> None:
    size = (128, 10**6, 576)
    assert choice.keep("GPU A", {choice.size_class("forward", size): "tiled", "no such class": "tiled"}) == cache
    choice.keep("GPU B", {choice.size_class("forward", size): "direct", choice.size_class("grad_input", size): "no such rung"})
    assert [choice.rung("forward", size, gpu) for gpu in ("GPU A", "GPU B", "GPU C", None)] == ["tiled", "direct", "pipelined", "pipelined"]
    assert choice.rung("grad_input", size, "GPU B") == "pipelined"
    assert "no such class" not in choice.table("GPU A")


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"GPU A": 3}', '{"GPU A": {"forward, rows > 64, columns > 16384, sum > 32": []}}'])
def test_a_damaged_table_is_as_if_nothing_had_been_measured(cache: Path, text: str) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text(text)
    assert choice.table("GPU A") == choice.table(None)
    choice.keep("GPU A", {choice.size_class("forward", (128, 10**6, 576)): "im2col"})
    assert choice.rung("forward", (128, 10**6, 576), "GPU A") == "im2col"
    assert json.loads(cache.read_text())["GPU A"]


@given(conv_geometries())
def test_the_size_of_a_product(g: Geometry) -> None:
    """Rows x columns is what is computed, and the sums have as many terms as the definition says."""
    for direction, result in (("forward", g.y_shape), ("grad_input", g.x_shape), ("grad_weight", g.w_shape)):
        rows, columns, terms = choice.size_of(direction, g.x_shape, g.w_shape, g.window, g.groups)
        assert g.groups * rows * columns == np.prod(result)
        assert terms == {"forward": g.terms, "grad_input": g.F // g.groups * np.prod(g.window.kernel),
                         "grad_weight": np.prod(g.y_shape) // g.F}[direction]
