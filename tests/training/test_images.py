"""The images of a run: statistics against NumPy's, folders of one's own, and a held-out fifth that stays the same."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minicnn.data import ArrayDataset
from minicnn.training import images
from minicnn.training.images import Statistics, load
from tests.compare import assert_close64, assert_equal
from tests.data.errors import says


def picture(path: Path, seed: int, mode: str = "L", size: tuple[int, int] = (9, 7)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size if mode == "L" else (*size, 3)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)).save(path)


def folder(root: Path, counts: dict[str, int], mode: str = "L") -> Path:
    for i, (name, count) in enumerate(counts.items()):
        for j in range(count):
            picture(root / name / f"{j}.png", 100 * i + j, mode)
    return root


@pytest.mark.parametrize("max_value", [255, 16])
def test_statistics_are_numpys(max_value: int) -> None:
    images = np.random.default_rng(0).integers(0, max_value + 1, (1203, 3, 4, 5)).astype(np.uint8)
    images[:, 2] = 7                                           # a channel of one colour
    got = Statistics.of(ArrayDataset(images, np.zeros(1203, int), ("a",), max_value))
    pixels = images / max_value
    assert_close64(np.array(got.mean), pixels.mean(axis=(0, 2, 3)))
    assert_close64(np.array(got.std), np.maximum(pixels.std(axis=(0, 2, 3)), 1 / 255))
    edges = [pixels[:, :, 0], pixels[:, :, -1], pixels[..., 0], pixels[..., -1]]
    assert_close64(np.array(got.background), np.array(np.mean([edge.mean() for edge in edges])))
    normalized = got.normalize()(pixels, np.random.default_rng(0))
    assert_close64(normalized.mean(axis=(0, 2, 3)), np.zeros(3))


def test_a_fifth_of_each_class_is_held_out_and_always_the_same(tmp_path: Path) -> None:
    root = folder(tmp_path / "birds", {"owl": 12, "kiwi": 5, "rare": 2})
    train, test = load(str(root), image_size=6)
    assert train.classes == test.classes == ("kiwi", "owl", "rare")
    assert np.bincount(test.labels, minlength=3).tolist() == [1, 2, 0]
    assert np.bincount(train.labels, minlength=3).tolist() == [4, 10, 2]
    assert train.images.shape == (16, 1, 6, 6)
    assert not {image.tobytes() for image in train.images} & {image.tobytes() for image in test.images}
    again = load(str(root), image_size=6)[1]
    assert_equal(test.images, again.images)


def test_one_coloured_picture_makes_all_of_them_colour(tmp_path: Path) -> None:
    root = folder(tmp_path, {"a": 5, "b": 5})
    picture(root / "b" / "x.png", 3, "RGB")
    assert load(str(root), image_size=8)[0].images.shape[1:] == (3, 8, 8)


@pytest.mark.parametrize("name", ["test", "val"])
def test_a_folder_may_be_split_already(tmp_path: Path, name: str) -> None:
    folder(tmp_path / "train", {"a": 3, "b": 2})
    folder(tmp_path / name, {"a": 1, "b": 1})
    train, test = load(str(tmp_path), image_size=8)
    assert (len(train), len(test), train.classes) == (5, 2, ("a", "b"))


def test_errors(tmp_path: Path) -> None:
    few = folder(tmp_path / "few", {"a": 4, "b": 4})
    with says(ValueError, f"{few}: no class has the 5 images that are needed to hold out one for the test"):
        load(str(few))

    single = folder(tmp_path / "single", {"cat": 9})
    folder(tmp_path / "split" / "train", {"cat": 2})
    folder(tmp_path / "split" / "test", {"cat": 2})
    for one in (single, tmp_path / "split"):
        with says(ValueError, f"{one}: there is one class only, cat: give each of at least two classes a sub-folder"):
            load(str(one))

    unequal = tmp_path / "unequal"
    folder(unequal / "train", {"a": 1, "b": 1})
    folder(unequal / "test", {"a": 1, "c": 1})
    with says(ValueError, f"{unequal}: train has the classes a, b, test a, c"):
        load(str(unequal))

    (few / "a" / "0.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=rf"^{few}/a/0\.png: cannot read this image \("):     # the reason is Pillow's
        load(str(few))


def test_more_pictures_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(tmp_path, {"a": 5, "b": 5})
    monkeypatch.setattr(images, "memory", lambda: 10 * 2**20)
    assert len(load(str(root), image_size=1000)[0]) == 8
    with says(ValueError, f"{root}: 10 images of 1x1050x1050 are 0.0 GiB, more than this machine's memory: give a smaller image_size"):
        load(str(root), image_size=1050)
