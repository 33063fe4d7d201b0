"""Pictures of results: the roofline, speeds beside torch's, and the ladder. matplotlib is imported only to draw."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minicnn.benchmarks.reporting import units
from minicnn.benchmarks.reporting.drawing import TORCH, contestants, legend, logarithmic, panels, styles, title
from minicnn.benchmarks.reporting.summary import by_direction
from minicnn.benchmarks.results import CPU, Case, Results
from minicnn.benchmarks.statistics import geometric_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNG, PEER = "#D55E00", "#0072B2"
ALT = {"bars": "times as fast as torch", "roofline": "GFLOP/s over FLOP per byte, below the machine's roofline",
       "rungs": "how much faster each rung is"}


def drawings(results: Results) -> list[str]:
    """The names of the pictures that these results give."""
    if results.kind == "ladder":
        return ["rungs"]
    against_torch = any(ratio and not m.contestant.startswith("torch") for case in results.cases for m, ratio in results.standings(case))
    names = ["bars"] if results.kind != "accuracy" and against_torch else []
    return [*names, "roofline"] if results.kind in ("conv", "linear") and results.peak_flops and results.peak.get("copy") else names


def draw(name: str, results: Results) -> Figure:
    """One of the `drawings`. Raises ImportError without matplotlib."""
    return {"bars": bars, "roofline": roofline, "rungs": ladder}[name](results)


def alt_text(name: str, results: Results) -> str:
    """What a picture shows, for those who cannot see it."""
    return f"{title(results)}: {ALT[name]}"


def roofline(results: Results) -> Figure:
    """GFLOP/s over FLOP per byte, a panel a direction: every case of every contestant, below the peak and what copying memory allows."""
    directions = by_direction(results)
    figure, row = panels(len(directions), 4.4, f"{title(results)}: how near to what the machine can do")
    xs = [2 * case.macs / case.bytes for case in results.cases]
    lowest = results.peak_flops / 1e9
    for axes, (direction, cases) in zip(row, directions.items(), strict=True):
        found = [(2 * case.macs / case.bytes, 2 * case.macs / 1e9, contestants(results, case)) for case in cases]
        for name, style in styles(results).items():
            points = [(x, gflop / m.median) for x, gflop, measured in found
                      if (m := measured.get(name)) and results.league(m.contestant) == CPU]
            if points:
                axes.plot(*zip(*points, strict=True), linestyle="", label=name, markersize=4.5, alpha=0.8, markeredgewidth=0, **style)
                lowest = min(lowest, *(y for _, y in points))
        _roofs(axes, results, min(xs), max(xs))
        axes.set_title(direction, fontsize=10)
        axes.set_xlabel("FLOP per byte", fontsize=9)
    row[0].set_ylim(lowest / 2, results.peak_flops / 1e9 * 1.6)
    row[0].set_ylabel("GFLOP/s", fontsize=9)
    legend(figure, row)
    return figure


def _roofs(axes: Any, results: Results, left: float, right: float) -> None:
    """From left to right: the slope of bytes/s, then the level of FLOP/s."""
    peak, copy = results.peak_flops / 1e9, results.peak["copy"] / 1e9
    ridge = peak / copy                                        # where they meet
    left, right = min(left / 1.6, ridge / 4), max(right * 1.6, ridge * 4)
    axes.plot([left, ridge, right], [min(peak, copy * x) for x in (left, ridge, right)], color="black", linewidth=1.2)
    logarithmic(axes.xaxis)
    logarithmic(axes.yaxis)
    axes.set_xlim(left, right)
    axes.grid(alpha=0.3, linewidth=0.5)
    roofs = f"level: peak, {units.three(peak)} GFLOP/s\nslope: copying, {units.three(copy)} GB/s"
    axes.text(0.97, 0.03, roofs, transform=axes.transAxes, ha="right", va="bottom", fontsize=8)


def bars(results: Results) -> Figure:
    """How many times as fast as torch's best setting: for every group of cases the geometric mean, and the cases as dots."""
    directions = by_direction(results)
    groups = list(dict.fromkeys(case.group for case in results.cases))
    rows = {group: {group} for group in groups} | ({"all": set(groups)} if len(groups) > 1 else {})
    shown = {name: style for name, style in styles(results).items() if not name.startswith(TORCH)}
    height = 1.3 + len(rows) * (0.14 + 0.12 * len(shown))
    figure, row = panels(len(directions), height, f"{title(results)}: times as fast as torch's best setting")
    for axes, (direction, cases) in zip(row, directions.items(), strict=True):
        for place, members in enumerate(rows.values()):
            if place % 2:
                axes.axhspan(place - 0.5, place + 0.5, color="black", alpha=0.05, linewidth=0)
            _ranges(axes, place, results, [case for case in cases if case.group in members], shown)
        axes.axvline(1, color="black", linewidth=1)
        axes.set_title(direction, fontsize=10)
        axes.set_xlabel("slower  |  faster  (× torch)", fontsize=9)
        logarithmic(axes.xaxis, 2)
        axes.grid(alpha=0.3, axis="x", linewidth=0.5)
    slowest, fastest = row[0].get_xlim()                       # of all panels
    row[0].set_xlim(min(slowest, 0.45), max(fastest, 2.2))
    row[0].set_yticks(range(len(rows)), list(rows))
    row[0].set_ylim(len(rows) - 0.5, -0.5)                      # the first on top
    legend(figure, row)
    return figure


def _ranges(axes: Any, place: float, results: Results, cases: list[Case], shown: dict[str, dict[str, Any]]) -> None:
    """For each contestant a line from the slowest case to the fastest, a dot for each, and a marker at the mean."""
    values: dict[str, list[float]] = {}
    for case in cases:
        for m, ratio in results.standings(case):
            if ratio and m.contestant in shown:
                values.setdefault(m.contestant, []).append(ratio.value)
    for i, (name, style) in enumerate(shown.items()):
        if name in values:
            found, y, thin = values[name], place + (i - (len(shown) - 1) / 2) * 0.8 / len(shown), {"color": style["color"], "alpha": 0.6}
            axes.plot([min(found), max(found)], [y, y], linewidth=1.2, **thin)
            axes.plot(found, [y] * len(found), ".", markersize=4, markeredgewidth=0, **thin)
            axes.plot(geometric_mean(found), y, linestyle="", label=name, markersize=6.5, markeredgecolor="black", markeredgewidth=0.6,
                      **style)


def ladder(results: Results) -> Figure:
    """How many times as fast as the slowest rung each rung is, and the peers below them; with times and shares of the peak."""
    case, peers = results.cases[0], {entrant.name for entrant in results.entrants if entrant.peer}
    found = sorted(results.of(case), key=lambda m: m.contestant in peers)
    times = [m.median for m in found if m.turns] or [1.0]
    figure, (axes,) = panels(1, 1.1 + 0.32 * len(found), f"{title(results)}\n{case.id}, {case.direction}")
    for place, m in enumerate(found):
        if m.turns:
            speed, share = max(times) / m.median, results.share(case, m)
            axes.barh(place, speed - 1, left=1, height=0.7, color=PEER if m.contestant in peers else RUNG)
            text = f"{units.seconds(m.median)}{f', {units.percent(share)} of the peak' if share else ''}"
        else:
            speed, text = 1.0, f"no time: {m.refused}"
        axes.annotate(text, (speed, place), (5, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(found)), [m.contestant for m in found])
    axes.set_ylim(len(found) - 0.4, -0.6)
    logarithmic(axes.xaxis)
    axes.set_xlim(1, max(10, (max(times) / min(times)) ** 1.3))
    axes.set_xlabel("times as fast as the slowest", fontsize=9)
    axes.grid(alpha=0.3, axis="x", linewidth=0.5)
    return figure
