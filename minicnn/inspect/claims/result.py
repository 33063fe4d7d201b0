"""check_claims(): run them, and what comes out."""
from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minicnn import document
from minicnn.document import Block, Bold, Column, Table
from minicnn.inspect.claims.registry import DEPENDS, HALF_TRUE, RIGHT, WRONG, Answer, Claim, chosen
from minicnn.inspect.claims.training import Budget
from minicnn.inspect.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

WIDEST = 100                                                   # characters in a line
VERDICTS = (RIGHT, WRONG, HALF_TRUE, DEPENDS)
STYLES = {RIGHT: "bold green", WRONG: "bold red", HALF_TRUE: "bold yellow", DEPENDS: "bold yellow"}


@dataclass(repr=False, eq=False)
class Finding(Result):
    """One claim and what the program found. verdict: "right", "wrong", "half true" or "depends"."""
    claim: Claim
    answer: Answer

    @property
    def name(self) -> str:
        return self.claim.name

    @property
    def verdict(self) -> str:
        return self.answer.verdict

    @property
    def numbers(self) -> dict[str, Any]:
        return self.answer.numbers

    def blocks(self) -> list[Block]:
        lines = [f"{self.verdict}: {self.claim.says} ({self.name})", f"quoted: {self.claim.quoted}", f"computed: {self.answer.computed}",
                 self.answer.why]
        return [lines, *self.answer.tables]

    def show(self, console: Console) -> None:
        from rich.text import Text

        width = min(console.width, WIDEST) if console.is_terminal else WIDEST
        heading = f"{self.name}: {self.claim.says}"
        label = self.verdict.ljust(11)
        text = _wrapped(label, heading, width)
        shown = Text(text)
        shown.stylize(STYLES[self.verdict], 0, len(self.verdict))
        console.print(shown)
        for head, said in (("  quoted", self.claim.quoted), ("  computed", self.answer.computed), ("", self.answer.why)):
            console.print(Text(_wrapped(head.ljust(11), said, width)))
        if self.answer.tables:
            console.print()
            document.show([*self.answer.tables], console)

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "claim": self.claim.says, "quoted": self.claim.quoted, "computed": self.answer.computed,
                "verdict": self.verdict, "why": self.answer.why, "trained": self.claim.trained, "numbers": self.numbers}


def _wrapped(label: str, text: str, width: int) -> str:
    return textwrap.fill(text, width, initial_indent=label, subsequent_indent=" " * len(label), break_long_words=False,
                         break_on_hyphens=False)


@dataclass(repr=False, eq=False)
class Claims(Result, Sequence[Finding]):
    """The findings, in the list's order; found["vgg16-totals"] is one of them."""
    findings: list[Finding]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str):
            for finding in self.findings:
                if finding.name == index:
                    return finding
            raise KeyError(f"{index!r} is not among: {', '.join(finding.name for finding in self.findings)}")
        return self.findings[index]

    def __len__(self) -> int:
        return len(self.findings)

    def count(self, verdict: Any) -> int:
        """How many have this verdict."""
        return sum(finding.verdict == verdict for finding in self.findings)

    def summary(self) -> str:
        counts = ", ".join(f"{self.count(verdict)} {verdict}" for verdict in VERDICTS if self.count(verdict))
        return f"{len(self)} {'claim' if len(self) == 1 else 'claims'}{': ' if counts else ''}{counts}."

    def blocks(self) -> list[Block]:
        """One table: what is quoted beside what was computed."""
        columns = [Column("claim", left=True), Column("quoted", left=True), Column("computed", left=True), Column("verdict", left=True)]
        rows = [[f.claim.says, f.claim.quoted, f.answer.computed, f.verdict if f.verdict == RIGHT else Bold(f.verdict)]
                for f in self.findings]
        return [Table("", columns, rows)]

    def show(self, console: Console) -> None:
        """One after the other, with reasons."""
        for finding in self.findings:
            finding.show(console)
            console.print()
        console.print(self.summary())

    def as_dict(self) -> dict[str, Any]:
        return {"claims": [finding.as_dict() for finding in self.findings],
                "verdicts": {verdict: self.count(verdict) for verdict in VERDICTS}}

    def figure(self) -> Figure:
        """Learning curves of plain and residual networks, and where the position of a dot is found out."""
        from minicnn.inspect.claims import drawing

        return drawing.draw(self.findings)


def check_claims(names: Iterable[str] | str | None = None, *, trained: bool = True, seeds: int = 3, steps: int | None = None,
                 each: Callable[[Finding], None] | None = None, progress: Callable[[str], None] | None = None) -> Claims:
    """What courses say about convolutional networks, each checked: layers are built and counted, run or trained.

    names: of claims (`minicnn.inspect.claims.CLAIMS` has all of them), in any order; all if None.
    trained: False leaves out those that train networks.
    seeds, steps: how often and how long the trained ones train; None: as long as each claim itself wants.
    each: told every finding as it comes. progress: told what is being trained.

    The same backend and seeds give the same numbers. Raises ValueError for an unknown name, with the nearest one.

    >>> found = minicnn.inspect.check_claims(["conv-3-64", "unshared-8x8"])
    >>> [(each.verdict, each.answer.computed) for each in found]
    [('right', '1,792 parameters'), ('wrong', '110,592 weights; 64x')]
    """
    budget = Budget(seeds, steps, progress or (lambda text: None))
    findings = []
    for claim in chosen(names, trained):
        answer = claim.answer(claim.quoted, budget) if claim.trained else claim.answer(claim.quoted)
        findings.append(Finding(claim, answer))
        if each:
            each(findings[-1])
    return Claims(findings)
