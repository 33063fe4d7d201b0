"""Numbers as text: three significant digits or so, and a unit."""
from __future__ import annotations

import math


def three(value: float) -> str:
    """Three significant digits, never an exponent.

    >>> three(0.0012345), three(1), three(99.96), three(12345)
    ('0.00123', '1.00', '100', '12,300')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.{max(0, 2 - math.floor(math.log10(abs(rounded))))}f}"


def short(value: float) -> str:
    """Two decimals around 1, three significant digits above, two below: for ratios and sizes in narrow columns.

    >>> short(0.98765), short(7.5), short(12.34), short(0.00126)
    ('0.99', '7.50', '12.3', '0.0013')
    """
    if value >= 9.995 or value == 0:
        return three(value)
    return f"{value:.2f}" if value >= 0.0995 else f"{float(f'{value:.2g}'):.{1 - math.floor(math.log10(value))}f}"


def seconds(time: float) -> str:
    """In µs, ms or s.

    >>> seconds(2.5e-6), seconds(0.00123), seconds(61)
    ('2.50 µs', '1.23 ms', '61.0 s')
    """
    return _scaled(time, ((1e6, "µs"), (1e3, "ms"), (1, "s")))


def count(number: float, unit: str) -> str:
    """Thousands as k, millions as M and so on.

    >>> count(451584, "MAC"), count(1.5e11, "FLOP/s")
    ('452 kMAC', '150 GFLOP/s')
    """
    return _scaled(number, ((1, unit), (1e-3, f"k{unit}"), (1e-6, f"M{unit}"), (1e-9, f"G{unit}"), (1e-12, f"T{unit}")))


def size(number: float) -> str:
    """Bytes.

    >>> size(96), size(12544), size(6500000)
    ('96.0 B', '12.2 KiB', '6.20 MiB')
    """
    return _scaled(number, ((1, "B"), (2**-10, "KiB"), (2**-20, "MiB"), (2**-30, "GiB")))


def percent(share: float) -> str:
    """
    >>> percent(0.834), percent(1.2), percent(0.0012)
    ('83%', '120%', '0.1%')
    """
    return f"{100 * share:.0f}%" if 100 * share >= 0.95 or share == 0 else f"{100 * share:.1g}%"


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    """In the first unit in which the text is below 1,000, else in the last."""
    for factor, unit in units:
        text = f"{three(value * factor)} {unit}"
        if abs(float(f"{value * factor:.3g}")) < 1000:
            break
    return text
