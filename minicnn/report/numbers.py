"""Numbers as the page and the lists show them."""
from __future__ import annotations


def percent(share: float | None) -> str:
    """
    >>> percent(0.98765), percent(None)
    ('98.77%', '–')
    """
    return "–" if share is None else f"{share:.2%}"


def duration(seconds: float | None) -> str:
    """
    >>> [duration(s) for s in (None, 0.0312, 4.56, 59.9, 75, 3725, 100000)]
    ['–', '0.03 s', '4.6 s', '60 s', '1 min 15 s', '1 h 2 min', '27 h 46 min']
    """
    if seconds is None:
        return "–"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 0.995 else f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def whole(n: float | None) -> str:
    """With commas; a dash for nothing."""
    return "–" if n is None else f"{n:,.0f}"


def plural(n: int, word: str, more: str = "") -> str:
    """
    >>> plural(1, "epoch"), plural(2000, "class", "classes")
    ('1 epoch', '2,000 classes')
    """
    return f"{n:,} {word if n == 1 else more or word + 's'}"
