"""ConvTranspose2d: the sums of conv2d with x and y in each other's roles."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.inspect.explaining.call import Call
from minicnn.inspect.explaining.conv2d import explained, gradient_of_bias
from minicnn.inspect.explaining.convolution import Sides, correlating, reading, spreading
from minicnn.inspect.explaining.explanation import Explanation, total
from minicnn.inspect.explaining.panels import of_correlating, of_reading, of_spreading
from minicnn.inspect.explaining.position import full_index
from minicnn.inspect.explaining.sliding import BETWEEN, BEYOND, coverage, numbers
from minicnn.inspect.explaining.terms import PADDING
from minicnn.inspect.explaining.words import plus, several, why_dilated

__all__ = ["gradient_of_bias", "gradient_of_input", "gradient_of_weight", "output"]


def sides_of(call: Call) -> Sides:
    """The window slides over y here: it is the image, and x the grid."""
    OH, OW = call.output.shape[2:]
    origins = np.asarray(call.window.pad(np.arange(OH * OW).reshape(OH, OW), -1))
    return Sides(call.window, origins, OW, call.read(1), call.op.options["groups"])


def output(call: Call, index: Any) -> Explanation:
    n, f, oh, ow = at = full_index("the output", index, call.output.shape, ("n", "f", "oh", "ow"))
    sides, bias, x = sides_of(call), call.given(2), call.read(0)[n]
    terms, hits, missed = spreading(sides, x, f, (oh, ow), ("c", "h", "w"))
    OH, OW = call.output.shape[2:]
    counts = coverage(call.window, sides.origins, x.shape[1:], OH * OW)
    result = total(terms, None if bias is None else float(bias[f]))
    between = sum(m.why == BETWEEN for m in missed)
    beyond = [m for m in missed if m.why == BEYOND]
    words = [_why_it_adds(f"y[{n}, {f}, {oh}, {ow}]", hits, [term.product for term in terms], total(terms)),
             why_dilated(call.window, hits, missed, "x"),
             f"This output is reached {len(hits)} times by each channel, {between} taps fall between two inputs and {len(beyond)} lead "
             f"beyond the edge of x; the outputs of this layer are reached {int(counts.min())} to {int(counts.max())} times: where that "
             f"differs inside, a checkerboard can appear.",
             f"As a matrix product: weight, as (C, F/G·KH·KW), transposed, times x, as (C, H·W), gives columns; col2im adds them up at "
             f"their places. This is what the gradient of a Conv2d's input is: {call.op.name} is that gradient, used forwards."]
    return explained(
        call, terms, call.output[at], of="output", name=f"y[{n}, {f}, {oh}, {ow}]", index=at,
        equation=[f"y[n, f, oh, ow] = {'bias[f] + ' if bias is not None else ''}sum over c, h, w, kh, kw with h*SH + kh*DH - PH = oh and "
                  "w*SW + kw*DW - PW = ow of x[n, c, h, w] * weight[c, f, kh, kw]"],
        factors=("x", "weight"), bias=None if bias is None else float(bias[f]), total=result, group="c", words=words,
        matrix={"image": n, "col2im_cells": [[sides.row(f, t.kh, t.kw), t.oh * x.shape[2] + t.ow] for t in hits]},
        numbers={**numbers(call.window, call.window.padding, sides.groups),
                 "missed": [{"kh": m.kh, "kw": m.kw, "why": m.why, "at": m.at} for m in missed],
                 "reads": {"here": len(hits), "least": int(counts.min()), "most": int(counts.max())}},
        rows=of_spreading(sides, x, terms, missed, f, ("x", n)))


def _why_it_adds(name: str, hits: list[Any], products: list[float], result: float) -> str:
    if not hits:
        return f"No input pixel's window covers {name}: without its bias it is 0, a sum without terms."
    return (f"Why it adds: every input pixel is spread over a window of the output, and the windows of {len(hits)} pixels, at "
            f"{several(f'({t.oh}, {t.ow})' for t in hits)}, cover {name}: each leaves a product there, {plus(products)} = "
            f"{plus([result])}.")


def gradient_of_input(call: Call, dy: np.ndarray, index: Any) -> Explanation:
    dx = call.gradient(dy, "input")
    n, c, h, w = at = full_index("x", index, dx.shape, ("n", "c", "h", "w"))
    sides, padded = sides_of(call), call.window.pad(dy[n].astype(np.float64))
    terms = reading(sides, padded, c, (h, w))
    for term in terms:                                         # the image is y here
        term.place["f"] = term.place.pop("c")
    terms = [type(t)({"f": t.place["f"], **t.place}, t.left, t.right, t.product) for t in terms]
    outside = sum(term.place["input"] == PADDING for term in terms)
    return explained(
        call, terms, dx[at], dy, of="gradient of the input", name=f"dx[{n}, {c}, {h}, {w}]", index=at,
        equation=["dx[n, c, h, w] = sum over f, kh, kw of dy[n, f, h*SH + kh*DH - PH, w*SW + kw*DW - PW] * weight[c, f, kh, kw]"],
        factors=("dy", "weight"), group="f",
        words=[f"Pixel ({h}, {w}) was spread over a window of the output; its gradient reads that window of dy again: a plain convolution "
               f"of dy, with the stride and dilation of the layer and no flip.",
               *([f"{outside} of the {len(terms)} taps lead to rows and columns that padding took away: there is no dy, and they add "
                  f"nothing."]
                 if outside else [])],
        matrix={"image": n, "im2col_column": h * dx.shape[3] + w}, numbers=numbers(call.window, call.window.padding, sides.groups),
        rows=of_reading(call, sides, padded, terms, c, (h, w), ("dy", n)))


def gradient_of_weight(call: Call, dy: np.ndarray, index: Any) -> Explanation:
    dw = call.gradient(dy, "weight")
    c, i, kh, kw = at = full_index("the weight", index, dw.shape, ("c", "f", "kh", "kw"))
    sides, padded, x = sides_of(call), call.window.pad(dy.astype(np.float64)), call.read(0)
    terms = correlating(sides, padded, x, at, ("n", "h", "w"))
    f = sides.channels(c)[i]
    return explained(
        call, terms, dw[at], dy, of="gradient of the weight", name=f"dweight[{c}, {i}, {kh}, {kw}]", index=at,
        equation=["dweight[c, f, kh, kw] = sum over n, h, w of x[n, c, h, w] * dy[n, f, h*SH + kh*DH - PH, w*SW + kw*DW - PW]"],
        factors=("x", "dy"), group="n",
        words=[f"Every pixel of channel {c} of x passed through this weight once, to output (h*SH + {kh}*DH - PH, w*SW + {kw}*DW - PW) of "
               f"channel {f}, and what it did there is x * dy. It is Conv2d's gradient of the weight with x and dy in each other's roles."],
        numbers=numbers(call.window, call.window.padding, sides.groups), rows=of_correlating(call, padded, x, terms, f, c, ("dy", "x")))
