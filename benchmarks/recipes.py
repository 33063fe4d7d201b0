"""Train recipes with all their seeds, each training in a process of its own, exactly as `minicnn train --recipe NAME --seed S` does."""
from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from minicnn.benchmarks import machine
from minicnn.benchmarks.recipe_results import RecipeResults, Record, Training
from minicnn.training import Recipe, recipe_file

Say = Callable[[int, int, str], None]                          # (trainings done, in all, what happens now)
WARM_BATCHES = 2


def collect_recipes(recipes: Sequence[Recipe], seeds: Sequence[int] | None, backend: str | None, results: RecipeResults,
                    say: Say = lambda *_: None, keep: Callable[[Record], None] = lambda _: None, warm: bool = True) -> None:
    """Train each recipe with each seed (None: the recipe's own) and add to `results`. `keep` is called after each training, so that an
    interruption loses no more than the one at work.

    warm: first train on a few images, so that no training has kernels to compile that minicnn keeps for the next.
    Raises RuntimeError when a training fails.
    """
    chosen = [(recipe, list(seeds or recipe.seeds)) for recipe in recipes]
    done, total = 0, sum(len(own) for _, own in chosen)
    for recipe, own in chosen:
        say(done, total, f"{recipe.name}: the machine")
        fingerprint, record, compiling = machine.fingerprint(), None, 0.0
        if warm:
            say(done, total, f"{recipe.name}: compiling")
            compiling = train(recipe, own[0], backend, WARM_BATCHES * recipe.batch_size)["wall"]
        for seed in own:
            def tell(epoch: int, done: int = done, recipe: Recipe = recipe, seed: int = seed) -> None:
                say(done, total, f"{recipe.name}, seed {seed}: epoch {min(epoch + 1, recipe.epochs)} of {recipe.epochs}")

            tell(0)
            found = train(recipe, seed, backend, 0, tell)
            made = Record(recipe.name, recipe_file.write(recipe), found.pop("parameters"), found.pop("backend"), fingerprint, compiling)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            record = (record or made).with_training(Training(seed, **found, date=now, revision=fingerprint["revision"]))
            results.add(record)
            done += 1
            keep(results.records[recipe.name])


def train(recipe: Recipe, seed: int, backend: str | None, first: int, tell: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
    """What recipe_worker finds. Raises RuntimeError with its words, or its last one on stderr, when it fails."""
    request = {"name": recipe.name, "text": recipe_file.write(recipe), "seed": seed, "backend": backend, "first": first}
    command = [sys.executable, "-m", "minicnn.benchmarks.recipe_worker"]
    with (tempfile.TemporaryFile(mode="w+", errors="replace") as log,
          subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                           start_new_session=True) as process):                        # Ctrl-C is this process's business
        answer: dict[str, Any] = {}
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.close()
            for line in process.stdout:
                answer = json.loads(line)
                if "epoch" in answer:
                    tell(answer["epoch"])
            process.wait()
        finally:
            process.kill()
        if "test_accuracy" in answer:
            return answer
        log.seek(0)
        said = answer.get("error") or (log.read().strip().splitlines() or [f"its process ended with status {process.returncode}"])[-1]
        raise RuntimeError(f"recipe {recipe.name}, seed {seed}: {said}")
