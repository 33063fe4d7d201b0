"""What all pictures have in common: a figure that needs no screen, and files that are whole, and the same for the same figure."""
from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from minicnn.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
DPI = 150
# Okabe and Ito's colours, which colour-blind people can tell apart (jfly.uni-koeln.de/color)
ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PURPLE, BLACK, GREY = (
    "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#000000", "#999999")


def new(width: float, height: float, title: str = "") -> Figure:
    """An empty figure of that many inches. Raises ImportError, which says what to install, without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # draws into memory: needs no screen, leaves pyplot's settings alone
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f"pictures need matplotlib ({error}): pip install 'minicnn[plots]'") from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def save(figure: Figure, path: str | Path, dpi: int = DPI, source: str = "") -> Path:
    """Write a figure as PNG, SVG or PDF, by the path's suffix; all of it or nothing. source: text for the file's metadata.

    Raises ValueError for another suffix, OSError where it cannot be written.
    """
    from matplotlib import rc_context

    path = Path(path)
    check_format(path)
    file = io.BytesIO()
    metadata: dict[str, str | None] = {"Source": source} if source else {}
    if path.suffix == ".svg":
        metadata["Date"] = None                                # so that the same figure makes the same file
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "minicnn"}):
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")      # a class named in letters that matplotlib's font lacks
        figure.savefig(file, format=path.suffix[1:], dpi=dpi, metadata=metadata)
    write_whole(path, file.getvalue())
    return path


def check_format(path: str | Path) -> None:
    """Raise ValueError when a picture cannot be saved under this name: before the work, not after it."""
    if Path(path).suffix not in FORMATS:
        raise ValueError(f"cannot draw {path}: the name of a picture must end in {', '.join(FORMATS)}")
