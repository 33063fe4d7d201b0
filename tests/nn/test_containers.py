"""Sequential, ModuleList, ModuleDict: the same as torch's, by their state, their repr and their order."""
from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch

from minicnn import nn


def edited(nn):
    net = nn.Sequential(nn.ReLU(), nn.Linear(2, 3))
    net.append(nn.Tanh()).extend([nn.Identity(), nn.Linear(1, 1)])
    net.insert(1, nn.Sigmoid())
    net[0] = nn.SiLU()
    del net[3]
    return net


def nested_dict(nn):
    table = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.ReLU()})
    table["c"] = nn.ModuleList([nn.Tanh()])
    del table["b"]
    return table


BUILDERS: dict[str, Callable] = {
    "sequential": lambda nn: nn.Sequential(nn.Linear(2, 3), nn.ReLU()),
    "empty": lambda nn: nn.Sequential(),
    "ordered": lambda nn: nn.Sequential(OrderedDict([("first", nn.Linear(2, 3)), ("second", nn.ReLU())])),
    "nested": lambda nn: nn.Sequential(nn.Sequential(nn.Linear(2, 3)), nn.Sequential()),
    "edited": edited,
    "slice": lambda nn: edited(nn)[1:4],
    "slice of ordered": lambda nn: nn.Sequential(OrderedDict([("a", nn.Linear(2, 3)), ("b", nn.ReLU()), ("c", nn.Tanh())]))[::2],
    "list": lambda nn: nn.ModuleList([nn.Linear(2, 3), nn.Linear(2, 3), nn.ReLU(), nn.Linear(2, 3)]),
    "list of blocks": lambda nn: nn.ModuleList(nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(3)),
    "empty list": lambda nn: nn.ModuleList(),
    "list slice": lambda nn: nn.ModuleList([nn.Linear(2, 3), nn.ReLU(), nn.Tanh()])[1:],
    "list insert": lambda nn: nn.ModuleList([nn.Linear(2, 3)]).append(nn.ReLU()).extend([nn.Tanh()]),
    "dict": nested_dict,
}


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_as_torch(build: Callable) -> None:
    ours, theirs = build(nn), build(torch.nn)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert len(ours) == len(theirs)
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]


def test_sequential_calls_in_order() -> None:
    class Append(nn.Module):
        def __init__(self, letter: str) -> None:
            super().__init__()
            self.letter = letter

        def forward(self, x: str) -> str:
            return x + self.letter

    net = nn.Sequential(Append("a"), Append("b"), Append("c"))
    assert net("-") == "-abc"
    assert net[1:]("-") == "-bc"
    assert net[-1] is net[2]
    assert [module.letter for module in net] == ["a", "b", "c"]


def test_a_slice_shares_its_modules() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    assert net[:2][0] is net[0]


def test_module_dict_is_a_mapping() -> None:
    table = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    assert (list(table), list(table.keys()), "a" in table, "z" in table) == (["a", "b"], ["a", "b"], True, False)
    assert list(table.values()) == [table["a"], table["b"]]
    assert dict(table.items())["b"] is table["b"]


@pytest.mark.parametrize("index", [2, -3])
def test_index_out_of_range(index: int) -> None:
    with pytest.raises(IndexError, match=f"^index {index} is out of range: this Sequential has 2 modules$"):
        nn.Sequential(nn.ReLU(), nn.ReLU())[index]


def test_only_modules() -> None:
    with pytest.raises(TypeError, match=r"^cannot register a function as '1': it must be a Module or None$"):
        nn.Sequential(nn.ReLU(), lambda x: x)
