"""Conv2d: one output, one pixel's gradient, one weight's, one bias's."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.document import Column, Table
from minicnn.inspect import tiled_bounds
from minicnn.inspect.comparing.replay import call_of
from minicnn.inspect.explaining.call import Call
from minicnn.inspect.explaining.convolution import Sides, correlating, reading, spreading
from minicnn.inspect.explaining.explanation import Explanation, size, total
from minicnn.inspect.explaining.panels import of_correlating, of_reading, of_spreading
from minicnn.inspect.explaining.position import full_index
from minicnn.inspect.explaining.sliding import Tap, axis_line, coverage, numbers
from minicnn.inspect.explaining.terms import PADDING, Term
from minicnn.inspect.explaining.words import borders, number, why_dilated, why_it_adds, zeros


def sides_of(call: Call) -> Sides:
    return Sides(call.window, call.origins(), call.source_shape[3], call.read(1), call.op.options["groups"])


def explained(call: Call, terms: list[Term], kernel: Any, dy: np.ndarray | None = None, **about: Any) -> Explanation:
    """With the numbers that every sum of products has. dy: of a gradient of the input or the weight."""
    bias = about.get("bias")
    about |= _by_tiles(call, about["of"], about["index"], dy)
    return Explanation(layer=call.layer, function=call.op.name, terms=terms, kernel=float(kernel), dtype=str(call.output.dtype),
                       backend=call.backend, **{"total": total(terms, bias), "magnitude": size(terms, bias),
                                                "roundings": len(terms) + (bias is not None), **about})


def _by_tiles(call: Call, of: str, index: tuple[int, ...], dy: np.ndarray | None) -> dict[str, Any]:
    """The rounding of a kernel that computes whole tiles; nothing for one that adds these products alone."""
    name, options, y_shape = call.op.name, call.op.options, call.op.output.shape
    if name not in tiled_bounds.NAMES or of == "gradient of the bias":
        return {}
    x, w, *b = arrays = call_of(call.op).arrays
    if not tiled_bounds.by_tiles(name, call.backend, arrays, y_shape, options):
        return {}
    if dy is None:
        terms, sizes = tiled_bounds.forward(name, x, w, b[0] if b else None, y_shape, options["window"])
    else:
        terms, sizes = tiled_bounds.backward(name, x, w, dy, options["window"])[of == "gradient of the weight"]
    inside = len(index) == sizes.ndim and all(i < n for i, n in zip(index, sizes.shape, strict=True))
    return {"roundings": terms, "magnitude": float(sizes[index] if inside else sizes.max()), "tiled": True}


def output(call: Call, index: Any) -> Explanation:
    n, f, oh, ow = at = full_index("the output", index, call.output.shape, ("n", "f", "oh", "ow"))
    sides, bias = sides_of(call), call.given(2)
    padded = call.window.pad(call.read(0))[n]
    terms = reading(sides, padded, f, (oh, ow))
    (_, C, H, W), (OH, OW) = call.source_shape, call.output.shape[2:]
    (KH, KW), channels = call.window.kernel, sides.channels(f)
    where = f"x[n, {'c' if sides.groups == 1 else 'g*C/G + c'}, oh*SH + kh*DH - top, ow*SW + kw*DW - left]"
    equation = [f"y[n, f, oh, ow] = {'bias[f] + ' if bias is not None else ''}sum over c, kh, kw of {where} * weight[f, c, kh, kw]",
                axis_line(call.window, 0, oh, call.padding, H), axis_line(call.window, 1, ow, call.padding, W)]
    if sides.groups > 1:
        equation.append(f"filter {f} is in group g = {f // (len(sides.w) // sides.groups)} of {sides.groups}: it sees channels "
                        f"{channels.start} to {channels.stop - 1} of {C}")
    column, rows = oh * OW + ow, (sides.row(channels.start, 0, 0), sides.row(channels.stop, 0, 0) - 1)
    word = (f"As a matrix product: im2col copies what this window sees into column oh*OW + ow = {oh}*{OW} + {ow} = {column} of the matrix "
            f"of image {n}, (C·KH·KW, OH·OW) = ({C * KH * KW}, {OH * OW}); term (c, kh, kw) is its row (c*KH + kh)*KW + kw, here {rows[0]} "
            f"to {rows[1]}. The number is cell ({f}, {column}) of weight, as ({len(sides.w)}, {sides.w[0].size}), times that matrix"
            + (f"; group by group: filter {f} meets these {rows[1] - rows[0] + 1} rows only." if sides.groups > 1 else "."))
    return explained(
        call, terms, call.output[at], of="output", name=f"y[{n}, {f}, {oh}, {ow}]", index=at, equation=equation, factors=("x", "weight"),
        bias=None if bias is None else float(bias[f]), group="c",
        matrix={"image": n, "im2col_shape": [C * KH * KW, OH * OW], "im2col_column": column, "im2col_rows": list(rows),
                "cell": [f, column]},
        words=[word, *padding_words(call, terms)], numbers=numbers(call.window, call.padding, sides.groups),
        rows=of_reading(call, sides, padded, terms, f, (oh, ow), ("x", n)))


def padding_words(call: Call, terms: list[Term]) -> list[str]:
    """How many terms the border takes, or what the padding shows."""
    if call.mode != "zeros":
        return [f"The padding shows the image itself (padding_mode {call.mode!r}): input names the pixel that a padded position repeats."]
    outside = sum(term.place["input"] == PADDING for term in terms)
    return [f"{outside} of the {len(terms)} terms read padding, which is 0, and add nothing: at the border fewer pixels decide than inside."
            ] if outside else []


def gradient_of_input(call: Call, dy: np.ndarray, index: Any) -> Explanation:
    dx = call.gradient(dy, "input")
    n, c, h, w = at = full_index("x", index, dx.shape, ("n", "c", "h", "w"))
    sides, values = sides_of(call), dy[n].astype(np.float64)
    terms, hits, missed = spreading(sides, values, c, (h, w))
    (H, W), (OH, OW) = dx.shape[2:], dy.shape[2:]
    counts = coverage(call.window, sides.origins, (OH, OW), H * W)
    copies = [(t, _of_copy(terms, t)) for t in hits]
    result = total(terms)
    equation = ["dx[n, c, h, w] = sum over f, oh, ow, kh, kw with oh*SH + kh*DH - top = h and ow*SW + kw*DW - left = w of dy[n, f, oh, ow] "
                "* weight[f, c, kh, kw]",
                _backwards(call, 0, h), _backwards(call, 1, w)]
    words = [why_it_adds(f"pixel ({h}, {w}) of channel {c}", copies, result, len(sides.filters(c))),
             why_dilated(call.window, hits, missed), borders(len(hits), int(counts.min()), int(counts.max()), missed)]
    if call.mode != "zeros":
        words.append(f"The padding repeats pixels (padding_mode {call.mode!r}): this one is seen at "
                     f"{int((sides.origins == h * W + w).sum())} padded positions, and what lands on any of them lands on it.")
    return explained(
        call, terms, dx[at], dy, of="gradient of the input", name=f"dx[{n}, {c}, {h}, {w}]", index=at, equation=equation,
        factors=("dy", "weight"), group="f", words=words, details=[_copies_table(sides, copies, c, OW)] if hits else [],
        matrix={"image": n, "im2col_copies": [[sides.row(c, t.kh, t.kw), t.oh * OW + t.ow] for t in hits]},
        numbers={**numbers(call.window, call.padding, sides.groups),
                 "copies": [{"oh": t.oh, "ow": t.ow, "kh": t.kh, "kw": t.kw, "padded": t.padded, "gradient": g} for t, g in copies],
                 "missed": [{"kh": m.kh, "kw": m.kw, "why": m.why, "at": m.at} for m in missed],
                 "reads": {"here": len(hits), "least": int(counts.min()), "most": int(counts.max())}},
        rows=of_spreading(sides, values, terms, missed, c, ("dy", n)))


def _of_copy(terms: list[Term], t: Tap) -> float:
    """The gradient of one cell of the im2col matrix: the sum over the filters."""
    return total([term for term in terms if (term.place["kh"], term.place["kw"], term.place["padded"]) == (t.kh, t.kw, t.padded)])


def _backwards(call: Call, axis: int, at: int) -> str:
    """One axis, from the pixel back to the outputs."""
    name, s, d, k, p0 = "hw"[axis], call.window.stride[axis], call.window.dilation[axis], call.window.kernel[axis], call.padding[2 * axis]
    o = call.output.shape[2 + axis]
    found = []
    for j in range(k):
        place = (at + p0 - j * d) / s
        inside = place == int(place) and 0 <= place < o
        found.append(f"{number(place)}" + ("" if inside else " (between)" if place != int(place) else " (beyond)"))
    return (f"{('rows', 'columns')[axis]}: o{name} = ({name} + {('top', 'left')[axis]} - k{name}*D{name.upper()})/S{name.upper()} = "
            f"({at} + {p0} - k{name}*{d})/{s} = {', '.join(found)} for k{name} = 0 to {k - 1}")


def _copies_table(sides: Sides, copies: list[tuple[Tap, float]], c: int, OW: int) -> Table:
    columns = [Column("output (oh, ow)", left=True), Column("tap (kh, kw)", left=True), Column("im2col row"), Column("column"),
               Column("its gradient")]
    rows = [[f"({t.oh}, {t.ow})", f"({t.kh}, {t.kw})", str(sides.row(c, t.kh, t.kw)), str(t.oh * OW + t.ow), number(g)] for t, g in copies]
    return Table("The copies that im2col made of this pixel, which col2im adds up", columns, rows)


def gradient_of_weight(call: Call, dy: np.ndarray, index: Any) -> Explanation:
    dw = call.gradient(dy, "weight")
    f, i, kh, kw = at = full_index("the weight", index, dw.shape, ("f", "c", "kh", "kw"))
    sides, padded = sides_of(call), call.window.pad(call.read(0))
    terms = correlating(sides, padded, dy.astype(np.float64), at)
    (SH, SW), (DH, DW), (OH, OW) = call.window.stride, call.window.dilation, dy.shape[2:]
    (top, _, left, _), c, N = call.padding, sides.channels(f)[i], len(dy)
    first = kh * DH - top, kw * DW - left
    outside = sum(term.place["input"] == PADDING for term in terms)
    where = f"({_place('oh', SH, first[0])}, {_place('ow', SW, first[1])})"
    words = [f"dweight is x correlated with dy: tap ({kh}, {kw}) of filter {f} was multiplied with channel {c} of x at {where} for each of "
             f"the {OH} x {OW} outputs of {N} {'image' if N == 1 else 'images'}; each of these products reached the loss through dy at "
             "that output, so each adds x * dy."]
    if (SH, SW) != (1, 1):
        words.append(f"The stride is ({SH}, {SW}): neighbours in dy meet pixels that lie {SH} rows and {SW} columns apart. dy is the "
                     f"kernel of this correlation, dilated: with {zeros(call.window)} between its own.")
    words.append(f"As a matrix product: cell ({f}, {sides.row(i, kh, kw)}) of dy, as (F, N·OH·OW) = ({dy.shape[1]}, {N * OH * OW}), times "
                 f"the transposed im2col matrix; row {sides.row(c, kh, kw)} of that holds all {N * OH * OW} values this tap saw.")
    words += [f"{outside} of the {len(terms)} positions lie in the padding, where x is 0, and add nothing: taps at the edge of the kernel "
              f"get fewer terms than the one in the middle."] if outside and call.mode == "zeros" else []
    return explained(
        call, terms, dw[at], dy, of="gradient of the weight", name=f"dweight[{f}, {i}, {kh}, {kw}]", index=at,
        equation=[f"dweight[f, c, kh, kw] = sum over n, oh, ow of dy[n, f, oh, ow] * x[n, {'c' if sides.groups == 1 else 'g*C/G + c'}, "
                  f"oh*SH + kh*DH - top, ow*SW + kw*DW - left]"],
        factors=("dy", "x"), group="n", words=words, numbers=numbers(call.window, call.padding, sides.groups),
        matrix={"im2col_row": sides.row(c, kh, kw), "cell": [f, sides.row(i, kh, kw)]},
        rows=of_correlating(call, padded, dy.astype(np.float64), terms, c, f, ("x", "dy")))


def _place(name: str, stride: int, offset: int) -> str:
    """oh*2 - 1, and so on."""
    return f"{name}*{stride}" + (f" {'+' if offset > 0 else '-'} {abs(offset)}" if offset else "")


def gradient_of_bias(call: Call, dy: np.ndarray, index: Any) -> Explanation:
    db = call.gradient(dy, "bias")
    (f,) = at = full_index("the bias", index, db.shape, ("f",))
    values = dy.astype(np.float64)
    terms = [Term.of(values[n, f, oh, ow], 1, n=n, oh=oh, ow=ow) for n, oh, ow in np.ndindex(len(dy), *dy.shape[2:])]
    return explained(
        call, terms, db[at], of="gradient of the bias", name=f"dbias[{f}]", index=at,
        equation=["dbias[f] = sum over n, oh, ow of dy[n, f, oh, ow]"], factors=("dy", "one"), group="n",
        words=[f"The bias of filter {f} is added to each of the {len(terms)} outputs of its channel, so each of their gradients is its own "
               f"too: they add up, with a factor of 1."],
        rows=[])
