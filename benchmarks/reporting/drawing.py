"""What the pictures have in common: colours and markers, panels, axes in plain numbers, and saving."""
from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minicnn import figures
from minicnn.benchmarks.reporting import describe
from minicnn.benchmarks.results import CPU, Case, Measurement, Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 9.0          # inches: about as wide as a README is shown
TORCH = "torch's best"

# Okabe and Ito's colours, which colour-blind people can tell apart (jfly.uni-koeln.de/color); the markers differ too.
STYLES = {"minicnn numba": ("#D55E00", "o"), "minicnn numpy": ("#E69F00", "s"), TORCH: ("#0072B2", "D"), "JAX": ("#009E73", "^"),
          "ONNX Runtime": ("#CC79A7", "v")}
SPARE = (("#56B4E9", "P"), ("#000000", "X"), ("#999999", "*"))
TITLES = {"conv": "Convolution", "pool": "Pooling", "batch-norm": "Batch norm", "linear": "Linear layers", "cross-entropy": "Cross-entropy",
          "train": "One training step", "infer": "Inference", "ladder": "One convolution, computed every way",
          "accuracy": "Training to an accuracy"}
SHA256 = re.compile(rb"minicnn results sha256:([0-9a-f]{64})")


def title(results: Results) -> str:
    """What was measured, and where."""
    return f"{TITLES.get(results.kind, results.kind)}, {describe.threads(results)} of {describe.cpu(results.machine)}"


def contestants(results: Results, case: Case) -> dict[str, Measurement]:
    """What has times on a case, torch only with its best setting."""
    found = {m.contestant: m for m in results.of(case) if m.turns and not m.contestant.startswith("torch")}
    return found | {best_of(league): best for league in results.leagues() or [CPU] if (best := results.best_torch(case, league))}


def best_of(league: str) -> str:
    """What torch's fastest setting in a league is called."""
    return TORCH if league == CPU else f"{TORCH} ({league})"


def styles(results: Results) -> dict[str, dict[str, Any]]:
    """{contestant: colour and marker, as matplotlib's arguments}; the usual ones have the same in every picture, and come first."""
    names = dict.fromkeys(name for case in results.cases for name in contestants(results, case))
    others = [name for name in names if name not in STYLES]
    chosen = {name: STYLES[name] for name in STYLES if name in names} | {name: SPARE[i % len(SPARE)] for i, name in enumerate(others)}
    return {name: {"color": colour, "marker": marker} for name, (colour, marker) in chosen.items()}


def panels(count: int, height: float, heading: str) -> tuple[Figure, list[Any]]:
    """A figure with that many axes in a row, which share theirs."""
    figure = figures.new(WIDTH, height, heading)
    row = list(figure.subplots(1, count, squeeze=False, sharex=True, sharey=True)[0])
    for axes in row:
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=9)
    return figure, row


def logarithmic(axis: Any, base: int = 10) -> None:
    """Ticks at powers of the base, in plain numbers: 1/2, 1, 10, 1,000."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(LogLocator(base=base))
    axis.set_major_formatter(FuncFormatter(_plain if base == 10 else _fraction))
    axis.set_minor_formatter(NullFormatter())


def _plain(value: float, _: object) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _fraction(value: float, _: object) -> str:
    return f"{value:g}" if value >= 1 else f"1/{1 / value:g}"


def legend(figure: Figure, axes: list[Any]) -> None:
    """One for all panels, below them."""
    found = {label: handle for each in axes for handle, label in zip(*each.get_legend_handles_labels(), strict=True)}
    figure.legend(list(found.values()), list(found), loc="outside lower center", ncols=len(found), frameon=False, fontsize=9)


def save(figure: Figure, path: Path, digest: str = "") -> None:
    """Write a PNG or an SVG, by the path's suffix. digest: the SHA-256 of the results, for the file's metadata."""
    figures.save(figure, path, source=f"minicnn results sha256:{digest}" if digest else "")


def digest_of(path: Path) -> str | None:
    """The SHA-256 that `save` wrote into the file; None where there is no such file, or none in it."""
    found = SHA256.search(path.read_bytes()) if path.exists() else None
    return found[1].decode() if found else None
