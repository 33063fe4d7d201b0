"""About: what to call a network, its classes and its images, and how to show the images. All of it can be left out."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

SHORT = 18                       # characters of a class's name above an image


@dataclass(frozen=True, eq=False)
class About:
    """network: its name. pixels: the images (N, C, H, W) in 0..1, as they were before they were normalised. labels: (N). classes: by label.
    names: of the images."""
    network: str = ""
    pixels: np.ndarray | None = None
    labels: Sequence[int] | np.ndarray | None = None
    classes: Sequence[str] = ()
    names: Sequence[str] = ()

    def named(self, model: Any) -> About:
        """With the class of the model as its name, if it has no other."""
        return self if self.network else replace(self, network=type(model).__name__)

    def image(self, i: int) -> str:
        return self.names[i] if i < len(self.names) else f"image {i}"

    def class_name(self, label: int) -> str:
        """Its name, or "class 3"."""
        if not 0 <= label < len(self.classes):
            return f"class {label}"
        name = " ".join(str(self.classes[label]).split())
        return name if len(name) <= SHORT else name[:SHORT - 1] + "…"

    def true(self, i: int) -> str | None:
        """The true class of an image."""
        return None if self.labels is None else self.class_name(int(self.labels[i]))

    def shown(self, x: np.ndarray) -> np.ndarray:
        """The images as pixels in 0..1: those that were given, or x with each image's smallest value black and its largest white."""
        if self.pixels is not None:
            return np.asarray(self.pixels)
        axes = tuple(range(1, x.ndim))
        low, high = x.min(axis=axes, keepdims=True), x.max(axis=axes, keepdims=True)
        return (x - low) / np.where(high > low, high - low, 1)
