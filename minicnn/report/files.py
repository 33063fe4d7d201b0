"""Reading the small text files of a run, of which any may be missing, cut short, or something else altogether.

Nothing that stands in them is run, nothing is believed to be of a kind that it is not, and a file that is far too large is not read.
"""
from __future__ import annotations

import csv
import json
import math
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

LARGEST = 16 * 2**20                                           # bytes: some 50,000 epochs
MOST_CLASSES = 2000
LARGE = 1e100
MOST_EPOCHS = 10**9


def read_text(path: Path, most: int = LARGEST) -> str:
    """The text of a file; what is not UTF-8 in it is replaced. Raises ValueError, without the path, for all that is wrong."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):              # reading a pipe might never end
            raise ValueError("not a file")
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        raise ValueError("missing") from None
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror or error})") from None
    if len(data) > most:
        raise ValueError(f"larger than {most:,} bytes, so not what minicnn wrote")
    return data.decode(errors="replace")


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object. Raises ValueError for anything else."""
    return parse_object(read_text(path))


def parse_object(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text, parse_float=_finite, parse_constant=lambda name: None)       # JSON has neither NaN nor infinities
    except (ValueError, RecursionError):
        raise ValueError("not JSON, or cut short") from None
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    return values


def _finite(digits: str) -> float | None:
    """1e999 is a number in JSON, but not here."""
    value = float(digits)
    return value if math.isfinite(value) else None


def read_epochs(path: Path) -> tuple[list[dict[str, float]], str]:
    """The lines of metrics.jsonl that can be used, and what is wrong with the others ("" for nothing).

    A line is an object of numbers, with "epoch" among them, which rises from line to line.
    """
    epochs: list[dict[str, float]] = []
    wrong = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        try:
            values = {key: found for key, value in parse_object(line).items() if (found := as_number(value)) is not None}
            after = epochs[-1]["epoch"] if epochs else 0
            if not after < values.get("epoch", 0) < MOST_EPOCHS or values["epoch"] != int(values["epoch"]):
                raise ValueError("no epoch, or one out of order")
        except ValueError as error:
            wrong.append(f"line {number} is {error}" if "JSON" in str(error) else f"line {number} has {error}")
            continue
        epochs.append(values)
    more = f" (and {len(wrong) - 1} more lines)" if len(wrong) > 1 else ""
    return epochs, wrong[0] + more if wrong else ""


def read_confusion(path: Path) -> np.ndarray:
    """The counts (K, K) of confusion_matrix.csv: rows the true classes, columns the predicted ones. Raises ValueError."""
    try:
        rows = list(csv.reader(read_text(path).splitlines()))
    except csv.Error as error:
        raise ValueError(f"not CSV ({error})") from None
    K = len(rows) - 1
    if not 1 <= K <= MOST_CLASSES or any(len(row) != K + 1 for row in rows):
        raise ValueError("not a row and a column for each class")
    counts = [[int(cell) if cell.isascii() and cell.isdigit() and len(cell) <= 15 else -1 for cell in row[1:]] for row in rows[1:]]
    matrix = np.array(counts, np.int64)
    if (matrix < 0).any():
        raise ValueError("holds something that is no count")
    return matrix


def as_number(value: Any) -> float | None:
    """A number as a float; None for anything else, and for what no run comes to: NaN, infinities, 1e100 and more.

    >>> [as_number(value) for value in (3, 0.5, True, "3", float("nan"), 10**400)]
    [3.0, 0.5, None, None, None, None]
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < LARGE else None        # NaN is not


def number(values: Mapping[str, Any], key: str) -> float | None:
    return as_number(values.get(key))


def count(values: Mapping[str, Any], key: str) -> int | None:
    """A whole number of at least 0."""
    value = values.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def text(values: Mapping[str, Any], key: str, most: int = 200) -> str:
    """A text on one line, cut where it is long; "" where there is none."""
    value = values.get(key)
    if not isinstance(value, str):
        return ""
    value = " ".join(value.split())
    return value if len(value) <= most else value[:most - 1] + "…"
