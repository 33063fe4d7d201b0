"""State dicts, tensors and optimisers' states, both ways: the same memory where that is possible, a clear error where nothing is."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minicnn
from minicnn import Tensor, interop, nn, optim
from tests.compare import TRAINING64, assert_close64, assert_equal
from tests.interop.test_memory import DTYPES, LAYOUTS, address, assert_shared, shapes, some
from tests.strategies import floats, in_layout

SHARED = [d for d in DTYPES if d != "float16"]                # which becomes float32 on the way here


@given(shape=shapes, dtype=st.sampled_from(SHARED), layout=st.sampled_from(LAYOUTS))
def test_tensors_share_their_memory(shape: tuple[int, ...], dtype: str, layout: str) -> None:
    theirs = torch.from_numpy(some(shape, dtype, layout))
    assert_shared(theirs, interop.from_torch(theirs))
    assert_shared(theirs, interop.from_torch({"a": [theirs]})["a"][0])
    ours = Tensor(some(shape, dtype, layout))
    assert_shared(ours, interop.to_torch(ours))
    assert_shared(ours.array, interop.to_torch({"a": ours.array})["a"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_small_floats_become_float32(dtype: Any) -> None:
    """Every value there is, NaN and infinity too, to the bit."""
    bits = torch.arange(2 ** (8 * dtype.itemsize)).to(torch.uint8 if dtype.itemsize == 1 else torch.int32)
    theirs = (bits if dtype.itemsize == 1 else bits.to(torch.int16)).view(dtype)
    assert_equal(interop.from_torch(theirs), theirs.float())


@pytest.mark.parametrize("layout", ["read-only", "reversed"])
def test_what_torch_cannot_share_is_copied(layout: str) -> None:
    array = some((2, 3), "float32", layout)
    theirs = interop.to_torch(Tensor(array))
    assert_equal(theirs, array)
    theirs[0, 0] = 9
    assert array[0, 0] == 0


def test_other_bytes_and_other_devices() -> None:
    assert_equal(interop.to_torch(np.arange(3, dtype=">f4")), np.arange(3, dtype=np.float32))
    assert_equal(interop.to_torch(minicnn.tensor([1.0, 2.0], device="cuda-sim")), np.float32([1, 2]))


def test_gradients_stay_behind() -> None:
    theirs = torch.ones(2, requires_grad=True)
    for t in (theirs, theirs * 2):
        ours = interop.from_torch(t)
        assert (ours.requires_grad, address(ours)) == (False, address(t))
    mine = minicnn.ones(2, requires_grad=True)
    assert not interop.to_torch(mine * 2).requires_grad
    assert address(interop.to_torch(mine)) == address(mine)


def test_values_of_views_that_torch_has_not_computed_yet() -> None:
    lazy = torch.complex(torch.ones(3), torch.arange(3.0)).conj().imag              # torch negates it when it is looked at
    assert_equal(interop.from_torch(lazy), np.float32([0, -1, -2]))
    assert_equal(interop.from_torch(torch.arange(3.0).expand(2, 3)), np.float32([[0, 1, 2], [0, 1, 2]]))


def test_a_state_dict_loads_as_it_is() -> None:
    theirs = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3)).to(memory_format=torch.channels_last)
    theirs(torch.tensor(floats((2, 2, 5, 5), 0)))
    ours = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    state = interop.from_torch(theirs.state_dict())
    assert type(state) is dict
    assert address(state["0.weight"]) == address(theirs[0].weight)
    ours.load_state_dict(state)
    assert ours[1].num_batches_tracked.item() == 1
    back = interop.to_torch(ours.state_dict())
    assert {name: t.dtype for name, t in back.items()} == {name: t.dtype for name, t in theirs.state_dict().items()}
    assert address(back["0.weight"]) == address(ours[0].weight)
    fresh = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    assert fresh.load_state_dict(back) == torch.nn.modules.module._IncompatibleKeys([], [])
    for name, value in theirs.state_dict().items():
        assert_equal(fresh.state_dict()[name], value, name)


def test_a_half_precision_state_dict_loads() -> None:
    theirs = torch.nn.Linear(3, 2).bfloat16()
    ours = nn.Linear(3, 2)
    ours.load_state_dict(interop.from_torch(theirs.state_dict()))
    assert_equal(ours.weight, theirs.weight.float())


def test_whole_checkpoints() -> None:
    """Dictionaries in dictionaries, as torch.save is given them: what is no tensor stays as it is."""
    theirs = {"epoch": 3, "name": "a", "none": None, "model": {"w": torch.ones(2)}, "all": (torch.zeros(1), [torch.ones(1)]),
              0: torch.Size([1])}
    ours = interop.from_torch(theirs)
    assert (ours["epoch"], ours["name"], ours["none"], ours[0]) == (3, "a", None, torch.Size([1]))
    assert_equal(ours["model"]["w"], np.ones(2, np.float32))
    assert isinstance(ours["all"], tuple)
    assert isinstance(ours["all"][1][0], Tensor)
    assert isinstance(interop.to_torch(ours)["model"]["w"], torch.Tensor)


OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {"lr": 0.05}), "momentum": ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}),
    "Adam": ("Adam", {"lr": 0.01, "betas": (0.8, 0.99)}), "AdamW": ("AdamW", {"lr": 0.01, "weight_decay": 0.1})}


@pytest.mark.parametrize("there", [True, False], ids=["to torch", "from torch"])
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_training_goes_on_in_the_other_library(name: str, options: dict[str, Any], there: bool) -> None:
    """Five steps in one library and five in the other are ten in torch: weights, and the state of the optimiser."""
    def steps(net: Any, optimizer: Any, tensor: Any, numbers: range) -> None:
        for step in numbers:
            optimizer.zero_grad()
            net(tensor(floats((4, 3), step, np.float64))).pow(2).sum().backward()
            optimizer.step()

    def new(library: Any, optimizers: Any, state: Any = None) -> Any:
        net = library.Sequential(library.Linear(3, 4), library.Tanh(), library.Linear(4, 2)).double()
        net.load_state_dict(state or start)
        return net, getattr(optimizers, name)(net.parameters(), **options)

    start = {f"{i}.{kind}": torch.tensor(floats(shape, i + len(shape), np.float64)) for i, n, m in ((0, 3, 4), (2, 4, 2))
             for kind, shape in (("weight", (m, n)), ("bias", (m,)))}
    reference = new(torch.nn, torch.optim)
    steps(*reference, torch.tensor, range(10))
    first = new(nn, optim) if there else new(torch.nn, torch.optim)
    steps(*first, Tensor if there else torch.tensor, range(5))
    across = interop.to_torch if there else interop.from_torch
    second = new(torch.nn, torch.optim, across(first[0].state_dict())) if there else new(nn, optim, across(first[0].state_dict()))
    second[1].load_state_dict(across(first[1].state_dict()))
    steps(*second, torch.tensor if there else Tensor, range(5, 10))
    for (key, got), expected in zip(second[0].state_dict().items(), reference[0].state_dict().values(), strict=True):
        assert_close64(got, expected, key, TRAINING64)
    final = interop.from_torch(second[1].state_dict()) if there else second[1].state_dict()
    for number, state in interop.from_torch(reference[1].state_dict())["state"].items():
        for key, expected in state.items():
            if isinstance(expected, Tensor) and expected.ndim:
                assert_close64(final["state"][number][key], expected, key, TRAINING64)


class Bits(torch.Tensor):
    """Of a library that keeps its numbers to itself."""

    def numpy(self, *, force: bool = False) -> Any:
        raise RuntimeError("not available")


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")       # torch will drop such tensors one day; not yet
@pytest.mark.parametrize(("call", "text"), [
    (lambda: interop.from_torch(3), "from_torch: expected a module, a tensor or a state_dict, got int"),
    (lambda: interop.from_torch(torch.optim.SGD([torch.ones(1, requires_grad=True)])),
     "from_torch: expected a module, a tensor or a state_dict, got SGD: give its .state_dict()"),
    (lambda: interop.from_torch(nn.ReLU()), "from_torch: a ReLU of minicnn's was given: the other way is to_torch"),
    (lambda: interop.from_torch(Tensor([1])), "from_torch: a Tensor of minicnn's was given: the other way is to_torch"),
    (lambda: interop.from_torch({"a": torch.ones(1, dtype=torch.complex64)}),
     "from_torch: a holds torch.complex64: minicnn has floats, integers and booleans"),
    (lambda: interop.from_torch({"a": [{"b": torch.ones(1, device="meta")}]}),
     "from_torch: a[0]['b'] has no values: it is on torch's device 'meta'"),
    (lambda: interop.from_torch(torch.ones(2, 2).to_sparse()), "from_torch: the tensor is not stored as one block: .to_dense() gives one"),
    (lambda: interop.from_torch(torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)),
     "from_torch: the tensor is quantised: .dequantize() gives its numbers"),
    (lambda: interop.from_torch(torch.nn.LazyLinear(3).state_dict()),
     "from_torch: weight has no values: run the module once, so that its shapes are known"),
    (lambda: interop.from_torch(torch.ones(2).as_subclass(Bits)),
     "from_torch: the tensor is a Bits of torch.float32 that torch gives nobody: not available"),
    (lambda: interop.to_torch(3), "to_torch: expected a module, a tensor or a state_dict, got int"),
    (lambda: interop.to_torch(optim.SGD([minicnn.ones(1)])),
     "to_torch: expected a module, a tensor or a state_dict, got SGD: give its .state_dict()"),
    (lambda: interop.to_torch(torch.nn.ReLU()), "to_torch: a ReLU of torch's was given: the other way is from_torch"),
    (lambda: interop.to_torch({"a": np.ones(1, np.longdouble)}), f"to_torch: a holds {np.dtype(np.longdouble)}, which torch has not"),
    (lambda: interop.to_torch({"a": np.array(["x"])}), "to_torch: a holds <U1, which torch has not"),
])
def test_errors(call: Any, text: str) -> None:
    with pytest.raises(TypeError) as error:
        call()
    assert str(error.value) == text


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    monkeypatch.setitem(sys.modules, "torch", None)
    for call in (interop.from_torch, interop.to_torch):
        with pytest.raises(ImportError) as error:
            call({})
        assert str(error.value) == f"{call.__name__} needs torch: pip install torch"


def test_layouts_keep_their_strides() -> None:
    weight = torch.ones(4, 3, 2, 2).to(memory_format=torch.channels_last)
    assert not interop.from_torch(weight).is_contiguous()
    ours = Tensor(in_layout(floats((4, 3, 2, 2), 0), "channels-last"))
    assert interop.to_torch(ours).is_contiguous(memory_format=torch.channels_last)
