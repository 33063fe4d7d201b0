"""Every operation on a simulated device: the values and gradients of the CPU, and not one copy on the way."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import Tensor, ops
from minicnn.nn import functional as F
from tests.compare import assert_close64, assert_equal
from tests.device import SIM, needs_simulator, transfers
from tests.strategies import floats, integers

pytestmark = needs_simulator

A, B, ROW = (2, 3, 4), (2, 3, 4), (4,)
IMAGE, WEIGHT, DEPTHWISE = (2, 4, 6, 7), (6, 4, 3, 2), (4, 1, 3, 3)
LABELS = np.array([2, 0, 3, 3, 1])
Function = Callable[..., Any]

EXACT: dict[str, tuple[Function, tuple[Any, ...]]] = {         # on integers: not a single rounding. name: (function, shapes or arrays)
    "add": (lambda a, b: a + b, (A, ROW)),
    "add images": (lambda a, b: a + b + a, (IMAGE, IMAGE)),
    "sub": (lambda a, b: 3 - a - b, (A, (3, 1))),
    "mul": (lambda a, b: a * b * 2.0, (A, ROW)),
    "div by a power of 2": (lambda a: a / 4, (A,)),
    "pow": (lambda a: a**2, (A,)),
    "remainder": (lambda a, b: a % (b.abs() + 1), (A, ROW)),
    "neg, abs": (lambda a: -a.abs(), (A,)),
    "floor, ceil, round, sign": (lambda a: (a / 4).floor() + (a / 4).ceil() + (a / 4).round() + a.sign(), (A,)),
    "relu": (F.relu, (IMAGE,)),
    "add_relu": (ops.add_relu, (IMAGE, IMAGE)),
    "leaky_relu": (lambda a: F.leaky_relu(a, 0.25), (A,)),
    "clamp": (lambda a, b: a.clamp(-3, b), (A, ROW)),
    "maximum, minimum": (lambda a, b: a.maximum(b) - a.minimum(b), (A, ROW)),
    "where": (lambda a, b: a.where(a > b, b), (A, ROW)),
    "masked_fill": (lambda a: a.masked_fill(a > 2, 7.0), (A,)),
    "sum": (lambda a: a.sum((0, 2), keepdim=True) + a.sum(), (A,)),
    "mean": (lambda a: a.mean(2), (A,)),
    "max, min of all": (lambda a: a.max() - a.min(), (np.arange(24.0).reshape(A),)),
    "max along": (lambda a: a.max(1).values * a.max(1).indices, (A,)),
    "amax, amin": (lambda a: a.amax(2) - a.amin((0, 1), keepdim=True).sum(), (A,)),
    "argmax": (lambda a: a * a.argmax(2, keepdim=True), (A,)),
    "reshape, permute": (lambda a: a.reshape(6, 4).T.flatten().view(4, 6).permute(1, 0), (A,)),
    "squeeze, unsqueeze": (lambda a: a.unsqueeze(1).squeeze(1).transpose(0, 2).contiguous(), (A,)),
    "expand": (lambda a: a.unsqueeze(0).expand(5, -1) * 2, (ROW,)),
    "flip": (lambda a: a.flip(0, 2), (A,)),
    "index": (lambda a: a[1, None, ::-1, 1:] + a[..., -1].sum(), (A,)),
    "gather": (lambda a, i: a[i] + a[:, i].sum(), (A, np.array([1, 0, 1]))),
    "mask": (lambda a: a[a > 0], (A,)),
    "cat, stack": (lambda a, b: minicnn.cat([a, b], 1).sum(1) + minicnn.stack([a, b]).sum((0, 2)), (A, B)),
    "split, chunk": (lambda a: a.split([1, 3], 2)[1].sum() + a.chunk(2)[1], (A,)),
    "matmul": (lambda a, b: a @ b, (A, (2, 4, 5))),
    "matmul by a matrix": (lambda a, b: a @ b, (A, (4, 5))),
    "matmul by a vector": (lambda a, b: a @ b, (A, ROW)),
    "linear": (F.linear, ((5, 4), (3, 4), (3,))),
    "linear on images": (F.linear, ((2, 5, 4), (3, 4))),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, stride=(2, 1), padding=(1, 0, 2, 1), dilation=(1, 2)), (IMAGE, WEIGHT, (6,))),
    "conv2d depthwise": (lambda x, w: F.conv2d(x, w, padding="same", groups=4), (IMAGE, DEPTHWISE)),
    "conv2d_relu": (ops.conv2d_relu, (IMAGE, WEIGHT, (6,))),
    "conv2d of one image": (lambda x, w: F.conv2d(x, w), (IMAGE[1:], WEIGHT)),
    "conv_transpose2d": (lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1), (IMAGE, (4, 3, 3, 2), (3,))),
    "max_pool2d": (lambda x: F.max_pool2d(x, (3, 2), stride=2, padding=1, ceil_mode=True), (IMAGE,)),
    "max_pool2d, indices": (lambda x: F.max_pool2d(x, 2, dilation=(2, 3), return_indices=True), (IMAGE,)),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, (4, 2), stride=(2, 1)), (IMAGE,)),
    "avg_pool2d, divisor": (lambda x: F.avg_pool2d(x, 3, padding=1, divisor_override=8), (IMAGE,)),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (3, None)), (IMAGE,)),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, (4, 3)), (IMAGE,)),
    "unfold": (lambda x: F.unfold(x, (3, 2), padding=1, stride=2), (IMAGE,)),
    "fold": (lambda x: F.fold(x, (6, 7), (3, 2)), ((2, 12, 24),)),
    "pad": (lambda x: F.pad(x, (1, 2, -1, 3), value=2.0), (IMAGE,)),
    "mse_loss, l1_loss": (lambda x, y: F.mse_loss(x, y, reduction="sum") + F.l1_loss(x, y, reduction="none"), (A, B)),
    "smooth_l1_loss": (lambda x, y: F.smooth_l1_loss(x, y, beta=2.0, reduction="none"), (A, B)),
    "nll_loss": (lambda x, t: F.nll_loss(x, t, reduction="sum"), ((5, 4), LABELS)),
    "cast": (lambda a: a.double() * a.long() + a.int() + a.bool(), (A,)),
    "setitem": (lambda a, b: ops.setitem(a, (slice(None), 1), b), (A, ROW)),
    "dropout that drops nothing": (lambda a: F.dropout(a, 0.5, training=False), (A,)),
}

ROUNDED: dict[str, tuple[Function, tuple[Any, ...]]] = {       # in float64, to TOLERANCE64
    "exp, log": (lambda a: a.exp() + (a.abs() + 1).log(), (A,)),
    "sqrt, pow": (lambda a, b: a.abs().sqrt() + (a.abs() + 1) ** b, (A, ROW)),
    "sin, cos": (lambda a: a.sin() * a.cos(), (A,)),
    "div": (lambda a, b: a / (b * b + 1) + 1 / (a * a + 1), (A, ROW)),
    "sigmoid, tanh": (lambda a: a.sigmoid() + a.tanh(), (A,)),
    "elu, silu": (lambda a: F.elu(a) + F.silu(a), (A,)),
    "gelu": (lambda a: F.gelu(a) + F.gelu(a, "tanh"), (A,)),
    "hardswish, logsigmoid": (lambda a: F.hardswish(a) + F.logsigmoid(a), (A,)),
    "var, std, norm": (lambda a: a.var(1, keepdim=True) + a.std((0, 2), correction=0, keepdim=True) + a.norm(), (A,)),
    "logsumexp": (lambda a: a.logsumexp((0, 2)), (A,)),
    "softmax": (lambda a: F.softmax(a, 1) + F.log_softmax(a, -1), (A,)),
    "normalize": (F.normalize, ((5, 4),)),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), (IMAGE, (4,), (4,))),
    "batch_norm of rows": (lambda x, w: F.batch_norm(x, None, None, w, training=True), ((5, 4), (4,))),
    "batch_norm, running": (lambda x: F.batch_norm(x, ops.zeros_like(x[0, :, 0, 0]), ops.ones_like(x[0, :, 0, 0])), (IMAGE,)),
    "batch_norm_relu": (lambda x, w, b: ops.batch_norm_relu(x, None, None, w, b, training=True), (IMAGE, (4,), (4,))),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), (IMAGE, (4,), (4,))),
    "layer_norm": (lambda x, w: F.layer_norm(x, (3, 4), w), (A, (3, 4))),
    "avg_pool2d, padding": (lambda x: F.avg_pool2d(x, 3, padding=1, count_include_pad=False), (IMAGE,)),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (4, 3)), (IMAGE,)),
    "cross_entropy": (F.cross_entropy, ((5, 4), LABELS)),
    "cross_entropy of images": (F.cross_entropy, ((5, 4, 2, 3), np.arange(30).reshape(5, 2, 3) % 4)),
    "cross_entropy, smoothed": (lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1), ((5, 4), LABELS)),
    "cross_entropy of probabilities": (lambda x, t: F.cross_entropy(x, F.softmax(t, 1)), ((5, 4), (5, 4))),
    "binary_cross_entropy_with_logits": (lambda x, t: F.binary_cross_entropy_with_logits(x, t.sigmoid(), pos_weight=t[0].abs()), (A, B)),
}

COPIED: dict[str, tuple[Function, tuple[Any, ...]]] = {        # the index tables of these are made on the host, and copied
    "interpolate, nearest": (lambda x: F.interpolate(x, scale_factor=2), (IMAGE,)),
    "interpolate, bilinear": (lambda x: F.interpolate(x, (8, 8), mode="bilinear"), (IMAGE,)),
    "pad, reflect": (lambda x: F.pad(x, (1, 2, 2, 0), mode="reflect"), (IMAGE,)),
    "pad, circular": (lambda x: F.pad(x, (1, 2), mode="circular"), (IMAGE,)),
    "gather by a list": (lambda a: a[[1, 0, 1]], (A,)),
}


def results(function: Function, arrays: list[np.ndarray], device: str) -> tuple[list[Tensor], int]:
    """The outputs and the gradients of all float inputs, copied back, and how many copies were made between."""
    inputs = [Tensor(a).to(device).requires_grad_(a.dtype.kind == "f") for a in arrays]
    transfers()
    with minicnn.use_backend("numpy"):
        outputs = function(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        dy = Tensor(integers(outputs[0].shape, 99, dtype=outputs[0].dtype)).to(device)
        outputs[0].backward(dy)
    copies = sum(transfers()) - (device != "cpu")              # dy's own
    assert {t.device for t in (*outputs, *(x.grad for x in inputs if x.grad is not None))} == {device}
    return [t.detach().cpu() for t in (*outputs, *(x.grad for x in inputs if x.grad is not None))], copies


def compare(function: Function, inputs: tuple[Any, ...], values: Callable[..., np.ndarray], dtype: Any, equal: Function) -> int:
    arrays = [x if isinstance(x, np.ndarray) and x.dtype.kind == "i" else x.astype(dtype) if isinstance(x, np.ndarray)
              else values(x, i, dtype=dtype) for i, x in enumerate(inputs)]
    expected, _ = results(function, arrays, "cpu")
    got, copies = results(function, arrays, SIM)
    assert len(got) == len(expected)
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        equal(a, b, f"output or gradient {i}")
    return copies


@pytest.mark.parametrize(("function", "inputs"), EXACT.values(), ids=EXACT)
def test_exact(function: Function, inputs: tuple[Any, ...]) -> None:
    assert compare(function, inputs, integers, np.float32, assert_equal) == 0


@pytest.mark.parametrize(("function", "inputs"), ROUNDED.values(), ids=ROUNDED)
def test_rounded(function: Function, inputs: tuple[Any, ...]) -> None:
    F.gelu(minicnn.zeros(1, dtype=np.float64, device=SIM))     # its table is copied once
    assert compare(function, inputs, floats, np.float64, assert_close64) == 0


@pytest.mark.parametrize(("function", "inputs"), COPIED.values(), ids=COPIED)
def test_with_tables_of_the_host(function: Function, inputs: tuple[Any, ...]) -> None:
    assert compare(function, inputs, floats, np.float64, assert_close64) > 0


def test_comparisons_and_nan() -> None:
    a, b = integers((3, 4), 0), integers((3, 4), 1)
    b[0, 0] = np.nan
    x, y = Tensor(a).to(SIM), Tensor(b).to(SIM)
    transfers()
    found = [x == y, x != y, x < y, x <= y, x > y, x >= y, (x < y) & (x > 0), (x < y) | ~(x > 0), (x > 1) ^ (y > 1), y.isnan(), y.isinf(),
             y.isfinite(), (x > 7).any(1), (x > -9).all(0, True), x // 3, x == 2]
    assert transfers() == (0, 0)
    expected = [a == b, a != b, a < b, a <= b, a > b, a >= b, (a < b) & (a > 0), (a < b) | ~(a > 0), (a > 1) ^ (b > 1), np.isnan(b),
                np.isinf(b), np.isfinite(b), (a > 7).any(1), (a > -9).all(0, keepdims=True), a // 3, a == 2]
    for got, right in zip(found, expected, strict=True):
        assert_equal(got.cpu(), right)


def test_softmax_of_nothing() -> None:
    for device in ("cpu", SIM):
        x = minicnn.zeros(3, 0, device=device)
        assert F.softmax(x, 1).shape == F.log_softmax(x, 0).shape == (3, 0)
        assert_equal(x.logsumexp(1).cpu(), np.full(3, -np.inf, np.float32))
