"""What the functions of this package return: print it, show it in a notebook, take it as JSON, save it as a picture."""
from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minicnn import document, figures
from minicnn.document import Block

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

WIDTH = 140          # characters, where text goes to no terminal


class Result:
    """Sub-classes say what they consist of: `blocks` of text and tables, `as_dict` of plain values, and a `figure` where it makes sense."""

    def blocks(self) -> list[Block]:
        """Paragraphs and tables."""
        raise NotImplementedError

    def as_dict(self) -> dict[str, Any]:
        """Everything in dicts, lists, texts, numbers and None."""
        raise NotImplementedError

    def figure(self) -> Figure:
        """The same as a matplotlib figure. Raises ImportError without matplotlib, ValueError where there is nothing to draw."""
        raise ValueError(f"there is no picture of a {type(self).__name__}")

    def show(self, console: Console) -> None:
        """Print it on a rich console."""
        document.show(self.blocks(), console)

    def to_json(self, indent: int | None = 2) -> str:
        """As JSON (RFC 8259), so NaN and infinities, which it does not have, are texts."""
        return json.dumps(_plain(self.as_dict()), indent=indent, allow_nan=False)

    def save(self, path: str | Path) -> Path:
        """Draw it into a .png, .svg or .pdf file."""
        figures.check_format(path)
        return figures.save(self.figure(), path)

    def __str__(self) -> str:
        from rich.console import Console

        file = io.StringIO()
        self.show(Console(file=file, width=WIDTH, highlight=False, markup=False, soft_wrap=True))
        return "\n".join(line.rstrip() for line in file.getvalue().splitlines())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return document.html(self.blocks())


def _plain(value: Any) -> Any:
    """The value as JSON takes it: NumPy's numbers and arrays as Python's, what is no number as a text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value - value != 0:        # NaN, inf and -inf
        return str(value)
    return value
