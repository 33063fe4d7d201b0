"""AvgPool2d: the mean under one window, and the shares that reach one pixel."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.inspect.explaining.call import Call
from minicnn.inspect.explaining.conv2d import explained, padding_words
from minicnn.inspect.explaining.explanation import Explanation, total
from minicnn.inspect.explaining.position import full_index
from minicnn.inspect.explaining.sliding import Tap, axis_line, numbers, reached, taps
from minicnn.inspect.explaining.terms import Term, panel
from minicnn.inspect.explaining.words import number, several


def output(call: Call, index: Any) -> Explanation:
    n, c, oh, ow = at = full_index("the output", index, call.output.shape, ("n", "c", "oh", "ow"))
    _, _, H, W = call.source_shape
    origins, padded = call.origins(), call.window.pad(call.read(0))[n, c]
    read = list(taps(call.window, origins, W, oh, ow))
    D, why = divisor(call, read)
    terms = [Term.of(padded[t.padded], 1 / D, kh=t.kh, kw=t.kw, padded=t.padded, input=t.where) for t in read]
    whole = total([Term.of(term.left, 1) for term in terms])
    return explained(
        call, terms, call.output[at], of="output", name=f"y[{n}, {c}, {oh}, {ow}]", index=at, factors=("x", "1/D"),
        equation=["y[n, c, oh, ow] = 1/D * sum over kh, kw of x[n, c, oh*SH + kh - top, ow*SW + kw - left]",
                  axis_line(call.window, 0, oh, call.padding, H), axis_line(call.window, 1, ow, call.padding, W)],
        total=whole / D, roundings=len(terms) + 2,
        words=[f"{why} The sum of the values is {number(whole)}, and {number(whole)}/{number(D)} = "
               f"{number(whole / D)}.", *padding_words(call, terms)],
        numbers={**numbers(call.window, call.padding), "divisor": D, "sum": whole},
        rows=[[panel(f"x[{n}, {c}]", padded, [t.padded for t in read], origins < 0, call.padding[::2])]])


def divisor(call: Call, read: list[Tap]) -> tuple[float, str]:
    """D of one window, and why."""
    override, count_padding = call.op.options.get("divisor_override"), call.op.options.get("count_include_pad", True)
    inside = sum(t.input is not None for t in read)
    if override is not None:
        return float(override), f"D is {override}, the divisor_override."
    if not count_padding:
        return float(inside), f"D is {inside}: the cells of the window that are not padding (count_include_pad=False)."
    (_, _, H, W), (top, bottom, left, right) = call.source_shape, call.window.padding
    cells = sum(t.padded[0] < H + top + bottom and t.padded[1] < W + left + right for t in read)
    hanging = len(read) - cells
    return float(cells), (f"D is {cells}: the cells of the window, with those in the padding (count_include_pad=True)"
                          + (f", without the {hanging} that hang over its end (ceil_mode)." if hanging else "."))


def gradient_of_input(call: Call, dy: np.ndarray, index: Any) -> Explanation:
    dx = call.gradient(dy, "input")
    n, c, h, w = at = full_index("x", index, dx.shape, ("n", "c", "h", "w"))
    W, origins, values = dx.shape[3], call.origins(), dy[n, c].astype(np.float64)
    hits, _ = reached(call.window, origins, values.shape, (h, w), W)
    terms, products = [], []
    for t in hits:
        D, _ = divisor(call, list(taps(call.window, origins, W, t.oh, t.ow)))
        share = float(values[t.oh, t.ow]) / D
        products.append(share)
        terms.append(Term({"oh": t.oh, "ow": t.ow, "kh": t.kh, "kw": t.kw, "D": D}, float(values[t.oh, t.ow]), 1 / D, share))
    text = (f"{len(hits)} {'window averages' if len(hits) == 1 else 'windows average'} pixel ({h}, {w}) of channel {c}"
            + (f", at {several(f'({t.oh}, {t.ow})' for t in hits)}" if hits else "")
            + ". Each gives 1/D of its dy to every pixel it saw, and what reaches one pixel adds up.")
    return explained(
        call, terms, dx[at], of="gradient of the input", name=f"dx[{n}, {c}, {h}, {w}]", index=at, factors=("dy", "1/D"),
        equation=["dx[n, c, h, w] = sum of dy[n, c, oh, ow] / D[oh, ow] over the windows (oh, ow) that cover pixel (h, w)"],
        roundings=len(terms) + 2, words=[text], numbers=numbers(call.window, call.padding),
        rows=[[panel(f"dy[{n}, {c}]", values, [(t.oh, t.ow) for t in hits], axes=("oh", "ow"))]])
