"""What is said about a number in words, with the reader's own numbers in it."""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from minicnn.inspect.explaining.sliding import BETWEEN, BEYOND, Missed, Tap
from minicnn.kernels.window import Window2d

FEW = 12                                                       # of a list that is written out


def number(value: float | None) -> str:
    """A whole number without a point, others in five digits.

    >>> number(-3.0), number(0.123456), number(float("nan"))
    ('-3', '0.12346', 'nan')
    """
    if value is None:
        return "none"
    if math.isfinite(value) and value == int(value) and abs(value) < 1e7:
        return str(int(value))
    return f"{value:.5g}"


def several(values: Iterable[Any]) -> str:
    """a, b, c; a long list is cut off."""
    found = [str(value) for value in values]
    return ", ".join(found[:FEW]) + (f", ... ({len(found)} in all)" if len(found) > FEW else "")


def plus(values: Sequence[float]) -> str:
    """1 + 2 - 3, and so on; a long sum is cut off."""
    found = [number(value) for value in values]
    text = found[0] if found else "0"
    for value in found[1:FEW]:
        text += f" - {value[1:]}" if value.startswith("-") else f" + {value}"
    return text + (f" + ... ({len(found)} numbers in all)" if len(found) > FEW else "")


def why_it_adds(pixel: str, copies: list[tuple[Tap, float]], total: float, filters: int) -> str:
    """Why col2im adds."""
    if not copies:
        return (f"Why col2im adds: it would add the gradients of all copies of a pixel, but no window reads {pixel}: im2col copied it "
                f"nowhere, it cannot change the output, and its gradient is 0, a sum without terms.")
    where = several(f"({t.oh}, {t.ow})" for t, _ in copies)
    per = f", a sum over {filters} filters" if filters > 1 else ""
    if len(copies) == 1:
        return (f"Why col2im adds: im2col copied {pixel} into one column only, that of the output at {where}. So its gradient is that of "
                f"this one copy{per}: {number(total)}. A pixel that several windows read gets the sum of as many.")
    return (f"Why col2im adds: im2col copied {pixel} into {len(copies)} cells of its matrix, for the outputs at {where}. In the matrix "
            f"product each copy is a number of its own and gets its own gradient{per}. But there is only one pixel: moving it moves all "
            f"its copies at once, so what they do to the loss adds up: {plus([g for _, g in copies])} = {number(total)}. "
            f"Storing instead of adding would leave the last of them, {number(copies[-1][1])}.")


def why_dilated(window: Window2d, hits: list[Tap], missed: list[Missed], grid: str = "dy") -> str:
    """Why the gradient of a strided convolution is dilated."""
    SH, SW = window.stride
    between = [m for m in missed if m.why == BETWEEN]
    if (SH, SW) == (1, 1):
        return (f"Why nothing is dilated here: the stride is 1, so each tap of the kernel leads from this pixel back to a whole position "
                f"of {grid}. With a stride of 2, every other one would fall between two outputs, and {grid} would be read as if it had "
                f"zeros there.")
    taps_of = several(f"({m.kh}, {m.kw}) -> ({number(m.at[0])}, {number(m.at[1])})" for m in between)
    at = hits[0].padded if hits else None
    start = f", padded position (ph, pw) = ({at[0]}, {at[1]})," if at else ""
    text = (f"Why the gradient is dilated: the stride is ({SH}, {SW}), so going back from this pixel{start} tap (kh, kw) leads to output "
            f"((ph - kh*{window.dilation[0]})/{SH}, (pw - kw*{window.dilation[1]})/{SW}), and only whole numbers are outputs. ")
    if between:
        text += (f"{len(between)} of the {len(hits) + len(missed)} taps fall between two outputs and contribute nothing: {taps_of}. ")
    else:
        text += "For this pixel all taps lead to whole numbers; for its neighbours they do not. "
    return text + (f"It is the same as spreading {grid} out, with {zeros(window)} between its own, and sliding over that with stride 1.")


def zeros(window: Window2d) -> str:
    """What a dilation by the stride puts between the rows and columns of dy."""
    rows, columns = (f"{s - 1} {name}{'' if s == 2 else 's'}" for s, name in zip(window.stride, ("row", "column"), strict=True))
    return f"{rows} and {columns} of zeros"


def borders(count: int, least: int, most: int, missed: list[Missed], what: str = "pixel") -> str:
    """How the number of terms depends on the place."""
    beyond = [m for m in missed if m.why == BEYOND]
    text = f"This {what} is read {count} {'time' if count == 1 else 'times'} by the windows of one channel"
    text += "; so is every other." if least == most else f"; others {least} to {most} times."
    if beyond:
        text += (f" {len(beyond)} {'tap leads' if len(beyond) == 1 else 'taps lead'} beyond the edge of the output: "
                 f"{several(f'({m.kh}, {m.kw}) -> ({number(m.at[0])}, {number(m.at[1])})' for m in beyond)}.")
    return text
