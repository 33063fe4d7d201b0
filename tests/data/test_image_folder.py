"""Pictures from disk: every mode, every size, and every file that is not one."""
from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from minicnn.data import DataLoader, ImageFolder, read_image
from tests.compare import assert_equal
from tests.data.errors import says

RGB = np.random.default_rng(0).integers(0, 256, (6, 4, 3), np.uint8)      # (H, W, C)


def save(path, pixels=RGB, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def test_read_image(tmp_path):
    path = save(tmp_path / "a.png")
    assert_equal(read_image(path), RGB.transpose(2, 0, 1))
    assert_equal(read_image(path, "L"), np.asarray(Image.fromarray(RGB).convert("L"))[None])
    assert read_image(path, "L", size=8).shape == (1, 8, 8)
    assert read_image(path, "RGB", size=(2, 5)).shape == (3, 2, 5)
    assert_equal(read_image(path, size=(6, 4)), RGB.transpose(2, 0, 1))
    grey = save(tmp_path / "g.png", RGB[..., 0])
    assert_equal(read_image(grey, "RGB"), np.stack([RGB[..., 0]] * 3))


def test_resizing_averages(tmp_path):
    flat = save(tmp_path / "flat.png", np.full((64, 48), 77, np.uint8))
    assert_equal(read_image(flat, "L", size=8), np.full((1, 8, 8), 77, np.uint8))
    stripes = save(tmp_path / "stripes.png", np.tile(np.array([0, 254], np.uint8), (64, 32)))
    assert set(read_image(stripes, "L", size=(8, 8))[0, 2:-2, 2:-2].ravel()) <= {126, 127, 128}   # not 0 or 254: antialiased


def test_16_bits_keep_their_high_byte(tmp_path):
    deep = np.array([[0, 255, 256], [32768, 65535, 12345]], np.uint16)
    assert_equal(read_image(save(tmp_path / "deep.png", deep), "L"), (deep >> 8).astype(np.uint8)[None])


def test_transparent_is_white(tmp_path):
    pixels = np.dstack([RGB, np.full((6, 4), 255, np.uint8)])
    pixels[0, 0, 3] = 0
    expected = RGB.transpose(2, 0, 1).copy()
    expected[:, 0, 0] = 255
    assert_equal(read_image(save(tmp_path / "t.png", pixels)), expected)


def test_exif_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6      # turn a quarter, clockwise
    assert_equal(read_image(save(tmp_path / "turned.png", exif=exif)), np.rot90(RGB, -1).transpose(2, 0, 1))


def fill(root):
    for name, value in (("dog/b.png", 3), ("dog/a.PNG", 2), ("cat/deep/x.bmp", 1)):
        save(root / name, np.full((6, 4, 3), value, np.uint8))
    (root / "dog" / "notes.txt").write_text("no image")
    (root / ".hidden").mkdir()
    (root / "README").write_text("no class")
    return root


def test_image_folder(tmp_path):
    dataset = ImageFolder(fill(tmp_path), mode="L")
    assert dataset.classes == ("cat", "dog")
    assert [(path.relative_to(tmp_path).as_posix(), label) for path, label in dataset.samples] == [
        ("cat/deep/x.bmp", 0), ("dog/a.PNG", 1), ("dog/b.png", 1)]
    assert repr(dataset) == f"ImageFolder({tmp_path}: 3 images, L, 2 classes: cat, dog)"
    image, label = dataset[2]
    assert_equal(image, np.full((1, 6, 4), 3, np.uint8))
    assert label == 1
    (images, labels), = DataLoader(dataset, batch_size=3)
    assert_equal(images.array, np.stack([np.full((1, 6, 4), value, np.float32) / np.float32(255) for value in (1, 2, 3)]))
    assert_equal(labels.array, np.array([0, 1, 1]))


def test_different_sizes_need_a_size(tmp_path):
    save(fill(tmp_path) / "dog/c.png", RGB[:5])
    with says(ValueError, "a batch needs images of one size: item 0 is (3, 6, 4), item 3 is (3, 5, 4); "
                          "resize them first (ImageFolder: size=(H, W))"):
        next(iter(DataLoader(ImageFolder(tmp_path), batch_size=4)))
    (images, _), = DataLoader(ImageFolder(tmp_path, size=(3, 2)), batch_size=4)
    assert images.shape == (4, 3, 3, 2)


def test_unreadable_images_are_named(tmp_path):
    good = save(tmp_path / "good.png").read_bytes()
    damaged = {"empty.png": b"", "text.png": b"hello", "cut.png": good[:60], "flipped.png": good[:50] + b"\xff" + good[51:]}
    for name, data in damaged.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=rf"^{tmp_path / name}: cannot read this image \(.+\)$"):
            read_image(tmp_path / name)
    none = tmp_path / "none.png"
    with says(ValueError, f"{none}: cannot read this image (No such file or directory)"):
        read_image(none)


def test_decompression_bomb(tmp_path, monkeypatch):
    path = save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 11)
    with pytest.raises(ValueError, match=rf"^{path}: cannot read this image \(Image size \(24 pixels\) exceeds"):
        read_image(path)


def test_refuses(tmp_path):
    with says(ValueError, f"ImageFolder: {tmp_path}/none is not a folder"):
        ImageFolder(tmp_path / "none")
    with says(ValueError, f"ImageFolder: {tmp_path} has no sub-folders; "
                          "put each class's images in a folder with the class's name"):
        ImageFolder(tmp_path)
    fill(tmp_path)
    (tmp_path / "newt").mkdir()
    with says(ValueError, "ImageFolder: no images (.bmp, .gif, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff, .webp) in "
                          f"{tmp_path}/newt"):
        ImageFolder(tmp_path)
    with says(ValueError, "image mode is 'CMYK', expected 'L' (grey) or 'RGB'"):
        ImageFolder(tmp_path, mode="CMYK")
