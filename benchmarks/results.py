"""What a benchmark run leaves: one JSON file with the machine, the settings, every case and every measurement.

Stored are the facts; speeds, shares and verdicts are worked out from them (and written too, for readers of the file, under
"derived", which is not read back).
"""
from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minicnn.benchmarks.statistics import Ratio, compare

SCHEMA = 1
CPU, GPU, TF32 = "CPU", "GPU", "GPU, TF32"      # leagues: contestants are held against torch in their own


@dataclass(frozen=True)
class Case:
    """One problem in one direction, with what it takes at least: multiply-adds, and bytes read and written if each array moved once."""
    id: str
    direction: str
    macs: int
    bytes: int
    group: str = ""              # the network or idea that the shape comes from
    bound: str = "compute"       # "compute": judged by FLOP/s; "memory": judged by bytes/s


@dataclass(frozen=True)
class Measurement:
    """One contestant on one case: its times in seconds, or why it has none.

    first_call: preparation that happens once, compilation included, and the first call. turns: the median of each turn, in the
    order of the rounds, so that the i-th turns of two contestants are neighbours in time. median, q1, q3: over all calls.
    memory: bytes at the peak, above what the process held before it had its inputs. Of a training step: what a few steps add to a process
    of their own that holds network, optimiser and images; then process: all its resident bytes at that peak, else 0. subnormal: how many
    times as long it takes on subnormal inputs, 0 if that was not measured.
    """
    case: str
    direction: str
    contestant: str
    algorithm: str = ""
    verified: str = ""           # "exact", or "bounded" by rounding analysis; "" when there is no time
    error: float = 0.0           # largest error divided by its bound
    refused: str = ""            # why there is no time
    lacks: bool = False          # ... because it has no such operation, which is no failure
    first_call: float = 0.0
    turns: tuple[float, ...] = ()
    calls: int = 0
    median: float = 0.0
    q1: float = 0.0
    q3: float = 0.0
    memory: int = 0
    process: int = 0
    subnormal: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entrant:
    """A contestant: what it is, the threads its pools said they have, why it is not there if it is not, and its league."""
    name: str
    what: str = ""
    peer: bool = False
    threads: dict[str, int] = field(default_factory=dict)
    blas: str = ""
    missing: str = ""
    league: str = CPU


@dataclass
class Results:
    """A whole run. peak: {"matmul", "fma"} FLOP/s and {"copy"} bytes/s of the CPU, measured in the run."""
    kind: str
    suite: str
    settings: dict[str, Any]
    machine: dict[str, Any]
    peak: dict[str, float] = field(default_factory=dict)
    entrants: list[Entrant] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def peak_flops(self) -> float:
        return max(self.peak.get("matmul", 0.0), self.peak.get("fma", 0.0))

    def of(self, case: Case) -> list[Measurement]:
        """What was measured on a case, in the order of the contestants."""
        return [m for m in self.measurements if (m.case, m.direction) == (case.id, case.direction)]

    def league(self, contestant: str) -> str:
        """CPU, GPU, or TF32 for those on a GPU that round to 10 bits of fraction."""
        return next((entrant.league for entrant in self.entrants if entrant.name == contestant), CPU)

    def leagues(self) -> list[str]:
        """Of those who took part."""
        return list(dict.fromkeys(entrant.league for entrant in self.entrants if not entrant.missing))

    def best_torch(self, case: Case, league: str = CPU) -> Measurement | None:
        """torch's fastest setting on this case: what every verdict in the league is against."""
        times = [m for m in self.of(case) if m.contestant.startswith("torch") and m.turns and self.league(m.contestant) == league]
        return min(times, key=lambda m: m.median, default=None)

    def against_torch(self, case: Case, measurement: Measurement) -> Ratio | None:
        """How many times as fast as torch's best setting, turn by turn; None for that setting itself, or without torch."""
        best = self.best_torch(case, self.league(measurement.contestant))
        if best is None or best is measurement or not measurement.turns:
            return None
        return compare(best.turns, measurement.turns)

    def least_torch(self, case: Case, of: str = "memory", league: str = CPU) -> Measurement | None:
        """torch's setting that takes the least memory on this case, or that whose whole process does (of="process")."""
        found = [m for m in self.of(case) if m.contestant.startswith("torch") and m.turns and self.league(m.contestant) == league]
        return min(found, key=lambda m: getattr(m, of), default=None)

    def standings(self, case: Case) -> list[tuple[Measurement, Ratio | None]]:
        """What was measured on a case, each with how many times as fast as torch's best setting it is."""
        return [(m, self.against_torch(case, m)) for m in self.of(case)]

    def speed(self, case: Case, measurement: Measurement) -> float:
        """FLOP/s where arithmetic is the limit, bytes/s where memory is."""
        return (2 * case.macs if case.bound == "compute" else case.bytes) / measurement.median

    def share(self, case: Case, measurement: Measurement) -> float | None:
        """Of the peak FLOP/s, or of the speed at which the same bytes (else many bytes) were copied. None where that was not measured: a
        GPU's peak is not."""
        if self.league(measurement.contestant) != CPU:
            return None
        if case.bound == "compute":
            return self.speed(case, measurement) / self.peak_flops if self.peak_flops else None
        if "copy" in measurement.extra:
            return float(measurement.extra["copy"]) / measurement.median
        return self.speed(case, measurement) / self.peak["copy"] if self.peak.get("copy") else None

    def to_json(self) -> str:
        cases = {(case.id, case.direction): case for case in self.cases}
        data = {"schema": SCHEMA, **dataclasses.asdict(self)}
        for stored, m in zip(data["measurements"], self.measurements, strict=True):
            stored["derived"] = self._derived(cases[m.case, m.direction], m)
        fields = [f"{json.dumps(name)}: {_rows(value) if isinstance(value, list) else json.dumps(value, ensure_ascii=False)}"
                  for name, value in data.items()]
        return "{\n" + ",\n".join(fields) + "\n}\n"

    def _derived(self, case: Case, m: Measurement) -> dict[str, Any]:
        if not m.turns:
            return {}
        derived: dict[str, Any] = {"gflops": 2 * case.macs / m.median / 1e9, "gbytes": case.bytes / m.median / 1e9}
        if self.peak_flops and self.league(m.contestant) == CPU:
            derived["share_of_peak"] = 2 * case.macs / m.median / self.peak_flops
        ratio = self.against_torch(case, m)
        if ratio:
            derived["times_as_fast_as_torch"] = dataclasses.asdict(ratio)
        return derived

    @classmethod
    def load(cls, path: str | Path) -> Results:
        """Read a file that `to_json` wrote. Raises ValueError, with what is wrong, for any other."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: not a JSON file ({error})") from None
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            found = data.get("schema") if isinstance(data, dict) else type(data).__name__
            raise ValueError(f"{path}: not a result file of this version of minicnn bench (schema {found!r}, expected {SCHEMA})")
        try:
            del data["schema"]
            for m in data["measurements"]:
                m.pop("derived", None)
                m["turns"] = tuple(m["turns"])
            lists: dict[str, Any] = {name: [kind(**row) for row in data.pop(name)] for name, kind in (
                ("entrants", Entrant), ("cases", Case), ("measurements", Measurement))}
            return cls(**data, **lists)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: a damaged result file ({type(error).__name__}: {error})") from None


def _rows(items: list[Any]) -> str:
    """A JSON list with an item a line: short enough to look through, and a changed measurement is a changed line."""
    return "[\n" + ",\n".join(json.dumps(item, ensure_ascii=False) for item in items) + "\n]" if items else "[]"
