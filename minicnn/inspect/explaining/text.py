"""An explanation as paragraphs and tables."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minicnn.document import Block, Bold, Column, Table
from minicnn.inspect.explaining.terms import Panel, Term
from minicnn.inspect.explaining.words import number

if TYPE_CHECKING:
    from minicnn.inspect.explaining.explanation import Explanation

HEADS = {"row": "im2col row", "column": "im2col column", "padded": "padded (h, w)", "input": "input (h, w)", "winner": "winner (h, w)"}
GROUPS = {"c": "channel", "f": "filter", "n": "image"}
WIDE, GROUPS_SHOWN = 78, 16


def blocks(found: Explanation) -> list[Block]:
    """The number, its arithmetic, the window on the patch, the terms, the sum, and what it means."""
    said: list[Block] = [f"{found.name}, one number of the {found.of}, layer {found.layer}", "\n".join(found.equation)]
    said += [table for row in found.rows for table in drawn(row)]
    groups = {term.place[found.group] for term in found.terms} if found.group else set()
    if found.rows and found.group and len(groups) > len(found.rows):
        name = GROUPS.get(found.group, found.group)
        said.append(f"Drawn are the {len(found.rows)} of {len(groups)} {name}s whose products are largest in size.")
    said += term_tables(found)
    said += [sum_table(found), *found.details, *found.words]
    return said


def drawn(row: Sequence[Panel]) -> list[Table]:
    """The panels of one row side by side, or below each other where that is too wide."""
    beside = _packed([_drawn(p) for p in row])
    if len(beside) > 1:                                        # too wide: less of the image, if there is some that takes no part
        beside = _packed([_drawn(p if p.marked.all() else p.cropped()) for p in row])
    return beside


def _packed(tables: list[Table]) -> list[Table]:
    """The tables in order, as many side by side as fit."""
    found: list[Table] = []
    for table in tables:
        both = _beside(found[-1], table) if found else table
        if found and _width(both) <= WIDE:
            found[-1] = both
        else:
            found.append(table)
    return found


def _width(table: Table) -> int:
    return max(len(table.title), sum(max(len(c.head), *(len(row[i]) for row in table.rows)) + 2 for i, c in enumerate(table.columns)))


def _beside(left: Table, right: Table) -> Table:
    """One table of two, with a line between them."""
    lines = max(len(left.rows), len(right.rows))
    rows = []
    for i in range(lines):
        halves = [t.rows[i] if i < len(t.rows) else [""] * len(t.columns) for t in (left, right)]
        rows.append([*halves[0], "|", *halves[1]])
    return Table(f"{left.title}   |   {right.title}", [*left.columns, Column("|"), *right.columns], rows)


def _drawn(p: Panel) -> Table:
    """A panel: its coordinates around it, [marked cells], a dot for padding and a star for the one that stands out."""
    brackets = bool((p.marked == p.hollow).any())             # not where each cell is marked or hollow
    legend = [text for text, there in (("[ ] takes part", brackets), (f". {p.empty}", p.hollow.any()), ("* wins", p.best is not None),
                                       ("cropped", p.cut)) if there]
    rows = []
    for i in range(p.values.shape[0]):
        rows.append([str(p.start[0] + i), *(_cell(p, i, j, brackets) for j in range(p.values.shape[1]))])
    title = p.title + (f" ({', '.join(legend)})" if legend else "")
    return Table(title, [Column(f"{p.axes[0]}\\{p.axes[1]}"), *(Column(str(p.start[1] + j)) for j in range(p.values.shape[1]))], rows)


def _cell(p: Panel, i: int, j: int, brackets: bool) -> str:
    value = float(p.values[i, j])
    text = "." if p.hollow[i, j] and (value == 0 or value == -math.inf) else short(value)
    text += "*" if p.best == (i, j) else ""
    return text if not brackets else f"[{text}]" if p.marked[i, j] else f"{text} "


def short(value: float) -> str:
    """Three digits.

    >>> short(0.123456), short(-2.0)
    ('0.123', '-2')
    """
    whole = math.isfinite(value) and value == int(value) and abs(value) < 1e5
    return str(int(value)) if whole else f"{value:.3g}"


def term_tables(found: Explanation) -> list[Block]:
    """All terms; of more than `most`, the sums of their groups and the largest ones."""
    terms = found.terms
    if not terms:
        return ["There are no terms: nothing that was computed depends on it."]
    if found.most is None or len(terms) <= found.most:
        return [_table(f"All {len(terms)} terms" if len(terms) > 1 else "The one term", found, terms)]
    tables: list[Block] = []
    if found.group:
        tables += _group_table(found, found.group)
    order = sorted(range(len(terms)), key=lambda i: -abs(terms[i].product) if math.isfinite(terms[i].product) else -math.inf)
    chosen = [terms[i] for i in sorted(i for i in order[:found.most] if terms[i].product)] or terms[:1]
    tables.append(_table(f"The {len(chosen)} largest of {len(terms)} terms (all of them: --all, most = None, or JSON)",
                         found, chosen))
    return tables


def _group_table(found: Explanation, key: str) -> list[Block]:
    """The terms of each channel, filter or image: how many, and their sum."""
    groups: dict[Any, list[float]] = {}
    for term in found.terms:
        groups.setdefault(term.place[key], []).append(term.product)
    if len(groups) < 2:
        return []
    shown = sorted(sorted(groups, key=lambda k: -abs(sum(groups[k])))[:GROUPS_SHOWN])
    rows = [[str(k), str(len(groups[k])), number(sum(groups[k]))] for k in shown]
    name = GROUPS.get(key, key)
    cut = f", the {GROUPS_SHOWN} largest of {len(groups)}" if len(groups) > len(shown) else ""
    return [Table(f"By {name}{cut}", [Column(name), Column("terms"), Column("their sum")], rows)]


def _table(title: str, found: Explanation, terms: Sequence[Term]) -> Table:
    places = list(terms[0].place)
    columns = [Column(HEADS.get(p, p)) for p in places] + [Column(name) for name in (*found.factors, "product")]
    rows = [[*(_place(t.place[p]) for p in places), number(t.left), number(t.right), Bold(number(t.product)) if t.product else "0"]
            for t in terms]
    return Table(title, columns, rows)


def _place(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def sum_table(found: Explanation) -> Table:
    """The sum, the kernel's number, and how far apart they are."""
    chosen = found.function == "max_pool2d" and found.of == "output"
    rows = [["the largest" if chosen else "sum of the products", number(found.total - (found.bias or 0))]]
    if found.bias is not None:
        rows += [["+ bias", number(found.bias)], ["total, in float64", f"{found.total:.10g}"]]
    what = "|products|" + (" of its tile (Winograd)" if found.tiled else "")
    rows += [[f"what the kernel gave ({found.backend}, {found.dtype})", f"{found.kernel:.10g}"],
             ["error", number(found.error)],
             [f"bound: gamma({found.roundings}) * sum of {what}", f"{found.bound:.3g}"],
             ["the kernel's number is", "within the bound" if found.within else "OUTSIDE THE BOUND"]]
    return Table("", [Column("the sum", left=True), Column("")], rows)
