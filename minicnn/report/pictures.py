"""Small pictures as data: URIs, so that the page needs no other file."""
from __future__ import annotations

import base64
import io

import numpy as np

from minicnn.report.markup import Html, element

# Blue for what is below 0, white for 0, red for what is above: colour-blind people can tell them apart.
BELOW, ZERO, ABOVE = np.array([33, 102, 172]), np.array([247, 247, 247]), np.array([178, 24, 43])
SCALE = [np.array(colour) for colour in ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))]     # viridis


def picture(pixels: np.ndarray, alt: str, **attributes: str | float) -> Html:
    """An <img> of uint8 pixels (H, W) or (H, W, 3)."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", optimize=True)
    uri = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    H, W = pixels.shape[:2]
    return element("img", src=uri, alt=alt, width=W, height=H, **attributes)


def image(pixels: np.ndarray, max_value: int) -> np.ndarray:
    """An image (C, H, W) in 0..max_value as pixels (H, W), or (H, W, 3)."""
    scaled = np.rint(pixels.transpose(1, 2, 0).astype(np.float32) * np.float32(255 / max_value)).clip(0, 255).astype(np.uint8)
    return scaled[..., 0] if scaled.shape[2] != 3 else scaled


def signed(values: np.ndarray, most: float) -> np.ndarray:
    """Numbers (H, W) in -most..most as blue, white and red (H, W, 3)."""
    share = np.clip(np.nan_to_num(values / most) if most else np.zeros(values.shape), -1, 1)[..., None]
    colours = np.where(share < 0, ZERO + (BELOW - ZERO) * -share, ZERO + (ABOVE - ZERO) * share)
    return np.rint(colours).astype(np.uint8)


def coloured(weights: np.ndarray, most: float) -> np.ndarray:
    """Weights (3, H, W) of red, green and blue: grey is 0, full colour ±most."""
    share = np.clip(np.nan_to_num(weights.transpose(1, 2, 0) / most) if most else np.zeros(weights.transpose(1, 2, 0).shape), -1, 1)
    return np.rint(127.5 + 127.5 * share).astype(np.uint8)


def heat(values: np.ndarray) -> np.ndarray:
    """Shares (H, W) in 0..1, from dark to bright (H, W, 3)."""
    place = np.clip(values, 0, 1)[..., None] * (len(SCALE) - 1)
    return np.rint(sum(np.clip(1 - np.abs(place - i), 0, 1) * colour for i, colour in enumerate(SCALE))).astype(np.uint8)
