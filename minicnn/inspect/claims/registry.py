"""The list of claims. Each is one small function that builds, counts, runs or trains what the claim is about.

    @claim("first-layer", "... 1,000 hidden units", quoted="150,528,000 weights")
    def first_layer(quoted: str) -> Answer: ...
"""
from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from minicnn.document import Table

RIGHT, WRONG, HALF_TRUE, DEPENDS = "right", "wrong", "half true", "depends"


@dataclass(frozen=True, eq=False)
class Answer:
    """What a claim's function returns.

    verdict: RIGHT, WRONG, HALF_TRUE or DEPENDS. computed: the true number, as text. why: one to three sentences.
    numbers: the same and more as plain values, for JSON. tables: shown below. curves: arrays for the picture.
    """
    verdict: str
    computed: str
    why: str
    numbers: dict[str, Any]
    tables: tuple[Table, ...] = ()
    curves: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """name: what one types. says: the claim. quoted: its number or words, as courses print them. trained: whether networks are trained."""
    name: str
    says: str
    quoted: str
    answer: Callable[..., Answer]
    trained: bool = False


CLAIMS: dict[str, Claim] = {}


def claim(name: str, says: str, quoted: str, trained: bool = False) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Enter a function into the list, in the order in which the files are read."""
    def enter(function: Callable[..., Answer]) -> Callable[..., Answer]:
        CLAIMS[name] = Claim(name, says, quoted, function, trained)
        return function
    return enter


def chosen(names: Iterable[str] | None, trained: bool = True) -> list[Claim]:
    """The claims of these names, or all, in the list's order; trained=False leaves out those that are.

    Raises ValueError for unknown names, with the nearest one.
    """
    wanted = list(CLAIMS) if names is None else [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in CLAIMS:
            near = difflib.get_close_matches(str(name), CLAIMS, n=1)
            hint = f": did you mean {near[0]!r}?" if near else f"; there are: {', '.join(CLAIMS)}"
            raise ValueError(f"there is no claim {name!r}{hint}")
    return [each for each in CLAIMS.values() if each.name in wanted and (trained or not each.trained)]


def numbers(text: str) -> list[int]:
    """The whole numbers of a quoted text.

    >>> numbers("884,736 parameters, 512x")
    [884736, 512]
    """
    return [int(found.replace(",", "")) for found in re.findall(r"\d[\d,]*\d|\d", text)]


def verdict(same: bool) -> str:
    """RIGHT or WRONG, by comparison of the quoted and the computed number."""
    return RIGHT if same else WRONG
