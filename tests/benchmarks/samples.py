"""Small results made by hand, with round numbers."""
from __future__ import annotations

from typing import Any

from minicnn.benchmarks.results import Case, Entrant, Measurement, Results

CONV = Case("mb1ic1ih3oc1oh3kh3ph1", "forward", macs=1_000_000, bytes=500_000, group="LeNet")
GRAD = Case("mb1ic1ih3oc1oh3kh3ph1", "grad_input", macs=1_000_000, bytes=500_000, group="LeNet")
LARGE = Case("mb64ic1ih3oc1oh3kh3ph1", "forward", macs=64_000_000, bytes=8_000_000, group="ResNet")
POOL = Case("max:mb1ic1ih4oh2kh2sh2", "forward", macs=10, bytes=1_000_000, group="LeNet", bound="memory")

MACHINE = {"cpu": "Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz", "physical_cores": 4, "logical_cores": 8, "isa": ["avx2", "fma"],
           "caches": {"L1d": 32768, "L2": 2**20}, "os": "Debian 13", "python": "CPython 3.11.9", "blas": "openblas 0.3.31 Haswell",
           "libraries": {"minicnn": "0.1.0", "numpy": "2.4.6", "torch": "2.13.0"},
           "revision": "0123456789abcdef", "date": "2026-02-03T04:05:06+00:00"}


def measured(case: Case, contestant: str, time: float, **other: Any) -> Measurement:
    """Seven rounds of the same time, or those given as turns."""
    turns = other.pop("turns", (time,) * 7)
    given = {"algorithm": "a way", "verified": "exact", "first_call": 2.0, "calls": 70, "q1": 0.9 * time, "q3": 1.1 * time,
             "memory": 3 * 2**20, **other}
    return Measurement(case.id, case.direction, contestant, turns=tuple(turns), median=time, **given)


def refused(case: Case, contestant: str, reason: str) -> Measurement:
    return Measurement(case.id, case.direction, contestant, refused=reason)


def results(*measurements: Measurement, kind: str = "conv", cases: tuple[Case, ...] = (CONV,), missing: dict[str, str] | None = None,
            **other: Any) -> Results:
    """Results with these measurements; the contestants are those that have one, and those that are missing."""
    names = dict.fromkeys(m.contestant for m in measurements)
    entrants = [Entrant(name, f"{name} 1.0", not name.startswith("minicnn"), {"pool": 2}, "openblas 0.3.31 Haswell") for name in names]
    entrants += [Entrant(name, peer=True, missing=why) for name, why in (missing or {}).items()]
    given = {"settings": {"threads": 2, "rounds": 7, "dtype": "float32"}, "machine": dict(MACHINE),
             "peak": {"matmul": 90e9, "fma": 100e9, "copy": 10e9}, **other}
    return Results(kind, f"{kind}-1", entrants=entrants, cases=list(cases), measurements=list(measurements), **given)
