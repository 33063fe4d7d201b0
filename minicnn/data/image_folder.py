"""ImageFolder: your own pictures, one sub-folder a class."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minicnn.data.dataset import Dataset

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}


class ImageFolder(Dataset):
    """Images in root/<class>/**/*.png (or .jpg, ...): the sub-folders, sorted by name, are the classes; read when asked for.

    Item i is (image uint8 (C, H, W), label). size = S or (H, W) resizes every image; without it they keep their own sizes and
    must all have the same to be batched. mode: "RGB" (C = 3) or "L" (grey, C = 1).

    Raises ValueError when there is no folder, no class, or a class without images; later, when an image cannot be read.
    """

    def __init__(self, root: str | Path, size: int | Sequence[int] | None = None, mode: str = "RGB") -> None:
        self.root, self.size, self.mode = Path(root), size, mode
        _check_mode(mode)
        if not self.root.is_dir():
            raise ValueError(f"ImageFolder: {root} is not a folder")
        folders = sorted(path for path in self.root.iterdir() if path.is_dir() and not path.name.startswith("."))
        self.classes = tuple(folder.name for folder in folders)
        self.samples = [(path, label) for label, folder in enumerate(folders) for path in sorted(folder.rglob("*"))
                        if path.suffix.lower() in SUFFIXES and path.is_file()]
        if not folders:
            raise ValueError(f"ImageFolder: {root} has no sub-folders; put each class's images in a folder with the class's name")
        filled = {label for _, label in self.samples}
        empty = [name for label, name in enumerate(self.classes) if label not in filled]
        if empty:
            raise ValueError(f"ImageFolder: no images ({', '.join(sorted(SUFFIXES))}) in "
                             f"{', '.join(str(self.root / name) for name in empty)}")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        path, label = self.samples[index]
        return read_image(path, self.mode, self.size), label

    def __repr__(self) -> str:
        return (f"ImageFolder({self.root}: {len(self)} images, {self.mode}, "
                f"{len(self.classes)} classes: {', '.join(self.classes)})")


def read_image(path: str | Path, mode: str = "RGB", size: int | Sequence[int] | None = None) -> np.ndarray:
    """Read one picture as uint8 (C, H, W), turned as its EXIF tag says and, where transparent, laid on white.

    mode: "RGB" (C = 3) or "L" (C = 1); size: S or (H, W), bilinear with antialiasing, None keeps the picture's own.

    Raises ValueError that names the file when Pillow cannot read it or it has more pixels than Pillow's limit.
    """
    from PIL import Image, ImageOps  # only who reads pictures waits for Pillow

    _check_mode(mode)
    try:
        with Image.open(path) as picture:
            picture.load()
            image = ImageOps.exif_transpose(picture)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: cannot read this image ({getattr(error, 'strerror', None) or error})") from error
    if image.mode.startswith("I;16"):  # 16 bits a pixel, which convert("L") would clip at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert(mode)
    if size is not None:
        H, W = (size, size) if isinstance(size, int) else size
        image = image.resize((W, H), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[None].copy() if mode == "L" else np.ascontiguousarray(pixels.transpose(2, 0, 1))  # (H, W, C) -> (C, H, W)


def _check_mode(mode: str) -> None:
    if mode not in ("L", "RGB"):
        raise ValueError(f"image mode is {mode!r}, expected 'L' (grey) or 'RGB'")
