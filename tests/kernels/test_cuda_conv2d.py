"""What only the CUDA rungs can get wrong: tiles that hang over an edge, sums split among blocks, strides that fall into parts, the choice.

They run in the simulator, which stops at any access out of bounds and at any race.
"""
from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from minicnn import kernels
from minicnn.kernels import cuda_backend, reference
from minicnn.kernels.cuda_backend import choice, implicit_gemm
from minicnn.kernels.numpy_backend import shift_and_add
from minicnn.kernels.window import Window2d
from tests.compare import assert_equal
from tests.kernels.on_device import OnDevice, needs_nvrtc
from tests.strategies import floats, integers

pytestmark = needs_nvrtc
selection = importlib.import_module("minicnn.kernels.cuda_backend.conv2d")
RUNGS = {rung.name.removeprefix("cuda-"): OnDevice(rung.load()) for rung in kernels.LADDER if rung.on_cuda}
every_rung = pytest.mark.parametrize("k", RUNGS.values(), ids=RUNGS)
tiled_rung = pytest.mark.parametrize("name", ["tiled", "blocked", "pipelined", "tensor-cores"])


def three(k: Any, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, dy: np.ndarray, window: Window2d, groups: int = 1) -> list[Any]:
    """y, dx and dw."""
    return [k.conv2d(x, w, b, window, groups), k.conv2d_grad_input(dy, w, x.shape, window, groups),
            k.conv2d_grad_weight(dy, x, w.shape, window, groups)]


def arrays(x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window2d, random: Any = integers, most: int = 8) -> list[np.ndarray]:
    """x, w, b and dy."""
    y_shape = x_shape[0], w_shape[0], *window.output_size(x_shape[2:])
    options = {"least": -most, "most": most} if random is integers else {}
    return [random(shape, seed, **options) for seed, shape in enumerate((x_shape, w_shape, w_shape[:1], y_shape))]


def check(k: Any, x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window2d, groups: int = 1, most: int = 8) -> None:
    """Integers, held against shift-and-add in float64."""
    inputs = arrays(x_shape, w_shape, window, most=most)
    expected = three(shift_and_add, *(a.astype(np.float64) for a in inputs), window, groups)
    for got, right, what in zip(three(k, *inputs, window, groups), expected, ("y", "dx", "dw"), strict=True):
        assert_equal(got, right, what)


@tiled_rung
@pytest.mark.parametrize("more", [-1, 0, 1], ids=["one less", "full", "one more"])
def test_tiles_and_what_hangs_over(name: str, more: int) -> None:
    """Filters, channels, outputs and products, one more or less than a tile has rows, columns and terms of a step."""
    tile = {"tiled": 16, "blocked": 64}.get(name, 128)
    check(RUNGS[name], (1, 16 + more, 1, tile + more), (tile + more, 16 + more, 1, 1), Window2d.of(1))


@every_rung
@pytest.mark.parametrize(("stride", "dilation", "kernel"),
                         [(2, 1, 3), ((3, 2), 1, (2, 1)), ((2, 3), (2, 3), (3, 2)), (4, 3, 2), ((1, 5), 2, 3)])
def test_strides(k: Any, stride: Any, dilation: Any, kernel: Any) -> None:
    """An input gradient falls into parts: of several taps, of one, and of none."""
    check(k, (2, 2, 9, 11), (3, 2, *Window2d.of(kernel).kernel), Window2d.of(kernel, stride, (1, 2, 0, 3), dilation))


@every_rung
@pytest.mark.parametrize(("C", "F", "groups"), [(1, 8, 1), (3, 8, 1), (8, 8, 8), (4, 12, 4), (6, 4, 2), (7, 5, 1)],
                         ids=["grey image", "RGB image", "depthwise", "depthwise x 3", "groups", "odd"])
def test_channels(k: Any, C: int, F: int, groups: int) -> None:
    check(k, (2, C, 6, 7), (F, C // groups, 3, 3), Window2d.of(3, padding=1), groups)


@every_rung
@pytest.mark.parametrize("padding", [(4, 0, 0, 5), (3, 6, 7, 3), (0, 4, 5, 0)])
def test_padding_wider_than_the_window(k: Any, padding: tuple[int, int, int, int]) -> None:
    check(k, (2, 2, 3, 4), (3, 2, 2, 3), Window2d.of((2, 3), (2, 1), padding))


@every_rung
def test_a_pointwise_convolution_and_a_whole_image(k: Any) -> None:
    check(k, (3, 5, 4, 4), (6, 5, 1, 1), Window2d.of(1))
    check(k, (3, 4, 5, 6), (7, 4, 5, 6), Window2d.of((5, 6)))


@every_rung
def test_an_empty_batch(k: Any) -> None:
    window = Window2d.of(3, padding=1)
    y, dx, dw = three(k, *arrays((0, 2, 4, 5), (3, 2, 3, 3), window), window)
    assert (y.shape, dx.shape) == ((0, 3, 4, 5), (0, 2, 4, 5))
    assert_equal(dw, np.zeros((3, 2, 3, 3), np.float32))


@tiled_rung
@pytest.mark.parametrize("pixels", [2 * implicit_gemm.LEAST_SHARE, 3 * implicit_gemm.LEAST_SHARE + 17])
def test_the_sum_of_a_weight_gradient_is_split(name: str, pixels: int) -> None:
    """Among two or three blocks; the last part is shorter than the others."""
    module = RUNGS[name]._module
    rung = getattr(module, "KERNELS", implicit_gemm.ImplicitGemm("", 128, ()))
    assert rung.splits(3, 2, pixels, 1) == pixels // implicit_gemm.LEAST_SHARE
    x, w, _, dy = arrays((1, 2, 1, pixels), (3, 2, 1, 1), Window2d.of(1))
    assert_equal(RUNGS[name].conv2d_grad_weight(dy, x, w.shape, Window2d.of(1)),
                 shift_and_add.conv2d_grad_weight(dy.astype(np.float64), x.astype(np.float64), w.shape, Window2d.of(1)))


def test_splits_are_bounded() -> None:
    """By the sum's length, by the blocks a GPU needs, and by the grid's limit."""
    rung = implicit_gemm.ImplicitGemm("", 64, ())
    assert rung.splits(F=64, columns=64, pixels=10**6, groups=1) == 256
    assert rung.splits(F=64, columns=64, pixels=600, groups=1) == 2
    assert rung.splits(F=64, columns=64, pixels=0, groups=1) == 1
    assert rung.splits(F=2048, columns=4608, pixels=10**6, groups=1) == 1
    assert rung.splits(F=60000, columns=9, pixels=10**6, groups=60000) == 1


@every_rung
def test_the_same_bits_again(k: Any) -> None:
    """No atomic additions: every sum has its order."""
    window = Window2d.of(3, (1, 2), (0, 1, 2, 0))
    inputs = arrays((3, 6, 9, 11), (8, 3, 3, 3), window, floats)
    first, second = (three(k, *inputs, window, 2) for _ in range(2))
    assert [a.tobytes() for a in first] == [a.tobytes() for a in second]


@every_rung
@pytest.mark.parametrize("bias", [True, False])
def test_relu(k: Any, bias: bool) -> None:
    """y = max(y, 0), and NaN stays NaN."""
    window = Window2d.of(3, padding=1)
    x, w, b, _ = arrays((2, 3, 6, 7), (4, 3, 3, 3), window)
    plain = reference.conv2d(x, w, b if bias else None, window)
    assert plain.min() < 0 < plain.max()
    assert_equal(k.conv2d(x, w, b if bias else None, window, 1, True), np.maximum(plain, 0))
    x[0, 0, 0, 0] = np.nan
    assert_equal(np.isnan(k.conv2d(x, w, None, window, 1, relu=True))[0, 0], np.pad(np.ones((2, 2), bool), ((0, 4), (0, 5))))


def test_the_table_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend calls the rung of the table, for each direction with the size of its own product."""
    window, called = Window2d.of(3, 2, 1), []

    def rung(direction: str, size: choice.Size, gpu: str | None) -> str:
        called.append((direction, size))
        return "direct"

    monkeypatch.setattr(choice, "rung", rung)
    check(OnDevice(cuda_backend), (2, 4, 9, 7), (6, 2, 3, 3), window, 2)
    assert called == [("forward", (3, 2 * 5 * 4, 18)), ("grad_input", (2, 2 * 9 * 7, 27)), ("grad_weight", (3, 18, 2 * 5 * 4))]


def test_tensor_cores_are_for_those_who_allow_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 + 2^-12 has no TF32: it is rounded only where that is allowed, and never in float64."""
    k, window = OnDevice(cuda_backend), Window2d.of(1)
    x, w = np.full((1, 64, 8, 16), 1 + 2**-12, np.float32), np.full((40, 64, 1, 1), 1 / 64, np.float32)
    monkeypatch.setattr(choice, "rung", lambda *_: "pipelined")
    try:
        assert not selection.allow_tf32()
        assert k.conv2d(x, w, None, window, 1)[0, 0, 0, 0] == 1 + 2**-12
        assert selection.allow_tf32(True)
        assert k.conv2d(x, w, None, window, 1)[0, 0, 0, 0] == 1
        assert k.conv2d(x.astype(np.float64), w.astype(np.float64), None, window, 1)[0, 0, 0, 0] == 1 + 2**-12
    finally:
        selection.allow_tf32(False)


def test_a_layer_of_real_size() -> None:
    """Several tiles in every direction, each rung as the table has it."""
    window = Window2d.of(3, padding=1)
    for name in ("blocked", "pipelined", "tensor-cores"):
        check(RUNGS[name], (2, 24, 15, 13), (136, 24, 3, 3), window, most=2)
