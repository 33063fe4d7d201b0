"""`minicnn bench`: the benchmarks on the command line. Every result is checked before it is timed."""
from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

app = typer.Typer()

Problems = Annotated[list[str] | None, typer.Argument(metavar="PROBLEM", help="Problem strings; the whole suite without.",
                                                      show_default=False)]
Recipes = Annotated[list[str] | None, typer.Argument(metavar="RECIPE", help="Names of `minicnn recipes`, or .toml files.",
                                                    show_default="those that set a goal and whose images are here")]
Match = Annotated[str | None, typer.Option(help="Only the suite's problems whose group or string holds this text.", show_default="all")]
Directions = Annotated[str | None, typer.Option(metavar="NAMES", help="Only these, separated by commas.", show_default="all")]
Contestants = Annotated[str | None, typer.Option(metavar="NAMES", show_default="all that are installed",
                                                 help="Names or beginnings of names, separated by commas: minicnn, torch, jax, onnx, ...")]
Backend = Annotated[str | None, typer.Option(show_default="all", help="Of minicnn's backends only this one, and peers on the same device: "
                                                                     "numba, numpy or cuda.")]
Peers = Annotated[bool, typer.Option("--peers/--no-peers", help="Measure torch, JAX and ONNX Runtime too, where they are installed.")]
Tune = Annotated[bool, typer.Option("--tune", help="Measure the ways to convolve on this GPU, and from then on use the fastest.")]
Threads = Annotated[int | None, typer.Option(help="For every contestant alike.", show_default="physical cores")]
Rounds = Annotated[int, typer.Option(help="Turns of each contestant.")]
Seconds = Annotated[float, typer.Option(help="Measured calls in a turn, in seconds.")]
Subnormal = Annotated[bool, typer.Option("--subnormal", help="Measure on subnormal inputs too, and report the slowdown.")]
Seed = Annotated[int, typer.Option(help="Decides the numbers in the inputs.")]
Json = Annotated[str | None, typer.Option(metavar="FILE", help="Save everything that was measured.", show_default="not saved")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print the summary as Markdown.")]


@app.callback(invoke_without_command=True)
def bench(context: typer.Context) -> None:
    """Run a benchmark: every result is checked before it is timed."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _run() -> ModuleType:
    """minicnn.benchmarks.run. Raises ValueError when what it needs is not installed."""
    packages = {"psutil": "psutil", "threadpoolctl": "threadpoolctl", "cpuinfo": "py-cpuinfo"}
    absent = [package for module, package in packages.items() if not importlib.util.find_spec(module)]
    if absent:
        raise ValueError(f"benchmarks need {', '.join(absent)}: pip install 'minicnn[bench]'")
    return importlib.import_module("minicnn.benchmarks.run")


def _suite_command(kind: str, short: str, text: str, example: str) -> None:
    """Add the command of one kind of benchmark."""
    def command(
        problems: Problems = None, match: Match = None, directions: Directions = None, contestants: Contestants = None,
        backend: Backend = None, peers: Peers = True, threads: Threads = None, rounds: Rounds = 7, seconds: Seconds = 0.04,
        subnormal: Subnormal = False, seed: Seed = 0, json: Json = None, markdown: Markdown = False, tune: Tune = False,
    ) -> None:
        run = _run()

        if tune:
            _tune(problems, json)
            return
        chosen = run.problems(kind, problems or [], match)
        ways = run.directions(kind, directions)
        settings = run.settings(threads, rounds, seconds, seed, subnormal)
        present, absent = run.contestants(contestants, backend, peers)
        with run.Session(json, markdown) as session:
            session.collect(kind, chosen, ways, present, absent, settings)

    command.__doc__ = text + f"""

    Contestants take turns, each in a process of its own with the same number of threads; a time is printed only for results that were
    checked. Verdicts are against torch's fastest setting in the same run.

    \b
    Examples:
      minicnn bench {kind}
      minicnn bench {kind} {example}
      minicnn bench {kind} --backend numpy --no-peers --json {kind}.json
    """
    if kind != "conv":                                         # the others have nothing to choose from
        command = _without(command, "tune")
    app.command(kind, short_help=short)(command)


def _without(command: Callable[..., None], option: str) -> Callable[..., None]:
    """The command without that option on the command line."""
    signature = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def shorter(**options: Any) -> None:
        command(**options)

    kept = [parameter for parameter in signature.parameters.values() if parameter.name != option]
    shorter.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]  # which typer reads
    return shorter


def _tune(problems: list[str] | None, json: str | None) -> None:
    if problems:
        raise ValueError(f"--tune measures convolutions of its own, one of each size; it does not take {' '.join(problems)}")
    from minicnn.benchmarks import tune

    tune.command(json)


_suite_command("conv", "Convolution: forward and both gradients.",
               "Time convolutions: forward, gradient of the input, gradient of the weights.", "mb64ic32ih28oc32oh28kh3ph1")
_suite_command("pool", "Max and average pooling.", "Time pooling, forward and backward.", "max:mb64ic32ih28oh14kh2sh2")
_suite_command("batch-norm", "Batch normalisation in training.", "Time batch normalisation, forward and backward.", "mb64ic32ih28")
_suite_command("linear", "Fully connected layers.", "Time fully connected layers, forward and both gradients.", "mb64ic400oc120")
_suite_command("cross-entropy", "Softmax and cross-entropy.", "Time softmax and cross-entropy, forward and backward.", "mb64ic10")
_suite_command("train", "One whole optimiser step of a network.",
               "Time one optimiser step: zero_grad, forward, loss, backward, step.", "lenet:mb64")
_suite_command("infer", "One forward pass of a network.", "Time one forward pass without gradients.", "lenet:mb64")


@app.command(short_help="One convolution, computed every way.")
def ladder(
    problem: Annotated[str, typer.Argument(metavar="PROBLEM", help="A problem string.")] = "mb1ic16ih14oc16oh14kh3ph1",
    backend: Annotated[str | None, typer.Option(help="Measure this backend too: numba or numpy; cuda: it, and only what is on a GPU.",
                                                show_default="none")] = None,
    peers: Peers = True, threads: Threads = None, rounds: Rounds = 7, seconds: Seconds = 0.04, seed: Seed = 0, json: Json = None,
    markdown: Markdown = False,
) -> None:
    """Time one convolution, computed every way: from nested loops upwards, beside what each way should cost.

    The prediction is in multiply-adds, bytes moved and bytes of temporary arrays. Nested loops are left out of layers that would take
    them more than a second or so.

    \b
    Examples:
      minicnn bench ladder
      minicnn bench ladder mb64ic32ih28oc32oh28kh3ph1 --backend numpy
    """
    run = _run()
    from minicnn.benchmarks.ladder import collect_ladder

    settings = run.settings(threads, rounds, seconds, seed)
    chosen = run.problems("conv", [problem], None)[0][1]
    with run.Session(json, markdown) as session:
        session.results = collect_ladder(chosen, backend, peers, settings, session.progress, session.keep)


@app.command(short_help="Seconds of training to a recipe's test accuracy.")
def accuracy(
    recipes: Annotated[list[str] | None, typer.Argument(
        metavar="RECIPE", help="Names of `minicnn recipes`, or .toml files, that set a goal.",
        show_default="digits, and fashion-fast if its images are here")] = None,
    contestants: Contestants = None, backend: Backend = None, peers: Peers = True, threads: Threads = None,
    rounds: Annotated[int, typer.Option(help="Trainings of each contestant, with the recipe's first, second, ... seed.")] = 3,
    json: Json = None, markdown: Markdown = False,
) -> None:
    """Train by a recipe to the test accuracy that is its goal: the same network, initial weights, batches and steps for each contestant.

    Batches are augmented beforehand, and the clock runs from a batch in NumPy's memory to updated weights and their average. Contestants
    train an epoch by turns; who has reached the goal after an epoch is done.

    \b
    Examples:
      minicnn bench accuracy digits
      minicnn bench accuracy fashion-fast --contestants minicnn,torch --rounds 1
      minicnn bench accuracy my.toml
    """
    run = _run()
    from minicnn.benchmarks.accuracy import collect_accuracy
    from minicnn.benchmarks.suites import ACCURACY

    settings = run.settings(threads, rounds, 1, 0)
    chosen = run.recipes(recipes or [], ACCURACY)
    present, absent = run.contestants(contestants, backend, peers, trains=True)
    with run.Session(json, markdown) as session:
        session.results = collect_accuracy(chosen, present, absent, settings, session.progress, session.keep)


@app.command(short_help="What recipes reach: accuracy, seconds, size.")
def recipes(
    recipes: Recipes = None,
    seeds: Annotated[str | None, typer.Option(metavar="NUMBERS", help="Separated by commas.", show_default="the recipe's")] = None,
    backend: Annotated[str | None, typer.Option(help="What computes.", show_default="$MINICNN_BACKEND, or numba")] = None,
    json: Annotated[str | None, typer.Option(
        metavar="FILE", help="Save the results; those of other recipes in the file stay.", show_default="not saved")] = None,
    markdown: Markdown = False,
) -> None:
    """Train recipes with each of their seeds, as `minicnn train --recipe NAME --seed SEED` does, and report what they reach.

    Each training has a process of its own, and looks at the test images once, at its end. A file is written after each training:
    an interruption loses the one at work, and `--seeds` goes on with those that are missing.

    \b
    Examples:
      minicnn bench recipes digits
      minicnn bench recipes fashion-fast my.toml --seeds 0,1 --json recipes.json
    """
    run = _run()

    run.train_recipes(run.recipes(recipes or []), run.seeds(seeds), backend, json, markdown)


@app.command("all", short_help="Every benchmark, each into a file.")
def everything(
    out: Annotated[str, typer.Argument(metavar="DIR", help="Where the JSON files go.")] = "benchmarks/results",
    quick: Annotated[bool, typer.Option("--quick", help="A small case of each kind: does everything run?")] = False,
    contestants: Contestants = None, backend: Backend = None, peers: Peers = True, threads: Threads = None, seed: Seed = 0,
) -> None:
    """Run every benchmark and save one JSON file of each: what `minicnn bench report` makes tables and plots from.

    \b
    Examples:
      minicnn bench all results
      minicnn bench all results --quick
    """
    run = _run()

    refused = run.everything(Path(out), quick, contestants, backend, peers, threads, seed)
    if refused:
        typer.echo(f"error: no time for {len(refused)} that should have one; the first is {refused[0]}", err=True)
        raise typer.Exit(1)


@app.command(short_help="README's tables and plots from results.")
def report(
    readme: Annotated[str, typer.Option(metavar="FILE", help="The file with <!-- bench:... --> markers.")] = "README.md",
    results: Annotated[str, typer.Option(metavar="DIR", help="Where the JSON files are.")] = "benchmarks/results",
    plots: Annotated[str, typer.Option(metavar="DIR", help="Where the plots go.")] = "docs/bench",
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit with 1 if something is stale.")] = False,
) -> None:
    """Write tables and plots from saved results: the text between <!-- bench:NAME --> and <!-- /bench:NAME --> of README.

    \b
    Example:
      minicnn bench report --check
    """
    from minicnn.benchmarks.reporting.report import outdated, update

    old = outdated(Path(readme), Path(results))
    for what in old:
        typer.echo(f"outdated: {what}", err=not check)
    changed = update(Path(readme), Path(results), Path(plots), check)
    for what in changed:
        typer.echo(f"{'stale' if check else 'written'}: {what}")
    if not changed and not old:
        typer.echo("everything is up to date")
    elif check:
        raise typer.Exit(1)


@app.command(short_help="Plots of saved results.")
def plot(
    results: Annotated[list[str], typer.Argument(metavar="RESULTS.json", help="What --json saved.", show_default=False)],
    out: Annotated[str, typer.Option(metavar="DIR", help="Where the plots go; made if it is not there.")] = ".",
    svg: Annotated[bool, typer.Option("--svg", help="Write SVG instead of PNG.")] = False,
) -> None:
    """Draw saved results: speeds beside torch's, the roofline with every case as a point, the ladder.

    \b
    Example:
      minicnn bench plot conv.json --svg
    """
    from minicnn.benchmarks.reporting.drawing import save
    from minicnn.benchmarks.reporting.plots import draw, drawings
    from minicnn.benchmarks.results import Results

    loaded = {Path(name).stem: Results.load(name) for name in results}
    Path(out).mkdir(parents=True, exist_ok=True)
    for stem, found in loaded.items():
        if not drawings(found):
            typer.echo(f"{stem}: nothing to draw: {found.kind} results without torch have no plot")
        for name in drawings(found):
            path = Path(out) / f"{stem}-{name}.{'svg' if svg else 'png'}"
            save(draw(name, found), path)
            typer.echo(f"written: {path}")


@app.command(short_help="What got faster or slower between two results.")
def compare(
    before: Annotated[str, typer.Argument(metavar="BEFORE.json", help="Results that --json saved.", show_default=False)],
    after: Annotated[str, typer.Argument(metavar="AFTER.json", help="Results of the same benchmark.", show_default=False)],
) -> None:
    """Say what got faster or slower beyond the noise. minicnn's speed is compared relative to torch's in the same run, where both have it.

    \b
    Example:
      minicnn bench compare before.json after.json
    """
    run = _run()
    from minicnn.benchmarks.reporting import comparison
    from minicnn.benchmarks.results import Results

    a, b = Results.load(before), Results.load(after)
    comparison.show(a, b, run.console())


