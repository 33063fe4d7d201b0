"""What a check of the training doctor says."""
from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from minicnn.document import Block, Column, Table
from minicnn.inspect.result import Result

HEALTHY, WATCH, ILL = "healthy", "watch", "ill"
ORDER = (HEALTHY, WATCH, ILL)


@dataclass(frozen=True)
class Verdict:
    """One check. verdict: "healthy", "watch" or "ill"; number: what was measured, in text with its unit; value: the same as a number.

    meaning: what that says about the network, and, unless it is healthy, what to do.
    """
    check: str
    verdict: str
    number: str
    value: float
    meaning: str


@dataclass(repr=False)
class Checkup(Result):
    """All verdicts on a network, in the order of the checks. notes: what the checks could not look at, and why."""
    model: str
    verdicts: list[Verdict]
    notes: list[str]

    @property
    def worst(self) -> str:
        """ "ill" where one check says so, else "watch" where one does, else "healthy"."""
        return max((v.verdict for v in self.verdicts), key=ORDER.index, default=HEALTHY)

    def __getitem__(self, check: str) -> Verdict:
        """The verdict of one check by its name. Raises KeyError that lists the names."""
        for verdict in self.verdicts:
            if verdict.check == check:
                return verdict
        raise KeyError(f"no check {check!r}; there are: {', '.join(v.check for v in self.verdicts)}")

    @property
    def sentence(self) -> str:
        bad = [f"{v.check} ({v.verdict})" for v in self.verdicts if v.verdict != HEALTHY]
        return f"{self.model}: {len(self.verdicts)} checks, " + (f"look at: {', '.join(bad)}" if bad else "all healthy")

    def blocks(self) -> list[Block]:
        columns = [Column("check", left=True), Column("verdict", left=True), Column("measured", left=True),
                   Column("what it means", left=True, aside=True)]
        rows = [[v.check, v.verdict, v.number, v.meaning] for v in self.verdicts]
        return [Table(f"Training doctor: {self.model}", columns, rows, list(self.notes)), self.sentence]

    def as_dict(self) -> dict[str, Any]:
        return {"model": self.model, "worst": self.worst, "verdicts": [asdict(v) for v in self.verdicts], "notes": list(self.notes)}
