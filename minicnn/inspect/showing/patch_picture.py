"""The picture of the strongest patches."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minicnn.inspect.showing import drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from minicnn.inspect.showing.patches import MaximalPatches, Patch

ROWS = 8


def draw(found: MaximalPatches) -> Figure:
    """A row a channel: its strongest patches, with the activation above each."""
    channels = found.strongest[:ROWS]
    shown = [p for c in channels for p in found.patches[c]]
    pixels = found.about.shown(found.x)
    tiles = [_on_canvas(p, pixels) for p in shown]
    beyond = any(tile.shape[:2] != p.box.size for p, tile in zip(shown, tiles, strict=True))
    columns = len(found.patches[channels[0]])
    H, W = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    title = f"{found.about.network}, {found.layer}: the parts of {len(found.x):,} images that activate a channel most"
    tall = 0.95 * len(channels) * max(0.6, min(1.5, H / W))
    figure = drawing.new(max(7.5, 0.78 * columns + 1.2), max(2.6, tall + 1.0), title)
    axes = figure.add_subplot()
    drawing.mosaic(axes, [_padded(tile, H, W) for tile in tiles], columns, [f"{p.activation:.3g}" for p in shown], size=7)
    height = H + max(1, round(H * 0.38))
    for i, c in enumerate(channels):
        axes.text(-0.12 * W - 0.5, (i + 1) * height - H / 2 - 0.5, f"channel {c}", fontsize=8, ha="right", va="center")
    drawing.note(figure, "; ".join(filter(None, [
        _field(shown[0], found.x.shape[2:]), "the number is the activation", "blue: beyond the border of the image" if beyond else "",
        drawing.left_out(len(channels), len(found.patches), "channels", "those with the largest activations")])))
    return figure


def _on_canvas(p: Patch, pixels: np.ndarray) -> np.ndarray:
    """The patch as (h, w, 3), with what lies beyond the image's border in light blue."""
    tile = drawing.displayable(p.cut(pixels))
    tile = np.repeat(tile[..., None], 3, axis=2) if tile.ndim == 2 else tile
    if p.full is None or p.full.size[0] > pixels.shape[2] or p.full.size[1] > pixels.shape[3]:
        return tile                                            # of a field larger than the image the margins would be most of it
    canvas = np.broadcast_to(np.array([0.72, 0.84, 0.94]), (*p.full.size, 3)).copy()
    top, left = p.box.top - p.full.top, p.box.left - p.full.left
    canvas[top:top + tile.shape[0], left:left + tile.shape[1]] = tile
    return canvas


def _padded(tile: np.ndarray, H: int, W: int) -> np.ndarray:
    """Units of one layer may see parts of different size: white below and to the right."""
    h, w = tile.shape[:2]
    return np.pad(tile, ((0, H - h), (0, W - w), (0, 0)), constant_values=1)


def _field(p: Patch, image: tuple[int, ...]) -> str:
    """How much a unit sees, in words."""
    H, W = p.full.size if p.full else p.box.size
    return f"a unit sees {H} x {W} pixels{', more than the image has' if image[0] < H and image[1] < W else ''}"
