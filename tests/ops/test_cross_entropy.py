"""cross_entropy and nll_loss against torch: every combination of their options, labels to ignore, probabilities, any axes, errors."""
from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as TF
from hypothesis import given
from hypothesis import strategies as st

import minicnn.nn.functional as F
from minicnn import Tensor, use_backend
from tests.against_torch import close
from tests.compare import assert_bounded, assert_equal
from tests.ops.neural import each_backend
from tests.strategies import floats, in_layout, layouts, seeds

reductions = st.sampled_from(["none", "mean", "sum"])


@st.composite
def logits(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Logits (K), (N, K) or (N, K, d1, ...), labels, some of them ignored, positive class weights (K), and the label to ignore."""
    lead = draw(st.lists(st.integers(1, 3), max_size=3))
    K, seed = draw(st.integers(1, 5)), draw(seeds)
    rng = np.random.default_rng(seed)
    ignored = draw(st.sampled_from([-100, 0, K - 1, -1, K + 3]))
    labels = rng.choice([*range(K), ignored], lead)
    if (labels == ignored).all():                                  # torch's mean is NaN then: a test of its own
        labels[...] = (ignored + 1) % K
        ignored = -100
    x = 3 * floats((*lead[:1], K, *lead[1:]), seed)
    return in_layout(x, draw(layouts)), labels, rng.uniform(0.5, 2, K), ignored


@each_backend
@given(case=logits(), weighted=st.booleans(), smoothing=st.sampled_from([0.0, 0.1, 1.0]), reduction=reductions)
def test_class_indices(backend: str, case: tuple[Any, ...], weighted: bool, smoothing: float, reduction: str) -> None:
    x, labels, weight, ignored = case
    arrays = (x, labels, weight) if weighted else (x, labels)
    smooth = {"ignore_index": ignored, "reduction": reduction, "label_smoothing": smoothing}
    plain = {"ignore_index": ignored, "reduction": reduction}

    def call(f: Any, name: str, options: dict[str, Any]) -> Any:
        return lambda a, t, w=None: getattr(f, name)(a, t, None if w is None else w.detach(), **options)

    with use_backend(backend):
        close(call(F, "cross_entropy", smooth), call(TF, "cross_entropy", smooth), *arrays)
        close(call(F, "nll_loss", plain), call(TF, "nll_loss", plain), *arrays)


@given(case=logits(), weighted=st.booleans(), smoothing=st.sampled_from([0.0, 0.25]), reduction=reductions)
def test_probabilities(case: tuple[Any, ...], weighted: bool, smoothing: float, reduction: str) -> None:
    x, _, weight, _ = case
    target = np.random.default_rng(0).uniform(0, 1, x.shape)
    options = {"reduction": reduction, "label_smoothing": smoothing}

    def call(f: Any, w: Any) -> Any:
        return lambda a, t: f.cross_entropy(a, t, w(a) if weighted else None, **options)

    close(call(F, lambda a: Tensor(weight.astype(a.dtype))), call(TF, lambda a: torch.tensor(weight)), x, target)


@each_backend
def test_large_logits_do_not_overflow(backend: str) -> None:
    x = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [-np.inf, 0, 1]])
    with use_backend(backend):
        close(F.cross_entropy, TF.cross_entropy, x, np.array([1, 2, 2]))


@each_backend
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_ignored_samples_hide_nan_and_all_ignored_is_nan(name: str, backend: str) -> None:
    x, labels = floats((3, 4), 0), np.array([1, -100, 2])
    x[1] = np.nan
    with use_backend(backend):
        y = getattr(F, name)(Tensor(x), Tensor(labels), reduction="none")
        assert_equal(y.numpy()[1], np.float32(0))
        assert np.isfinite(y.numpy()).all()
        assert np.isnan(getattr(F, name)(Tensor(x), Tensor(np.full(3, -100))).item())
        assert np.isnan(getattr(F, name)(Tensor(x), Tensor(np.array([0, 1, 2]))).item())


def test_unsigned_labels() -> None:
    x = floats((3, 4), 0)
    expected = F.cross_entropy(Tensor(x), Tensor(np.array([3, 0, 1])))
    assert_equal(F.cross_entropy(Tensor(x), Tensor(np.array([3, 0, 1], np.uint8))), expected)


ERRORS: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
    ((4, 3), np.array([0, 1, 2, 3]), {}, ValueError,
     "label 3 at index 3 is out of range: there are 3 classes, so labels are 0..2"),
    ((2, 3, 2), np.array([[0, 1], [-1, 2]]), {}, ValueError,
     "label -1 at index 1, 0 is out of range: there are 3 classes, so labels are 0..2"),
    ((4, 3), np.zeros(4, np.float32), {}, TypeError, "class indices must be integers, target is float32: convert it with .long()"),
    ((), np.zeros(4, np.int64), {}, ValueError, "x must be (N, K), (N, K, d1, ...) or (K), got shape ()"),
    ((4, 0), np.zeros(4, np.int64), {}, ValueError, "x has no classes (shape (4, 0)): axis 1 is empty"),
    ((4, 3), np.zeros(4, np.int64), {"weight": Tensor(np.ones(4, np.float32))}, ValueError,
     "x has 3 classes (shape (4, 3)), so weight must be (3,), got (4,)"),
    ((4, 3), np.zeros(4, np.int64), {"reduction": "average"}, ValueError, "reduction is 'average': must be 'none', 'mean' or 'sum'"),
    ((4, 3), np.zeros(4, np.int64), {"weight": Tensor(np.ones(3))}, TypeError,
     "dtypes differ: x is float32, weight is float64; convert with .float() or .double()"),
]
CROSS_ENTROPY_ERRORS: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
    ((4, 3), np.zeros(5, np.int64), {}, ValueError,
     "x has shape (4, 3), so target must be class indices (4,) or probabilities (4, 3), got (5,)"),
    ((4, 3), np.zeros((4, 3), np.int64), {}, TypeError,
     "target has x's shape (4, 3), so it must hold probabilities (floats), but it is int64"),
    ((4, 3), np.zeros(4, np.int64), {"label_smoothing": 1.5}, ValueError, "label_smoothing is 1.5: must be between 0 and 1"),
]
NLL_ERRORS: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
    ((4, 3), np.zeros(5, np.int64), {}, ValueError, "x has shape (4, 3), so target must be class indices (4,), got (5,)"),
]


@pytest.mark.parametrize(("name", "shape", "target", "options", "error", "message"), [
    *(("cross_entropy", *case) for case in ERRORS + CROSS_ENTROPY_ERRORS), *(("nll_loss", *case) for case in ERRORS + NLL_ERRORS)])
def test_errors(name: str, shape: Any, target: np.ndarray, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(f'{name}: {message}')}$"):
        getattr(F, name)(Tensor(np.zeros(shape, np.float32)), Tensor(target), **options)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "mse_loss", "binary_cross_entropy_with_logits"])
def test_only_tensors(name: str) -> None:
    scores, labels = Tensor(np.zeros((2, 3), np.float32)), [0, 1]
    with pytest.raises(TypeError) as error:
        getattr(F, name)(scores, labels)
    assert str(error.value) == f"{name}: target is of type list; it must be a Tensor: minicnn.as_tensor(target) makes one"
    with pytest.raises(TypeError) as error:
        getattr(F, name)(np.zeros((2, 3)), scores)
    assert str(error.value) == f"{name}: x is of type ndarray; it must be a Tensor: minicnn.as_tensor(x) makes one"


@pytest.mark.parametrize("smoothing", [0.1, 1.0])
def test_smoothing_far_from_zero_and_of_impossible_classes(smoothing: float) -> None:
    """Logits around 10^4 lose no more than they have lost; a class that softmax calls impossible costs an infinite loss, as in torch."""
    x = floats((3, 5), 0)
    x[1] += 1e4
    x[2, 0] = -np.inf
    labels = np.array([0, 1, 2])
    losses = F.cross_entropy(Tensor(x), Tensor(labels), reduction="none", label_smoothing=smoothing)
    expected = TF.cross_entropy(torch.tensor(x.astype(np.float64)), torch.tensor(labels), reduction="none", label_smoothing=smoothing)
    assert_bounded(losses, expected.numpy(), np.array([8, 8, 8]), 32)
