"""`make gpu-check`: everything that only a GPU can show, in one command: tests, compute-sanitizer, the choice of rungs, times beside cuDNN.

What was measured goes into build/gpu/*.json, with the GPU, its driver and its clocks. A step that fails does not keep the others from
running; the command then ends with 1, and its last lines say which.
"""
from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from minicnn import kernels
from minicnn.benchmarks import gpu
from minicnn.benchmarks.contestants import PEERS
from minicnn.benchmarks.results import Results

SANITIZERS = ("memcheck", "racecheck", "synccheck")
FAULTS = "99"        # compute-sanitizer's exit status when it found something; of its own it would be 0
LARGE = "mb64ic64ih28oc64oh28kh3ph1"


@dataclass(frozen=True)
class Step:
    """A command to run. skipped: why it is not run. results: what it saves, where nobody may have been refused a time."""
    name: str
    command: list[str]
    skipped: str = ""
    results: Path | None = None


def main(run: Callable[[list[str]], int] = lambda command: subprocess.run(command).returncode) -> None:
    """Ends the process with 1 if there is no GPU or a step failed. run: runs a command, gives its exit status."""
    options = argparse.ArgumentParser(description="Everything that only a GPU can show.")
    options.add_argument("--out", default="build/gpu", metavar="DIR", help="where the JSON files go (default: build/gpu)")
    options.add_argument("--quick", action="store_true", help="a case of each benchmark instead of the suites")
    given = options.parse_args()
    reason = kernels.missing("cuda")
    if reason:
        sys.exit(f"gpu-check: there is no GPU to check on: {reason}")
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    print("\n".join(describe()), flush=True)
    (out / "gpu.json").write_text(json.dumps(gpu.fingerprint(), indent=1) + "\n")
    failed = []
    for step in steps(out, given.quick):
        if step.skipped:
            print(f"\n== {step.name}: skipped: {step.skipped}", flush=True)
            continue
        print(f"\n== {step.name}: {' '.join(step.command)}", flush=True)
        start = time.perf_counter()
        status = run(step.command)
        why = f"status {status}" if status else refused(step.results) if step.results else ""
        print(f"== {step.name}: {f'FAILED: {why}' if why else 'passed'} ({time.perf_counter() - start:.0f} s)", flush=True)
        if why:
            failed.append(step.name)
    if failed:
        sys.exit(f"gpu-check: failed: {', '.join(failed)}")
    print(f"\ngpu-check: everything passed; what was measured is in {out}")


def refused(results: Path) -> str:
    """Who was refused a time that they should have, with the reason; nothing if nobody was."""
    found = [m for m in Results.load(results).measurements if m.refused and not m.lacks]
    first = [f"{m.contestant} on {m.case}, {m.direction}: {m.refused}" for m in found[:1]]
    return f"no time for {len(found)} that should have one; the first is {first[0]}" if first else ""


def describe() -> list[str]:
    """What there is: the GPU, the driver, CuPy, and torch as a peer or why not."""
    found = gpu.fingerprint()
    peers = [f"{c.name}: {c.missing() or c.load().what(c.setting)}" for c in PEERS if c.module == "with_torch_cuda"]
    return [*(f"{name}: {value}" for name, value in found.items()), *kernels.details("cuda"), *peers]


def steps(out: Path, quick: bool) -> list[Step]:
    """In their order: what is wrong must not be timed."""
    python = [sys.executable, "-m"]
    tests = [*python, "pytest", "-m", "gpu", "-raP", "-p", "no:cacheprovider", "tests"]      # P: what tests print, such as memory
    no_tests = "" if Path("tests/gpu").is_dir() and importlib.util.find_spec("pytest") else "the tests are in a checkout of minicnn"
    sanitizer = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    absent = "" if sanitizer else "compute-sanitizer is not installed (it comes with the CUDA toolkit)"
    watch = [*python, "minicnn.benchmarks.every_kernel"]
    watched = [Step(f"compute-sanitizer {tool}", [str(sanitizer), "--tool", tool, "--error-exitcode", FAULTS, *watch], absent)
               for tool in SANITIZERS]
    bench, cuda = [*python, "minicnn.cli", "bench"], ["--backend", "cuda"]
    cases = {"conv": ["mb2ic3ih9oc4oh9kh3ph1"], "train": ["lenet:mb2"], "infer": ["lenet:mb2"]}
    kinds = cases if quick else {"conv": [], "pool": [], "batch-norm": [], "linear": [], "cross-entropy": [], "train": [], "infer": []}
    rounds = ["--rounds", "2", "--seconds", "0.002"] if quick else []
    kinds["ladder"] = [cases["conv"][0] if quick else LARGE]
    files = {kind: out / f"{kind}.json" for kind in kinds}
    timed = [Step(f"bench {kind}", [*bench, kind, *problems, *cuda, *rounds, "--json", str(files[kind])], results=files[kind])
             for kind, problems in kinds.items()]
    tune = Step("bench conv --tune", [*bench, "conv", "--tune", "--json", str(out / "tune.json")], "it takes minutes" if quick else "")
    return [Step("tests on the GPU", tests, no_tests), *watched, tune, *timed]


if __name__ == "__main__":
    os.environ.setdefault("HYPOTHESIS_PROFILE", "ci")          # for the tests: a hundred examples each
    main()
