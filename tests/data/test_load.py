"""`load`: where files are looked for, in which order, and what is said when they are damaged or missing."""
from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from minicnn.data import DatasetNotFound, cifar, load, sources
from minicnn.data.idx import to_idx
from tests.compare import assert_equal
from tests.data import server as web
from tests.data.errors import says

NAMES = [file.name for file in sources.SOURCES["mnist"].files]
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch, tmp_path):
    """No cache, no data folder, no proxy, no mirror but 127.0.0.1:1, where nothing listens."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MINICNN_MIRROR", "http://127.0.0.1:1/")
    monkeypatch.setenv("no_proxy", "*")
    for name in ("MINICNN_DATA", "MINICNN_CACHE"):
        monkeypatch.delenv(name, raising=False)


def mnist_files(mark=0):
    """Two training images and one test image; `mark` is in every pixel, so that a test sees which files were read."""
    images, labels = np.full((2, 5, 4), mark, np.uint8), np.array([3, 9], np.uint8)
    return dict(zip(NAMES, map(to_idx, (images, labels, images[:1], labels[:1])), strict=True))


def put(folder, files, zipped=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / (name if zipped else name.removesuffix(".gz"))).write_bytes(gzip.compress(data) if zipped else data)


def mark_of(datasets):
    train, test = datasets
    assert (train.images.shape, test.images.shape, train.labels.tolist()) == ((2, 1, 5, 4), (1, 1, 5, 4), [3, 9])
    return int(train.images[0, 0, 0, 0])


@pytest.mark.parametrize("folder", ["mnist", "MNIST/raw", ""])
@pytest.mark.parametrize("zipped", [True, False])
def test_folders_inside_root(folder, zipped, tmp_path):
    put(tmp_path / folder, mnist_files(5), zipped)
    assert mark_of(load("mnist", root=tmp_path)) == 5


def test_search_order(tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path / "env"))
    for mark, folder in enumerate(["cache/minicnn/mnist", "env", "env/mnist", "root"]):
        put(tmp_path / folder, mnist_files(mark))
        assert mark_of(load("mnist", root=tmp_path / "root")) == mark     # each comes before those written so far
    assert mark_of(load("mnist")) == 2


def test_an_incomplete_folder_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path / "env"))
    put(tmp_path / "env", mnist_files(1))
    put(tmp_path / "root", {NAMES[0]: mnist_files(2)[NAMES[0]]})
    assert mark_of(load("mnist", root=tmp_path / "root")) == 1


def test_download_then_found(tmp_path, monkeypatch):
    files = {name: gzip.compress(data) for name, data in mnist_files(7).items()}
    published = tuple(sources.File(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items())
    monkeypatch.setitem(sources.SOURCES, "mnist", dataclasses.replace(sources.SOURCES["mnist"], files=published))
    with web.serve({f"/mnist/{name}": data for name, data in files.items()}) as server:
        monkeypatch.setenv("MINICNN_MIRROR", server.url)
        for _ in range(2):
            assert mark_of(load("mnist")) == 7
    assert len(server.requests) == 4
    assert sorted(path.name for path in (tmp_path / "cache/minicnn/mnist").iterdir()) == sorted(NAMES)


def test_not_found(tmp_path):
    missing = ("train-images-idx3-ubyte.gz (9,912,422 bytes), train-labels-idx1-ubyte.gz (28,881 bytes), "
               "t10k-images-idx3-ubyte.gz (1,648,877 bytes), t10k-labels-idx1-ubyte.gz (4,542 bytes)")
    with says(DatasetNotFound, f"dataset mnist: files are missing and downloading is switched off: put {missing} in "
                               f"{tmp_path}/cache/minicnn/mnist, or name the folder that has them with --data"):
        load("mnist", download=False)
    assert not (tmp_path / "cache").exists()
    with pytest.raises(DatasetNotFound, match=rf"^dataset mnist: .* no mirror gave them .* in {tmp_path}/root/mnist, "):
        load("mnist", root=tmp_path / "root")


def test_no_home(tmp_path, monkeypatch):
    """No HOME, and a user that the system does not know: what is named is still found, and a download asks for a name."""
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", unknown)
    with says(ValueError, "dataset mnist: there is no home folder to keep it in: name a folder with --data or MINICNN_DATA"):
        load("mnist")
    put(tmp_path, mnist_files(5))
    assert mark_of(load("mnist", root=tmp_path)) == 5


def test_a_file_is_no_data_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    with says(NotADirectoryError, f"{tmp_path}/file is a file: name the folder that holds the datasets"):
        load("mnist", root=tmp_path / "file")


def test_unknown_name():
    with says(ValueError, "unknown dataset 'imagenet'; known: digits, mnist, fashion-mnist, cifar-10"):
        load("imagenet")


@pytest.mark.parametrize(("name", "array", "message"), [
    (NAMES[1], np.array([3, 10], np.uint8),
     "mnist in {root}: ArrayDataset: label 10 at index 1 is out of range: 10 classes, so labels are 0..9"),
    (NAMES[1], np.array([3], np.uint8),
     "mnist in {root}: ArrayDataset: 2 images (shape (2, 1, 5, 4)) need 2 labels, but labels have shape (1,)"),
    (NAMES[0], np.array([3, 9], np.uint8), "{root}/train-images-idx3-ubyte.gz: expected 3 axes, found 1: shape (2,)"),
    (NAMES[2], np.zeros((1, 4, 5), np.uint8),
     "mnist in {root}: training images (N, H, W) are (2, 5, 4), test images (1, 4, 5): H or W differ"),
    (NAMES[0], np.zeros((2, 5, 4), np.float32), "mnist in {root}: ArrayDataset: images are float32, expected uint8 in 0..255"),
])
def test_files_that_do_not_belong_together(name, array, message, tmp_path):
    put(tmp_path, mnist_files() | {name: to_idx(array)})
    with says(ValueError, message.format(root=tmp_path)):
        load("mnist", root=tmp_path)


def test_debians_fashion_mnist():
    if not DEBIAN.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    train, test = load("fashion-mnist", download=False)
    assert repr(train) == ("ArrayDataset(60000 images of 1 x 28 x 28, uint8 in 0..255, 10 classes: T-shirt/top, Trouser, "
                           "Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot)")
    assert_equal(np.bincount(train.labels), np.full(10, 6000))
    assert_equal(np.bincount(test.labels), np.full(10, 1000))
    assert train.classes[train.labels[0]] == "Ankle boot"
    assert f"{train.images.mean() / 255:.4f}" == "0.2860"      # as published for this dataset


RECORDS = 4


def cifar_files():
    rng = np.random.default_rng(0)
    tables = rng.integers(0, 10, (6, RECORDS, cifar.RECORD), np.uint8)
    return tables, {name: table.tobytes() for name, table in zip(sources.CIFAR10_FILES, tables, strict=True)}


def tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize("form", ["archive", "cifar-10-batches-bin"])
def test_cifar10(form, tmp_path, monkeypatch):
    tables, files = cifar_files()
    monkeypatch.setattr(cifar.read_cifar10, "__defaults__", (RECORDS,))     # four records a file instead of 10,000
    if form == "archive":
        tar(tmp_path / "cifar-10-binary.tar.gz", [(f"cifar-10-batches-bin/{name}", files[name]) for name in reversed(files)]
            + [("cifar-10-batches-bin/readme.html", b"hello")])
    else:
        (tmp_path / form).mkdir()
        for name, data in files.items():
            (tmp_path / form / name).write_bytes(data)
    train, test = load("cifar-10", root=tmp_path)
    assert_equal(train.labels, tables[:5, :, 0].reshape(-1).astype(np.int64))
    assert_equal(test.labels, tables[5, :, 0].astype(np.int64))
    for n, dataset, table in ((0, train, tables[0]), (3, test, tables[5])):
        red, green, blue = table[n, 1:].reshape(3, 32 * 32)
        assert_equal(dataset.images[n], np.stack([plane.reshape(32, 32) for plane in (red, green, blue)]))
    assert train.classes[0] == "airplane"


def test_cifar10_archive_is_never_unpacked(tmp_path):
    """Members that would land outside are read by their last name only, other names are ignored."""
    _, files = cifar_files()
    path = tar(tmp_path / "cifar-10-binary.tar.gz",
               [("../../evil.bin", b"x"), *((f"/somewhere/../{name}", data) for name, data in files.items())])
    assert len(cifar.read_cifar10({path.name: path}, RECORDS)[0]) == 5 * RECORDS
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_cifar10_links_are_not_followed(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    missing = ", ".join(sources.CIFAR10_FILES)
    with says(ValueError, f"{path}: the archive has no {missing}"):
        cifar.read_cifar10({path.name: path}, RECORDS)


def test_cifar10_damage(tmp_path):
    _, files = cifar_files()
    path = tmp_path / "cifar-10-binary.tar.gz"
    expected = RECORDS * cifar.RECORD
    size = f"expected 4 records of 3073 bytes = {expected} bytes, found {expected - 5}"
    cut = files | {"data_batch_3.bin": files["data_batch_3.bin"][:-5]}
    with says(ValueError, f"{tar(path, cut.items())}, member data_batch_3.bin: {size}"):
        cifar.read_cifar10({path.name: path}, RECORDS)
    with says(ValueError, f"{tar(path, list(files.items())[:-2])}: the archive has no data_batch_5.bin, test_batch.bin"):
        cifar.read_cifar10({path.name: path}, RECORDS)
    whole = tar(path, files.items()).read_bytes()
    flipped = whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]
    for damaged in (b"", b"no archive", whole[:-4], whole[:len(whole) // 2], flipped):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"^{path}: damaged archive \("):
            cifar.read_cifar10({path.name: path}, RECORDS)
    for name, data in cut.items():
        (tmp_path / name).write_bytes(data)
    with says(ValueError, f"{tmp_path}/data_batch_3.bin: {size}"):
        cifar.read_cifar10({name: tmp_path / name for name in files}, RECORDS)


def test_import_is_cheap():
    heavy = {"PIL", "urllib.request", "http.client"}
    code = f"import sys, minicnn.data; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
