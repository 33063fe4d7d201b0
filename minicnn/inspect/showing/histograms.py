"""The picture of activation statistics: a histogram a layer, and beside it how many values are 0."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minicnn import figures
from minicnn.inspect.showing import drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from minicnn.inspect.showing.statistics import ActivationStatistics

MOST = 28


def histograms(found: ActivationStatistics) -> Figure:
    """Left: how many values are where, zeros left out, each layer with a height of its own. Right: the share of zeros."""
    layers = [r for r in found.layers if r.values > r.not_finite]
    picked = [layers[i] for i in np.unique(np.linspace(0, len(layers) - 1, min(MOST, len(layers))).astype(int))]
    figure = drawing.new(10, 0.34 * len(picked) + 1.9, f"{found.about.network}: what the layers give for {found.images:,} images")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    for i, r in enumerate(picked):
        counts, middle = r.counts.astype(float), (r.edges[1:] + r.edges[:-1]) / 2
        zeros = round(float(r.zeros) * counts.sum())
        at_zero = int(np.clip(np.searchsorted(r.edges, 0, side="right") - 1, 0, len(counts) - 1))
        counts[at_zero] = max(0.0, counts[at_zero] - zeros)
        height = 0.85 * counts / (counts.max() or 1)
        left.fill_between(middle, i + 0.45, i + 0.45 - height, step="mid", color=figures.SKY, edgecolor=figures.BLUE, linewidth=0.6)
        left.plot([r.mean], [i + 0.2], marker="|", color=figures.RED, markersize=9, markeredgewidth=1.6)
        left.hlines(i + 0.2, r.mean - r.std, r.mean + r.std, color=figures.RED, linewidth=1)
    widest = max((max(abs(r.min), abs(r.max)) for r in picked), default=1.0)
    linear = min(1.0, 10.0 ** math.floor(math.log10(widest / 3))) if widest else 1.0      # a power of ten, so that the ticks are round
    left.set_xscale("symlog", linthresh=linear)
    left.axvline(0, color=figures.GREY, linewidth=0.6, zorder=0)
    left.set_yticks(range(len(picked)), [f"{r.name} ({r.kind})" if r.kind not in r.name else r.name for r in picked], fontsize=7)
    left.set_ylim(len(picked) - 0.4, -0.6)
    said = f"value (logarithmic beyond ±{linear:g}); zeros are left out; red: mean ± standard deviation"
    left.set_xlabel(said, fontsize=8)
    right.barh(range(len(picked)), [100 * r.zeros for r in picked], color=figures.ORANGE, height=0.7)
    right.set(xlim=(0, 100))
    right.set_xlabel("values that are 0, in %", fontsize=8)
    for axes in (left, right):
        axes.tick_params(axis="x", labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    drawing.note(figure, drawing.left_out(len(picked), len(found.layers), "layers"))
    return figure
