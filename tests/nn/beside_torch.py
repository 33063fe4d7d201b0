"""Run one of our modules beside torch's with the same state, and compare everything they compute."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch

from minicnn import Tensor, nn
from tests.compare import TOLERANCE64, assert_close64, assert_equal
from tests.strategies import floats


def twins(build: Any, training: bool = True) -> tuple[nn.Module, torch.nn.Module]:
    """build(nn) in both frameworks, in float64, with torch's state loaded into ours; the keys and shapes of both must agree."""
    theirs = build(torch.nn).double().train(training)
    with torch.no_grad():
        for i, value in enumerate(theirs.state_dict().values()):
            if value.is_floating_point():                      # not 0 and 1, which would hide a missing weight or bias
                value.copy_(torch.tensor(floats(tuple(value.shape), 100 + i) ** 2 + 0.1))
    ours = build(nn).double().train(training)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: tuple(v.shape) for k, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def compare(ours: nn.Module, theirs: torch.nn.Module, *arrays: np.ndarray) -> None:
    """One forward and backward pass: outputs, gradients of inputs and parameters, and the state afterwards."""
    mine = [Tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    peer = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    y, expected = ours(*mine), theirs(*peer)
    if isinstance(expected, tuple):                            # (maxima, indices)
        assert_equal(y[1], expected[1], "indices")
        y, expected = y[0], expected[0]
    assert_close64(y, expected, "forward")
    dy = floats(tuple(expected.shape), 7, np.float64)
    y.backward(Tensor(dy))
    expected.backward(torch.tensor(dy))
    for i, (a, b) in enumerate(zip(mine, peer, strict=True)):
        if b.requires_grad:
            assert_close64(a.grad, b.grad, f"gradient of input {i}")
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert_close64(a.grad, b.grad, f"gradient of {name}")
    same_state(ours, theirs)


def same_state(ours: nn.Module, theirs: torch.nn.Module, tolerance: float = TOLERANCE64) -> None:
    """Every parameter and buffer, in order, is as close as `tolerance`; integers are equal."""
    for (name, got), expected in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        if expected.is_floating_point():
            assert_close64(got, expected, name, tolerance)
        else:
            assert_equal(got, expected, name)
