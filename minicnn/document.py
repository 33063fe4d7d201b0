"""Tables and paragraphs that are written once and come out as Markdown, as HTML, or on a terminal."""
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape as escape_html
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

SPECIAL = re.compile(r"[\\`*<&|\[\]~]|\b_+|_+\b")    # what Markdown would take for its own; channels_last is safe as it is
GAP = 2              # spaces between columns on a terminal
COLOURS = {"FASTER": "green", "SLOWER": "red"}


class Bold(str):
    """A cell that stands out."""

    __slots__ = ()


@dataclass(frozen=True)
class Column:
    """left: words, aligned left (numbers are aligned right). aside: where the table is too wide for the terminal, this column's cells
    stand in lines below it."""
    head: str
    left: bool = False
    aside: bool = False


@dataclass
class Table:
    """The first cell of a row is its name. A row of one cell is a heading over those that follow. notes: lines below the table."""
    title: str
    columns: list[Column]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)


Block = Table | str | list[str]          # a paragraph; lines, each of which stands for itself


def markdown(blocks: Sequence[Block]) -> str:
    """Blank lines between the blocks, and one newline at the end."""
    return "\n\n".join(map(_markdown_block, blocks)) + "\n"


def _markdown_block(block: Block) -> str:
    if isinstance(block, Table):
        return _markdown_table(block)
    return escape(block) if isinstance(block, str) else "\n".join(f"- {escape(line)}" for line in block)


def escape(text: str) -> str:
    """The text as Markdown that shows it literally, on one line.

    >>> print(escape("a | b < c * d"))
    a \\| b \\< c \\* d
    """
    return SPECIAL.sub(lambda match: "".join(f"\\{character}" for character in match[0]), " ".join(text.split()))


def _markdown_table(table: Table) -> str:
    lines = [f"**{escape(table.title)}**", ""] if table.title else []
    lines += [_markdown_row([column.head for column in table.columns])]
    lines += [f"| {' | '.join('---' if column.left else '---:' for column in table.columns)} |"]
    for row in table.rows:
        heading = len(row) == 1 < len(table.columns)
        lines.append(_markdown_row([Bold(row[0]), *[""] * (len(table.columns) - 1)] if heading else row))
    for note in table.notes:
        lines += ["", escape(note)]
    return "\n".join(lines)


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(f'**{escape(cell)}**' if isinstance(cell, Bold) else escape(cell) for cell in cells)} |"


def html(blocks: Sequence[Block]) -> str:
    """As HTML, for a notebook: all text escaped, numbers to the right."""
    return "\n".join(map(_html_block, blocks))


def _html_block(block: Block) -> str:
    if isinstance(block, Table):
        return _html_table(block)
    if isinstance(block, str):
        return f"<p>{escape_html(block)}</p>"
    return f"<ul>{''.join(f'<li>{escape_html(line)}</li>' for line in block)}</ul>"


def _html_table(table: Table) -> str:
    align = [f"text-align:{'left' if column.left else 'right'}" for column in table.columns]
    lines = ["<table>", *([f"<caption>{escape_html(table.title)}</caption>"] if table.title else [])]
    heads = [f'<th style="{a}">{escape_html(column.head)}</th>' for a, column in zip(align, table.columns, strict=True)]
    lines.append(f"<tr>{''.join(heads)}</tr>")
    for row in table.rows:
        if len(row) == 1 < len(table.columns):
            lines.append(f'<tr><td colspan="{len(table.columns)}" style="text-align:left"><b>{escape_html(row[0])}</b></td></tr>')
            continue
        cells = [f"<b>{escape_html(cell)}</b>" if isinstance(cell, Bold) else escape_html(cell) for cell in row]
        filled = [f'<td style="{a}">{cell}</td>' for a, cell in zip(align, cells, strict=False)]
        lines.append(f"<tr>{''.join(filled)}</tr>")
    return "\n".join([*lines, "</table>", *(f"<p>{escape_html(note)}</p>" for note in table.notes)])


def show(blocks: Sequence[Block], console: Console) -> None:
    """Print them. A console that is no terminal, such as a file, is given no edge to wrap at."""
    from rich.text import Text

    if not console.is_terminal:
        console.width = 10_000
    for i, block in enumerate(blocks):
        if i:
            console.print()
        if isinstance(block, Table):
            _show_table(block, console)
        else:
            console.print(Text(block if isinstance(block, str) else "\n".join(block)))


def _show_table(table: Table, console: Console) -> None:
    from rich.text import Text

    table, below = fitted(table, console.width)
    if table.title:
        console.print(Text(table.title, style="bold"))
    console.print(_rich_table(table))
    for line in (*below, *table.notes):
        console.print(Text(f"  {line}"))


def fitted(table: Table, width: int) -> tuple[Table, list[str]]:
    """The table; where it is wider than `width`, with a word a line in its head and without its aside columns, and what those said in
    lines of `names: text`, or `head: text` where all rows say the same."""
    if _width(table) <= width:
        return table, []
    below: list[str] = []
    for i, column in enumerate(table.columns):
        said: dict[str, list[str]] = {}
        for row in table.rows:
            if column.aside and row[i:]:
                said.setdefault(row[i], []).append(row[0])
        below += [f"{column.head if len(said) == 1 else ', '.join(names)}: {text}" for text, names in said.items() if text]
    kept = [i for i, column in enumerate(table.columns) if not column.aside]
    columns = [_narrow(table.columns[i], [row[i] for row in table.rows if i < len(row)]) for i in kept]
    rows = [[row[i] for i in kept if i < len(row)] for row in table.rows]
    return Table(table.title, columns, rows, table.notes), below


def _width(table: Table) -> int:
    """In characters, on a terminal that is wide enough."""
    columns = zip_longest([column.head for column in table.columns], *table.rows, fillvalue="")
    return sum(max(map(len, column)) for column in columns) + GAP * (len(table.columns) - 1)


def _narrow(column: Column, cells: list[str]) -> Column:
    """The column, its head broken into lines if that makes it narrower."""
    broken = column.head.replace(" ", "\n").replace("×\n", "× ")
    return replace(column, head=broken) if len(column.head) > max(map(len, cells), default=0) else column


def _rich_table(table: Table) -> RichTable:
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for column in table.columns:
        shown.add_column(Text(column.head), justify="left" if column.left else "right", vertical="bottom")
    for row in table.rows:
        heading = len(row) == 1 < len(table.columns)
        shown.add_row(*(Text(cell, style="bold" if heading or isinstance(cell, Bold) else COLOURS.get(cell, "")) for cell in row))
    return shown
