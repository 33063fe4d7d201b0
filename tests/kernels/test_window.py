"""Window2d: sizes and padding against brute force and torch, and the whole text of every error."""
import pickle
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minicnn.kernels.window import Window2d
from tests.compare import assert_equal
from tests.strategies import Geometry, conv_geometries, integers, pool_geometries

small = st.integers(1, 4)


@given(conv_geometries())
def test_output_size_counts_the_windows_that_fit(g: Geometry) -> None:
    for axis, outputs in enumerate(g.window.output_size(g.size)):
        n = g.size[axis] + sum(g.window.padding[2 * axis:2 * axis + 2])
        starts = [i for i in range(0, n, g.window.stride[axis]) if i + g.window.extent[axis] <= n]
        assert outputs == len(starts)


@given(n=st.integers(1, 12), k=small, s=small, d=small, p=st.integers(0, 2), ceil_mode=st.booleans())
def test_output_size_is_torchs(n: int, k: int, s: int, d: int, p: int, ceil_mode: bool) -> None:
    p = min(p, k // 2)
    try:
        expected = torch.nn.functional.max_pool2d(torch.zeros(1, n, n), k, s, p, d, ceil_mode).shape[-1]
    except RuntimeError:
        with pytest.raises(ValueError, match="no output: height"):
            Window2d.of(k, s, p, d, ceil_mode).output_size((n, n))
    else:
        assert Window2d.of(k, s, p, d, ceil_mode).output_size((n, n)) == (expected, expected)


@given(H=st.integers(1, 12), W=st.integers(1, 12), KH=small, KW=small, DH=small, DW=small)
def test_same_at_stride_1_is_torchs(H: int, W: int, KH: int, KW: int, DH: int, DW: int) -> None:
    window = Window2d.of((KH, KW), 1, "same", (DH, DW), input_size=(H, W))
    assert window.output_size((H, W)) == (H, W)
    assert window == Window2d.of((KH, KW), 1, "same", (DH, DW))
    x = integers((1, 1, H, W), H * W)
    padded = window.pad(x)
    ones = np.ones((1, 1, KH, KW))
    expected = torch.nn.functional.conv2d(torch.tensor(x.astype(float)), torch.tensor(ones), padding="same", dilation=(DH, DW))
    ours = torch.nn.functional.conv2d(torch.tensor(padded.astype(float)), torch.tensor(ones), dilation=(DH, DW))
    assert_equal(ours, expected)


@given(H=st.integers(1, 12), W=st.integers(1, 12), KH=small, KW=small, SH=small, SW=small)
def test_same_at_other_strides_is_tensorflows(H: int, W: int, KH: int, KW: int, SH: int, SW: int) -> None:
    window = Window2d.of((KH, KW), (SH, SW), "same", input_size=(H, W))
    assert window.output_size((H, W)) == (-(-H // SH), -(-W // SW))
    top, bottom, left, right = window.padding
    assert top <= bottom <= top + 1
    assert left <= right <= left + 1


@given(pool_geometries())
def test_pad_makes_room_for_every_tap_and_crop_undoes_it(g: Geometry) -> None:
    x = integers(g.x_shape, g.seed)
    padded = g.window.pad(x, 7)
    output = g.window.output_size(g.size)
    assert padded.shape[2:] == g.window.padded_size(g.size)
    assert_equal(g.window.crop(padded, g.size), x)
    assert padded.sum() == x.sum() + 7 * (padded.size - x.size)
    for kh in range(g.window.kernel[0]):
        for kw in range(g.window.kernel[1]):
            assert padded[g.window.taps(kh, kw, output)].shape[2:] == output


def test_padding_has_four_forms() -> None:
    assert Window2d.of(3, padding=2).padding == (2, 2, 2, 2)
    assert Window2d.of(3, padding=(1, 2)).padding == (1, 1, 2, 2)
    assert Window2d.of(3, padding=(1, 2, 3, 4)).padding == (1, 2, 3, 4)
    assert Window2d.of(3, padding="valid").padding == (0, 0, 0, 0)
    assert Window2d.of((3, 4), padding="same").padding == (1, 1, 1, 2)


def test_the_same_window_is_the_same_object() -> None:
    first = Window2d.of(3, 2, "same", input_size=(5, 6))
    assert Window2d.of((3, 3), [2, 2], "same", input_size=[5, 6]) is first
    assert Window2d.of(3, 2, "same", input_size=(6, 6)) is not first
    built = Window2d((3, 3), (2, 2), (1, 1, 0, 1))
    assert (first == built, hash(first) == hash(built), first == Window2d((3, 3), (2, 2))) == (True, True, False)
    assert {first: 1}[pickle.loads(pickle.dumps(built))] == 1


def test_a_kernel_as_a_numpy_shape_is_fine() -> None:
    assert Window2d.of(np.array([3, 4])) == Window2d.of((3, 4)) == Window2d.of([np.int64(3), 4])


@pytest.mark.parametrize(("arguments", "error", "text"), [
    ({"kernel": 0}, ValueError, "kernel_size is 0: must be at least 1"),
    ({"kernel": (3, -1)}, ValueError, "kernel_size is (3, -1): must be at least 1"),
    ({"kernel": (1, 2, 3)}, ValueError, "kernel_size is (1, 2, 3): give one int, or two (height, width)"),
    ({"kernel": 2.0}, TypeError, "kernel_size is 2.0: must be an int or a sequence of ints"),
    ({"kernel": True}, TypeError, "kernel_size is True: must be an int or a sequence of ints"),
    ({"kernel": (3, True)}, TypeError, "kernel_size is (3, True): must be an int or a sequence of ints"),
    ({"kernel": 3, "padding": (1.0, 1)}, TypeError, "padding is (1.0, 1): must be an int or a sequence of ints"),
    ({"kernel": "3"}, TypeError, "kernel_size is '3': must be an int or a sequence of ints"),
    ({"kernel": ()}, TypeError, "kernel_size is (): must be an int or a sequence of ints"),
    ({"kernel": 3, "stride": 0}, ValueError, "stride is 0: must be at least 1"),
    ({"kernel": 3, "dilation": (1, 0)}, ValueError, "dilation is (1, 0): must be at least 1"),
    ({"kernel": 3, "padding": -1}, ValueError, "padding is -1: must be at least 0"),
    ({"kernel": 3, "padding": (1, 2, 3)}, ValueError,
     "padding is (1, 2, 3): give one int, two (height, width), four (top, bottom, left, right), 'valid' or 'same'"),
    ({"kernel": 3, "padding": 1.5}, TypeError, "padding is 1.5: must be an int or a sequence of ints"),
    ({"kernel": 3, "padding": "full"}, ValueError, "padding is 'full'; as text it can only be 'valid' or 'same'"),
    ({"kernel": 3, "stride": 2, "padding": "same"}, ValueError,
     "padding='same' with stride (2, 2) depends on the input size: pass input_size=(H, W)"),
    ({"kernel": (1, 4), "dilation": 2, "padding": (0, 1), "input_size": (9, 4)}, ValueError,
     "no output: width 4 + padding 1 + 1 = 6 is smaller than the window's extent dilation*(kernel - 1) + 1 = 2*(4 - 1) + 1 = 7; "
     "use a smaller kernel or dilation, or more padding"),
])
def test_errors(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    Window2d.of((3, 1), padding=(1, 1))                        # equal to some of the wrong ones, and remembered
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        Window2d.of(**arguments)
