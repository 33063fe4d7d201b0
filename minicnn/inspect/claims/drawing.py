"""The picture of the trained claims: learning curves with and without residual connections, and where position is found out."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from minicnn.inspect.claims.result import Finding

SMOOTHED = 5                                                   # steps in one point of a curve
STYLES = {"plain-8": (figures.ORANGE, "--"), "plain-20": (figures.RED, "-"), "residual-20": (figures.BLUE, "-")}
BARS = (figures.SKY, figures.GREEN)


def draw(findings: Sequence[Finding]) -> Figure:
    """Raises ValueError where none of the findings has curves."""
    curves = {key: value for finding in findings for key, value in finding.answer.curves.items()}
    panels = 2 * ("losses" in curves) + 1.3 * ("accuracies" in curves)
    if not panels:
        raise ValueError("there is a picture only of the claims that networks are trained for: plain-or-residual and absolute-position")
    figure = figures.new(1 + 3.2 * panels, 4)
    parts: Any = figure.subfigures(1, 2, width_ratios=(2, 1.4)) if len(curves) == 2 else [figure] * 2
    if "losses" in curves:
        _losses(parts[0], curves["losses"])
    if "accuracies" in curves:
        _accuracies(parts[1], curves["accuracies"])
    return figure


def _losses(figure: Any, found: dict[str, dict[str, Any]]) -> None:
    figure.suptitle("Plain and residual networks on the digits", fontsize=11)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, norm in zip(panels, (True, False), strict=True):
        for name, each in found.items():
            if each["norm"] == norm:
                _curve(axes, name.split(",")[0], each)
        axes.axhline(np.log(10), color=figures.GREY, linewidth=1, linestyle=":")
        axes.text(0.99, np.log(10) + 0.04, "guessing", transform=axes.get_yaxis_transform(), ha="right", color="#555555", fontsize=8)
        axes.set_title("with batch norm" if norm else "without batch norm", fontsize=10)
        axes.set_xlabel("training step")
        axes.set_ylim(0, 2.6)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("training loss (cross-entropy)")
    panels[0].legend(fontsize=8, loc="upper right", bbox_to_anchor=(1, 0.86), title="mean, range of seeds", title_fontsize=8)


def _curve(axes: Any, name: str, each: dict[str, Any]) -> None:
    """The mean over seeds, and the range between them, of the loss averaged over a few steps."""
    losses = each["losses"]                                    # (seeds, steps)
    width = min(SMOOTHED, losses.shape[1])
    smooth = np.stack([np.convolve(one, np.full(width, 1 / width), "valid") for one in losses])
    steps = np.arange(smooth.shape[1]) + width
    colour, style = STYLES[name]
    axes.fill_between(steps, smooth.min(0), smooth.max(0), color=colour, alpha=0.2, linewidth=0)
    axes.plot(steps, smooth.mean(0), style, color=colour, label=name)


def _accuracies(figure: Any, found: dict[str, dict[str, list[float]]]) -> None:
    from minicnn.inspect.claims.position import FAR, KINDS

    figure.suptitle("Is the dot in the upper or the lower half?", fontsize=11)
    axes = figure.subplots()
    rows = np.arange(len(KINDS))
    for i, (task, colour) in enumerate(zip(found, BARS, strict=True)):
        label = f"dots {task}".replace("borders", f"borders ({FAR.margin} or more pixels)")
        values = [found[task][kind] for kind in KINDS]
        at = rows + 0.2 - 0.4 * (1 - i)
        axes.barh(at, [100 * np.mean(each) for each in values], 0.36, color=colour, label=label)
        for row, each in zip(at, values, strict=True):
            axes.plot(100 * np.array(each), np.full(len(each), row), "k.", markersize=4)
    axes.axvline(50, color="#555555", linewidth=1, linestyle=":")
    axes.text(51, 0.01, "guessing", transform=axes.get_xaxis_transform(), color="#555555", fontsize=8)
    axes.set_yticks(rows, [name.replace(", ", ",\n") for name in KINDS.values()])
    axes.invert_yaxis()
    axes.set_xlim(0, 105)
    axes.set_xlabel("accuracy in % (points: seeds)")
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.4, -0.16), frameon=False)
