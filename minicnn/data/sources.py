"""The datasets that `load` knows: their files, where they are published, and what those files must be."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class File:
    """A published file: its size in bytes and its SHA-256."""
    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """One dataset. A file's address is mirror + file name.

    folders: where the files may lie inside a data folder; system: where an operating system's own package puts them;
    unpacked: names of files that do as well as `files`, for people who have unpacked an archive themselves.
    """
    name: str
    classes: tuple[str, ...]
    files: tuple[File, ...]
    mirrors: tuple[str, ...]
    folders: tuple[str, ...]
    unpacked: tuple[str, ...] = ()
    system: tuple[Path, ...] = ()


DIGITS = tuple("0123456789")
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_FILES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")

SOURCES = {source.name: source for source in (
    Source(
        "mnist", DIGITS,
        files=(
            File("train-images-idx3-ubyte.gz", 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            File("train-labels-idx1-ubyte.gz", 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            File("t10k-images-idx3-ubyte.gz", 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            File("t10k-labels-idx1-ubyte.gz", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
        mirrors=("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        folders=("mnist", "MNIST/raw", ""),
    ),
    Source(
        "fashion-mnist", FASHION,
        files=(
            File("train-images-idx3-ubyte.gz", 26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
            File("train-labels-idx1-ubyte.gz", 29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            File("t10k-images-idx3-ubyte.gz", 4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            File("t10k-labels-idx1-ubyte.gz", 5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        ),
        mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                 "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"),
        folders=("fashion-mnist", "FashionMNIST/raw", ""),
        system=(Path("/usr/share/datasets/fashion-mnist"),),  # Debian's package dataset-fashion-mnist
    ),
    Source(
        "cifar-10", CIFAR10,
        files=(File("cifar-10-binary.tar.gz", 170052171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),),
        mirrors=("https://www.cs.toronto.edu/~kriz/",
                 "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/",
                 "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/"),
        folders=("cifar-10", "cifar-10/cifar-10-batches-bin", "cifar-10-batches-bin", ""),
        unpacked=CIFAR10_FILES,
    ),
)}
NAMES = ("digits", *SOURCES)
