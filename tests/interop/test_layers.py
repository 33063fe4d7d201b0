"""Every layer of minicnn.nn, with random options, to torch and back: the same layer, the same numbers, the same function."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import minicnn
from minicnn import Tensor, interop, nn
from minicnn.interop.layers import CONTAINERS, OPTIONS
from tests.compare import assert_close64, assert_equal
from tests.interop.layers import LAYERS, LOSSES, Case, cases
from tests.nn.beside_torch import compare
from tests.strategies import floats, integers

SOME = max(5, settings.default.max_examples // 5)             # of each of the layers
OTHERS = {"Module", "Parameter"}                               # public, but no layers


def test_there_is_a_rule_for_every_layer() -> None:
    """A new layer of minicnn.nn needs a row in minicnn/interop/layers.py, and a strategy here."""
    public = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    assert public - OTHERS == {*OPTIONS, *CONTAINERS}
    assert {*LAYERS, *LOSSES} == set(OPTIONS)
    for name in OPTIONS:
        assert isinstance(getattr(torch.nn, name), type)


def in_torch(case: Case, seed: int, training: bool, dtype: Any = torch.float64) -> Any:
    """The torch layer, with values that are neither 0 nor 1, so that none can be missing unnoticed."""
    theirs = case.build(torch.nn, lambda shape: torch.tensor(floats(shape, seed) ** 2 + 0.1)).to(dtype).train(training)
    with torch.no_grad():
        for i, value in enumerate(theirs.state_dict().values()):
            value.copy_(torch.tensor(np.abs(10 * floats(tuple(value.shape), seed + i)) + 0.1))
        for i, p in enumerate(theirs.parameters()):
            p.requires_grad_(bool((seed >> i) % 2))
    return theirs


def assert_same_layer(a: Any, b: Any) -> None:
    """Of two modules, each of any library: what they are, what they hold, bit for bit, and their modes."""
    assert repr(a) == repr(b)
    assert [m.training for m in a.modules()] == [m.training for m in b.modules()]
    assert [(name, p.requires_grad) for name, p in a.named_parameters()] == [(name, p.requires_grad) for name, p in b.named_parameters()]
    assert list(a.state_dict()) == list(b.state_dict())
    for (name, mine), theirs in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert_equal(mine, theirs, name)


@pytest.mark.parametrize("name", sorted({*LAYERS, *LOSSES}))
@settings(max_examples=SOME)
@given(data=st.data(), seed=st.integers(0, 1000), training=st.booleans(), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_there_and_back(name: str, data: st.DataObject, seed: int, training: bool, dtype: Any) -> None:
    theirs = in_torch(data.draw(cases(name)), seed, training, dtype)
    ours = interop.from_torch(theirs)
    assert type(ours) is getattr(nn, name)
    assert_same_layer(ours, theirs)
    again = interop.to_torch(ours)
    assert type(again) is type(theirs)
    assert_same_layer(again, theirs)
    ours.load_state_dict(interop.from_torch(theirs.state_dict()))
    assert again.load_state_dict(interop.to_torch(ours.state_dict()), strict=True).missing_keys == []
    assert [t.dtype for t in again.state_dict().values()] == [t.dtype for t in theirs.state_dict().values()]
    for name_, option in vars(theirs).items():                 # what repr does not show
        if name_ in OPTIONS[name]:
            assert getattr(again, name_) == option, name_


@pytest.mark.parametrize("name", sorted(LAYERS))
@settings(max_examples=SOME)
@given(data=st.data(), seed=st.integers(0, 1000), training=st.booleans())
def test_the_same_function(name: str, data: st.DataObject, seed: int, training: bool) -> None:
    """Forward, every gradient, and the state afterwards, in float64 (on the NumPy backend, which compiles nothing for that)."""
    case = data.draw(cases(name))
    theirs = in_torch(case, seed, training and "Dropout" not in name).requires_grad_()
    ours = interop.from_torch(theirs)
    if case.options.get("inplace"):                            # torch refuses to change a leaf
        with minicnn.use_backend("numpy"), minicnn.no_grad(), torch.no_grad():
            x = floats(case.shape, seed, np.float64)
            assert_close64(ours(Tensor(x.copy())), theirs(torch.tensor(x)))
        return
    with minicnn.use_backend("numpy"):
        compare(ours, theirs, floats(case.shape, seed, np.float64))


EXACT = ["AdaptiveMaxPool2d", "Conv2d", "ConvTranspose2d", "Flatten", "Fold", "Identity", "Linear", "MaxPool2d", "ReLU", "Unflatten",
         "Unfold", "ZeroPad2d"]


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=SOME)
@given(data=st.data(), seed=st.integers(0, 1000), backend=st.sampled_from(["numpy", "numba"]))
def test_exactly_the_same_on_integers(name: str, data: st.DataObject, seed: int, backend: str) -> None:
    case = data.draw(cases(name))
    theirs = case.build(torch.nn)
    with torch.no_grad():
        for i, p in enumerate(theirs.parameters()):
            p.copy_(torch.tensor(integers(tuple(p.shape), seed + i)))
    ours, x = interop.from_torch(theirs), integers(case.shape, seed)
    with minicnn.use_backend(backend), torch.no_grad():
        mine, peer = ours(Tensor(x.copy())), theirs.double()(torch.tensor(x.astype(np.float64)))
    for i, (y, expected) in enumerate(zip(mine, peer, strict=True) if isinstance(mine, tuple) else [(mine, peer)]):
        assert_equal(y, expected, f"output {i}")


@pytest.mark.parametrize("name", sorted(LOSSES))
@settings(max_examples=SOME)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_the_same_loss(name: str, data: st.DataObject, seed: int) -> None:
    case = data.draw(cases(name))
    theirs = in_torch(case, seed, True)
    x = floats(case.shape, seed, np.float64)
    target: Any = np.random.default_rng(seed).integers(0, case.shape[-1], case.shape[0])
    if name not in ("CrossEntropyLoss", "NLLLoss"):
        target = np.abs(np.tanh(floats(case.shape, seed + 1, np.float64)))
    assert_close64(interop.from_torch(theirs)(Tensor(x), Tensor(target)), theirs(torch.tensor(x), torch.tensor(target)))


@pytest.mark.parametrize("theirs", [torch.nn.UpsamplingNearest2d(scale_factor=2), torch.nn.UpsamplingBilinear2d((5, 3))], ids=repr)
def test_torchs_other_names(theirs: Any) -> None:
    ours = interop.from_torch(theirs)
    assert type(ours) is nn.Upsample
    compare(ours, theirs, floats((2, 3, 4, 2), 0, np.float64))
