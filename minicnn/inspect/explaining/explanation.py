"""Explanation: all products behind one number, their sum, the number that the kernel gave, and how far apart the two may be."""
from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import document
from minicnn.document import Block, Table
from minicnn.inspect.explaining.terms import Panel, Term
from minicnn.inspect.result import Result
from minicnn.inspect.rounding import gamma

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

WIDEST = 100                                                   # characters in a line of prose


@dataclass(repr=False, eq=False)
class Explanation(Result):
    """What makes one number: an element of a layer's output, or of the gradient of its input, its weight or its bias.

        total = sum of the terms' products, plus bias where there is one; for max pooling, the one candidate that wins

    layer, function: what was called. of: "output", "gradient of the input", ... name: "y[0, 2, 1, 1]". index: in full.
    equation: lines that say which numbers take part. factors: what the left and the right of each term are, such as ("x", "weight").
    terms: all of them. bias: None where none is added. group: the place by which long lists are summed up.
    total: in float64. kernel: what the backend gave, in `dtype`. roundings: K of the bound gamma(K) * magnitude, where magnitude is the sum
    of the absolute values of all that is added. tiled: the kernel adds up a whole tile of Winograd's, and so do they.
    matrix: which cell of which matrix product it is, in numbers. words: paragraphs. details: tables beside that of the terms.
    rows: rows of panels, for the pictures. most: how many terms the text shows; None: all.
    """
    layer: str
    function: str
    of: str
    name: str
    index: tuple[int, ...]
    equation: list[str]
    factors: tuple[str, str]
    terms: list[Term]
    kernel: float
    dtype: str
    backend: str
    roundings: int
    bias: float | None = None
    total: float = math.nan
    magnitude: float = math.nan
    group: str | None = None
    matrix: dict[str, Any] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    details: list[Table] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)      # further ones, for JSON
    rows: list[list[Panel]] = field(default_factory=list)
    most: int | None = 30
    tiled: bool = False

    @property
    def error(self) -> float:
        """|kernel - total|; 0 where both are the same infinity, or both NaN."""
        if self.kernel == self.total or (math.isnan(self.kernel) and math.isnan(self.total)):
            return 0.0
        return abs(self.kernel - self.total)

    @property
    def bound(self) -> float:
        """gamma(roundings) * magnitude: how far the kernel's number may be from the total, in whatever order it adds."""
        return gamma(self.roundings, self.dtype) * self.magnitude + float(np.finfo(self.dtype).smallest_subnormal)

    @property
    def within(self) -> bool:
        """Whether the kernel's number is within the bound."""
        return self.error == 0 or self.error <= self.bound

    def show(self, console: Console) -> None:
        """Print it on a rich console, paragraphs broken into lines between words."""
        width = min(console.width, WIDEST) if console.is_terminal else WIDEST
        document.show([_lines(block, width) if isinstance(block, str) else block for block in self.blocks()], console)

    def blocks(self) -> list[Block]:
        from minicnn.inspect.explaining.text import blocks

        return blocks(self)

    def figure(self) -> Figure:
        from minicnn.inspect.explaining.picture import draw

        return draw(self)

    def as_dict(self) -> dict[str, Any]:
        left, right = self.factors
        return {
            "layer": self.layer, "function": self.function, "of": self.of, "name": self.name, "index": list(self.index),
            "equation": self.equation,
            "terms": [{**term.place, left: term.left, right: term.right, "product": term.product} for term in self.terms],
            "bias": self.bias, "total": self.total, "kernel": self.kernel, "backend": self.backend, "dtype": self.dtype,
            "error": self.error, "bound": self.bound, "roundings": self.roundings, "within": self.within,
            "matrix": self.matrix, **self.numbers, "words": self.words,
        }


def _lines(text: str, width: int) -> str:
    """Every line of a paragraph broken between words; what goes on is indented where there are several."""
    indent = "  " if "\n" in text else ""
    return "\n".join(textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
                     for line in text.split("\n"))


def total(terms: list[Term], bias: float | None = None) -> float:
    """The exact sum of the products, rounded once; NaN and infinities as arithmetic has them."""
    values = [term.product for term in terms] + ([] if bias is None else [bias])
    if all(map(math.isfinite, values)):
        return math.fsum(values)
    with np.errstate(invalid="ignore"):
        return float(np.sum(values))


def size(terms: list[Term], bias: float | None = None) -> float:
    """The sum of the absolute values."""
    return total([Term(t.place, t.left, t.right, abs(t.product)) for t in terms], None if bias is None else abs(bias))
