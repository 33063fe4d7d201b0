"""`minicnn train --resume`: which run is gone on with, and what there is to say about that."""
from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from minicnn.training.experiment import Experiment
    from minicnn.training.stopped import Stopped

BESIDE = {"resume", "data", "backend", "tensorboard", "memory_limit", "quiet"}     # options that leave the training what it is
WHY = {"--epochs": "the learning rates of a run are planned to its last epoch", "--doctor": "it judges a training by its first step"}


def stopped_run(context: typer.Context, folder: str) -> Stopped | None:
    """The run in that folder, which was stopped; None for one that is finished.

    Raises ValueError for options beside --resume that would make it another training, and when there is nothing to go on with.
    """
    from minicnn.training.stopped import Finished, Stopped

    given = [name for name in context.params if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"]
    wrong = [f"--{name.replace('_', '-')}" for name in given if name not in BESIDE]
    if wrong:
        why = WHY.get(wrong[0], "a run goes on as it began") if len(wrong) == 1 else "a run goes on as it began"
        raise ValueError(f"{', '.join(wrong)} beside --resume: {why}; leave {'it' if len(wrong) == 1 else 'them'} out, or train anew")
    try:
        stopped = Stopped.find(folder)
    except Finished as nothing:
        typer.echo(str(nothing))
        return None
    if stopped.problem:
        typer.echo(f"note: {stopped.problem}: going on from the checkpoint before it", err=True)
    return stopped


def say_how(stopped: Stopped, experiment: Experiment) -> None:
    """Say on stderr when something else computes from here on than before."""
    from minicnn.training.experiment import versions

    different = stopped.differences(experiment.backend, versions())
    if different:
        typer.echo(f"note: {'; '.join(different)}: the result may differ a little from that of a run that was never stopped", err=True)
