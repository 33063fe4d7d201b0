"""In words: the machine of a run, its peak, and who took part."""
from __future__ import annotations

import re
from typing import Any

from minicnn.benchmarks.reporting import units
from minicnn.benchmarks.results import Results
from minicnn.document import Block, Column, Table

VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "sve": "SVE", "asimd": "NEON"}     # the widest first
ENTRANTS = [*(Column(head, left=True) for head in ("contestant", "what it is", "threads read back")), Column("BLAS", left=True, aside=True)]


def describe(results: Results) -> list[Block]:
    """The run, the machine, the peak, and a table of those who took part."""
    settings = results.settings
    rounds = f", {plural(settings['rounds'], 'round')}" if "rounds" in settings else ""
    table = Table("", ENTRANTS, [[e.name, e.what, _pools(e.threads), e.blas] for e in results.entrants if not e.missing])
    run = f"{results.kind} ({results.suite}), {settings.get('dtype', 'float32')}, {threads(results)}{rounds}."
    return [f"{run} {machine(results.machine)}. {peak([results])}", table]


def missing(results: Results) -> list[Block]:
    """A line for each reason why contestants could not take part; nothing if all could."""
    reasons: dict[str, list[str]] = {}
    for entrant in results.entrants:
        if entrant.missing:
            reasons.setdefault(entrant.missing, []).append(entrant.name)
    lines = [f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} missing: {reason}." for reason, names in reasons.items()]
    return [lines] if lines else []


def machine(found: dict[str, Any]) -> str:
    """One machine's fingerprint in a line."""
    cores, logical = found.get("physical_cores"), found.get("logical_cores")
    vectors = next((name for isa, name in VECTORS.items() if isa in found.get("isa", ())), "")
    caches = ", ".join(f"{level} {_cache(size)}" for level, size in found.get("caches", {}).items())
    parts = [cpu(found), plural(cores, "core") if cores else "", f"{logical} threads" if logical and logical != cores else "", vectors,
             caches, found.get("os", ""), found.get("python", ""), gpu(found.get("gpu", {}))]
    return ", ".join(part for part in parts if part)


def gpu(found: dict[str, Any]) -> str:
    """The GPU's part of the fingerprint."""
    said = [("compute_capability", "compute capability {}"), ("driver", "driver {}"), ("cuda_driver", "CUDA {}"),
            ("clock_max_mhz", "up to {} MHz"), ("power_limit_w", "{:g} W")]
    return f"{found['name']} ({', '.join(text.format(found[key]) for key, text in said if key in found)})" if "name" in found else ""


def cpu(found: dict[str, Any]) -> str:
    """Its name without what the maker adds: Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz is Intel Core i5-8250U."""
    name = re.sub(r"\((R|TM|tm)\)|\bCPU\b|@.*|\b\d+-Core Processor|\bProcessor\b", "", str(found.get("cpu", "unknown CPU")))
    return " ".join(name.split())


def threads(results: Results) -> str:
    return plural(results.settings.get("threads", "?"), "thread")


def peak(runs: list[Results]) -> str:
    """The peaks as a sentence, from the lowest run to the highest."""
    parts = []
    for name, words, unit in (("matmul", "matrix product", "GFLOP/s"), ("fma", "multiply-adds in registers", "GFLOP/s"),
                              ("copy", "copying memory, read and written", "GB/s")):
        rates = sorted(run.peak[name] / 1e9 for run in runs if run.peak.get(name))
        if rates:
            ends = dict.fromkeys((units.three(rates[0]), units.three(rates[-1])))
            parts.append(f"{'–'.join(ends)} {unit} ({words})")
    return f"Peak measured in the same run: {', '.join(parts)}." if parts else "The peak was not measured."


def revision(full: str) -> str:
    """The commit in short, and whether files differed from it."""
    commit, plus, _ = full.partition("+")
    return commit[:10] + (" with changes" if plus else "")


def plural(number: object, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _pools(found: dict[str, int]) -> str:
    return ", ".join(f"{pool} {count}" for pool, count in found.items())


def _cache(size: int) -> str:
    return f"{size // 2**20} MiB" if size >= 2**20 and size % 2**20 == 0 else f"{size // 2**10} KiB"
