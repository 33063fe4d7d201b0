"""One request of a warp for memory, as text: which sectors its 32 threads touch, or which banks."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minicnn.benchmarks.simulation.run import Simulated
from minicnn.kernels.cuda_backend.simulator import Counts, Request
from minicnn.kernels.cuda_backend.simulator.counts import BANK, BANKS, PHASE, SECTOR, WARP

LINE = 128                       # bytes of a cache line: four sectors
WORDS = LINE // BANK
MOST_LINES = 8                   # of a picture; a strided request touches up to 32


@dataclass(frozen=True)
class Grid:
    """A request as a grid of words, 32 in a row. rows: what a row is called; lanes[row][word]: the threads that ask for the word;
    units: its sectors or wavefronts; ideal: as few as there could be."""
    request: Request
    rows: list[str]
    lanes: list[list[list[int]]]
    units: int
    ideal: int
    left_out: int = 0

    @property
    def unit(self) -> str:
        return ("sector" if self.request.space == "global" else "wavefront") + ("" if self.units == 1 else "s")

    @property
    def title(self) -> str:
        r = self.request
        what = {"read": "reads", "write": "writes"}[r.kind]
        return (f"{r.instruction.source or r.instruction.text}: {what} {r.space} memory, {int(r.active.sum())} threads × {r.width} bytes, "
                f"{self.units} {self.unit} (ideal {self.ideal})")


def telling(s: Simulated, space: str) -> Grid | None:
    """Of the kernel that makes the product: a request of the instruction that takes the most sectors ("global") or wavefronts ("shared"),
    by as many threads as there are at a time; None if there is none."""
    product: Counts = s.product
    places = sorted(((access.units, place) for (place, its, kind), access in product.accesses.items() if its == space and kind == "read"),
                    reverse=True)
    requests = s.requests[product.kernel.split()[0]]
    for _, place in places:
        own = [r for r in requests if r.instruction.place == place and r.space == space]
        if own:
            return grid(max(own, key=lambda r: int(r.active.sum())))
    return None


def grid(request: Request) -> Grid:
    return _sectors(request) if request.space == "global" else _wavefronts(request)


def _sectors(request: Request) -> Grid:
    """Rows are lines of 128 bytes, in the order of their addresses."""
    touched: dict[int, list[list[int]]] = {}
    for lane, address in _words(request):
        touched.setdefault(address // LINE, [[] for _ in range(WORDS)])[address % LINE // BANK].append(lane)
    sectors = {address // SECTOR for _, address in _words(request)}
    shown = sorted(touched)[:MOST_LINES]
    return Grid(request, [f"+{(line - shown[0]) * LINE}" for line in shown], [touched[line] for line in shown], len(sectors),
                -(-int(request.active.sum()) * request.width // SECTOR), len(touched) - len(shown))


def _wavefronts(request: Request) -> Grid:
    """Rows are wavefronts: each serves one word of every bank, to all threads that ask for it."""
    together = min(PHASE // request.width, WARP)
    rows: list[list[list[int]]] = []
    ideal = 0
    for first in range(0, WARP, together):
        banks: list[dict[int, list[int]]] = [{} for _ in range(BANKS)]
        for lane, address in _words(request):
            if first <= lane < first + together:
                banks[address // BANK % BANKS].setdefault(address // BANK, []).append(lane)
        depth = max(map(len, banks))
        ideal += depth > 0
        rows += [[list(bank.values())[i] if i < len(bank) else [] for bank in banks] for i in range(depth)]
    return Grid(request, [str(i + 1) for i in range(len(rows))][:MOST_LINES], rows[:MOST_LINES], len(rows), ideal,
                max(len(rows) - MOST_LINES, 0))


def _words(request: Request) -> Iterator[tuple[int, int]]:
    """(thread, address) of every 4 bytes that it asks for."""
    for lane in np.flatnonzero(request.active).tolist():
        for offset in range(0, max(request.width, BANK), BANK):
            yield lane, (int(request.addresses[lane]) + offset) // BANK * BANK


def text(g: Grid) -> list[str]:
    """A title, and a line of 32 words for each row: the number of the thread that asks for it, or * for several."""
    width = max(len(row) for row in [*g.rows, "bank"])
    heads = "".join(f"{bank:3}" for bank in range(BANKS)) if g.request.space == "shared" else "".join(
        f" |{f'sector {i}':<23}" for i in range(LINE // SECTOR))
    lines = [g.title, f"{'bank' if g.request.space == 'shared' else 'byte':>{width}} {heads}"]
    for name, words in zip(g.rows, g.lanes, strict=True):
        cells = [f"{lanes[0]:3}" if len(lanes) == 1 else "  *" if lanes else "  ·" for lanes in words]
        if g.request.space == "global":
            cells = [f" |{cell[1:]}" if i % (SECTOR // BANK) == 0 else cell for i, cell in enumerate(cells)]
        lines.append(f"{name:>{width}} {''.join(cells)}")
    if g.left_out:
        lines.append(f"{'':>{width}} and {g.left_out} more {'lines' if g.request.space == 'global' else 'wavefronts'}")
    return lines
