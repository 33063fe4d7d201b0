"""Numbers as tables show them: three or four digits and a unit."""
from __future__ import annotations

from typing import Any


def short(n: int) -> str:
    """1000 = 1 K, as 1 M = 1000 K and 1 G = 1000 M.

    >>> [short(n) for n in (0, 999, 61706, 138357544, 15470264320)]
    ['0', '999', '61.7 K', '138 M', '15.5 G']
    """
    return _scaled(n, ("", " K", " M", " G", " T"))


def size(n: int) -> str:
    """Bytes: 1 kB = 1000 B, 1 MB = 1000 kB.

    >>> size(553430176)
    '553 MB'
    """
    return _scaled(n, (" B", " kB", " MB", " GB", " TB"))


def _scaled(n: int, units: tuple[str, ...]) -> str:
    power = 0
    value = float(n)
    while value >= 999.5 and power < len(units) - 1:
        value /= 1000
        power += 1
    text = f"{n}" if power == 0 else f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
    return text + (units[power] if n else "")


def shape(sizes: tuple[int, ...]) -> str:
    """Without the batch: (N, 16, 28, 28) -> 16x28x28."""
    return "x".join(map(str, sizes[1:])) or str(sizes[0])


def both(pair: tuple[Any, Any]) -> str:
    """(3, 3) -> 3, (3, 5) -> 3x5, None -> -."""
    height, width = ("-" if n is None else f"{n:g}" for n in pair)
    return height if height == width else f"{height}x{width}"
