"""MaxPool2d: the candidates of one window, and the windows that one pixel won."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn.inspect.explaining.call import Call
from minicnn.inspect.explaining.conv2d import explained
from minicnn.inspect.explaining.explanation import Explanation
from minicnn.inspect.explaining.position import full_index
from minicnn.inspect.explaining.sliding import Tap, axis_line, numbers, reached, taps
from minicnn.inspect.explaining.terms import Panel, Term, panel
from minicnn.inspect.explaining.words import number, several
from minicnn.kernels import devices


def output(call: Call, index: Any) -> Explanation:
    n, c, oh, ow = at = full_index("the output", index, call.output.shape, ("n", "c", "oh", "ow"))
    _, _, H, W = call.source_shape
    origins, padded = call.origins(), call.window.pad(call.read(0), -np.inf)[n, c]
    read = list(taps(call.window, origins, W, oh, ow))
    best, why = winner(read, padded)
    won = _winners(call)[at]
    terms = []
    for t in read:                                             # a choice, not a product: 0 * inf is none of its business
        x = float(padded[t.padded])
        terms.append(Term({"kh": t.kh, "kw": t.kw, "padded": t.padded, "input": t.where}, x, float(t is best), x if t is best else 0.0))
    value = padded[best.padded] if best else -math.inf
    where = None if won < 0 else [won // W, won % W]
    return explained(
        call, terms, call.output[at], of="output", name=f"y[{n}, {c}, {oh}, {ow}]", index=at, factors=("x", "wins"),
        equation=["y[n, c, oh, ow] = max over kh, kw of x[n, c, oh*SH + kh*DH - top, ow*SW + kw*DW - left], padding is -inf",
                  axis_line(call.window, 0, oh, call.padding, H), axis_line(call.window, 1, ow, call.padding, W)],
        total=float(value), magnitude=0.0, roundings=1,
        words=[why, f"The kernel names the same pixel: argmax is {won} = {won // W}*{W} + {won % W}, pixel ({won // W}, {won % W}) of its "
                    f"channel; only "
               "this one gets the gradient." if best and best.input == (won // W, won % W) and won >= 0 else f"The kernel's argmax is "
                                                                                                             f"{won}."],
        numbers={**numbers(call.window, call.padding), "winner": best.input if best else None, "argmax": where},
        rows=[_panels(call, n, c, [t.padded for t in read], best.padded if best else None)])


def winner(read: list[Tap], padded: np.ndarray) -> tuple[Tap | None, str]:
    """The tap that wins, None where all see padding; and why."""
    inside = [t for t in read if t.input]
    values = [float(padded[t.padded]) for t in inside]
    if not inside:
        return None, "The window sees padding only, so nothing wins: the result is -inf and no pixel gets a gradient."
    nans = [t for t, value in zip(inside, values, strict=True) if math.isnan(value)]
    if nans:
        others = " (the last of several)" if len(nans) > 1 else ""
        return nans[-1], f"NaN counts as larger than every number: pixel {nans[-1].input}{others} decides, and the result is NaN."
    top = max(values)
    best = [t for t, value in zip(inside, values, strict=True) if value == top]
    if len(best) > 1:
        return best[0], (f"{len(best)} candidates are equal, {number(top)}, at {several(t.input for t in best)}: the first in row-major "
                         f"order wins, {best[0].input}, and gets the whole gradient.")
    if len(values) == 1:
        return best[0], f"Pixel {best[0].input} is the only one under the window, so it wins with {number(top)}."
    second = sorted(values)[-2]
    return best[0], f"Pixel {best[0].input} wins with {number(top)}; the next largest is {number(second)}."


def gradient_of_input(call: Call, dy: np.ndarray, index: Any) -> Explanation:
    dx = call.gradient(dy, "input")
    n, c, h, w = at = full_index("x", index, dx.shape, ("n", "c", "h", "w"))
    W = call.source_shape[3]
    origins, padded, values = call.origins(), call.window.pad(call.read(0), -np.inf)[n, c], dy[n, c].astype(np.float64)
    hits, _ = reached(call.window, origins, values.shape, (h, w), W)
    terms, lost = [], []
    for t in hits:
        best, _ = winner(list(taps(call.window, origins, W, t.oh, t.ow)), padded)
        won = best is not None and best.input == (h, w)
        terms.append(Term({"oh": t.oh, "ow": t.ow, "kh": t.kh, "kw": t.kw, "winner": best.input if best else "none",
                           "x of the winner": float(padded[best.padded]) if best else -math.inf},
                          float(values[t.oh, t.ow]), float(won), float(values[t.oh, t.ow]) if won else 0.0))
        if not won:
            lost.append(f"({t.oh}, {t.ow}) to {best.input if best else 'padding'}")
    wins = [term for term in terms if term.right]
    text = (f"{len(hits)} {'window covers' if len(hits) == 1 else 'windows cover'} pixel ({h}, {w}) of channel {c}, whose value is "
            f"{number(float(call.read(0)[n, c, h, w]))}. It won {len(wins)} of them"
            + (f", lost {several(lost)}" if lost else "") + ". Each window hands its whole dy to its winner, and what one pixel wins adds "
                                                            "up.")
    return explained(
        call, terms, dx[at], of="gradient of the input", name=f"dx[{n}, {c}, {h}, {w}]", index=at, factors=("dy", "won"), group=None,
        roundings=max(1, len(wins)), words=[text],
        equation=["dx[n, c, h, w] = sum of dy[n, c, oh, ow] over the windows (oh, ow) that pixel (h, w) won"],
        numbers={**numbers(call.window, call.padding), "won": [[t.place["oh"], t.place["ow"]] for t in wins]},
        rows=[[*_panels(call, n, c, [(h + call.padding[0], w + call.padding[2])], None),
               panel(f"dy[{n}, {c}]", values, [(t.place["oh"], t.place["ow"]) for t in wins], axes=("oh", "ow"))]])


def _winners(call: Call) -> np.ndarray:
    """argmax, as the kernel found it."""
    node = call.op.output.node
    assert node is not None                                    # the tape was on
    return np.asarray(devices.host(node.cache[1]))


def _panels(call: Call, n: int, c: int, cells: list[tuple[int, int]], best: tuple[int, int] | None) -> list[Panel]:
    plane = call.window.pad(call.read(0), -np.inf)[n, c]
    return [panel(f"x[{n}, {c}]", plane, cells, call.origins() < 0, call.padding[::2], best=best)]
