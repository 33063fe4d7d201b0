"""Compare one operation with torch's, forward and every gradient: `exact` on integers, `close` on floats. A test is one line in a table."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from minicnn import Tensor
from tests.compare import assert_bounded, assert_close64, assert_equal, unchanged
from tests.strategies import floats, integers

# Roundings allowed in one float32 value of any operation here.
ROUNDINGS32 = 256

Operation = Callable[..., Any]


def exact(ours: Operation, theirs: Operation, *arrays: np.ndarray, seed: int = 0) -> None:
    """Tier 1: on integer-valued float32 inputs our result and all gradients *equal* torch's, computed in float64.

    dy is random integers, never ones: ones would hide every permutation of positions. Non-float arrays are passed as constants.
    """
    _both(ours, theirs, arrays, np.float32, seed, integers, lambda got, expected, what: assert_equal(got, expected, what))


def close(ours: Operation, theirs: Operation, *arrays: np.ndarray, seed: int = 0) -> None:
    """Tier 2 for functions that round: float64 against torch's float64, and float32 (whose dtype must stay float32) against the same."""
    _both(ours, theirs, arrays, np.float64, seed, floats, lambda got, expected, what: assert_close64(got, expected, what))

    def bounded(got: Any, expected: Any, what: str) -> None:
        reference = expected.detach().numpy()
        assert np.asarray(got.detach()).dtype == np.float32, f"{what}: dtype {got.dtype}, expected float32"
        assert_bounded(got, reference, np.maximum(1, np.abs(np.nan_to_num(reference))), ROUNDINGS32, what)

    rounded = tuple(a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays)
    _both(ours, theirs, rounded, np.float32, seed, floats, bounded)


def _both(ours: Operation, theirs: Operation, arrays: tuple[np.ndarray, ...], dtype: Any, seed: int, random: Callable[..., np.ndarray],
          check: Callable[[Any, Any, str], None]) -> None:
    """Run both, forward and backward, and hand each pair of results to `check`.

    torch always runs in float64, on contiguous copies: with a channels-last weight its float64 conv2d has a wrong weight gradient (2.13.0).
    """
    mine = [Tensor(a.astype(dtype, copy=False), requires_grad=True) if a.dtype.kind == "f" else Tensor(a) for a in arrays]
    peer = [torch.tensor(a.astype(np.float64, order="C"), requires_grad=True) if a.dtype.kind == "f" else torch.tensor(a) for a in arrays]
    with unchanged(*(t.array for t in mine)):
        y, expected = ours(*mine), theirs(*peer)
        check(y, expected, "forward")
        if not expected.requires_grad:
            assert not y.requires_grad, "torch's result has no gradient, ours has"
            return
        dy = random(tuple(expected.shape), seed + 1, dtype=dtype)
        y.backward(Tensor(dy))
        expected.backward(torch.tensor(dy.astype(np.float64)))
    for i, (a, b) in enumerate(zip(mine, peer, strict=True)):
        if b.requires_grad:
            assert (a.grad is None) == (b.grad is None), f"gradient {i}: one of the two has none"
            if b.grad is not None:
                check(a.grad, b.grad, f"gradient {i}")
