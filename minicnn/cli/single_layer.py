"""A single layer from what the user wrote of it, for the commands that look at one: its kind, kernel, stride, ..."""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minicnn.nn import Module

CONV = ("kernel", "stride", "padding", "dilation", "groups", "filters")
KINDS = {                                                      # the kind, and what of a geometry it has
    "conv": CONV, "conv-transpose": CONV, "max-pool": ("kernel", "stride", "padding", "dilation"),
    "avg-pool": ("kernel", "stride", "padding"), "linear": ("filters",), "batch-norm": (),
}
HELP = "Of a single layer: "


def refuse(what: str, given: Mapping[str, Any]) -> None:
    """Raise ValueError for options that were given (not None) to a layer of a kind, or a network, that has no use for them."""
    if refused := [f"--{name}" for name, value in given.items() if value is not None and name not in KINDS.get(what, ())]:
        why = "" if what in KINDS else ": a network has its own geometry"
        raise ValueError(f"{what} takes no {' and no '.join(refused)}{why}")


def build(what: str, C: int, H: int, W: int, given: Mapping[str, Any], filters_a_group: int) -> Module:
    """A new layer for inputs (C, H, W). given: its options as texts and numbers, None where nothing was written.

    filters_a_group: how many filters where their number is left out. Raises ValueError for texts that are no sizes, and what the layer
    raises.
    """
    from minicnn import nn

    sizes = {name: parse_sizes(name, given[name]) for name in ("kernel", "stride", "padding", "dilation") if given.get(name) is not None}
    kernel = sizes.pop("kernel", 2 if what.endswith("pool") else 3)
    groups = 1 if given.get("groups") is None else given["groups"]
    filters = filters_a_group * max(groups, 1) if given.get("filters") is None else given["filters"]
    if what in ("conv", "conv-transpose"):
        return (nn.Conv2d if what == "conv" else nn.ConvTranspose2d)(C, filters, kernel, groups=groups, **sizes)
    if what in ("max-pool", "avg-pool"):
        return (nn.MaxPool2d if what == "max-pool" else nn.AvgPool2d)(kernel, **sizes)
    return nn.Linear(C * H * W, filters) if what == "linear" else nn.BatchNorm2d(C)


def parse_sizes(name: str, text: str) -> Any:
    """"3", "3x5" or "1,1,0,2" as an int or a tuple; "same" and "valid" of a padding as they are. Raises ValueError for anything else.

    >>> parse_sizes("kernel", "3x5"), parse_sizes("padding", "same")
    ((3, 5), 'same')
    """
    if name == "padding" and text in ("same", "valid"):
        return text
    if not re.fullmatch(r"\d+([x,]\d+){0,3}", text):
        raise ValueError(f"--{name} is {text!r}: give a whole number such as 3, or height x width such as 3x5"
                         + (", four sides such as 1,1,0,2, same or valid" if name == "padding" else ""))
    numbers = tuple(map(int, re.split("[x,]", text)))
    return numbers[0] if len(numbers) == 1 else numbers
