"""CIFAR-10, binary version: records of one label byte and 3,072 pixel bytes (red, green, blue; each 32 x 32, row by row).

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""
from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from minicnn.data.sources import CIFAR10_FILES

C, H, W = 3, 32, 32
RECORD = 1 + C * H * W  # 3073 bytes
RECORDS = 10_000        # in each file
CHUNK = 1 << 20


def read_cifar10(paths: dict[str, Path], records: int = RECORDS) -> tuple[np.ndarray, ...]:
    """(train images, train labels, test images, test labels), uint8 (N, 3, 32, 32) and (N,): N = 5*records, then N = records.

    paths: {"cifar-10-binary.tar.gz": archive}, read member by member and never unpacked, or {"data_batch_1.bin": path, ...}.

    Raises ValueError with the path, and the bytes expected and found, when a file is missing, cut or damaged.
    """
    size = records * RECORD
    files = _read_archive(next(iter(paths.values())), size) if len(paths) == 1 else _read_files(paths, size)
    tables = [files[name].reshape(-1, RECORD) for name in CIFAR10_FILES]
    images = np.concatenate([table[:, 1:] for table in tables]).reshape(-1, C, H, W)
    labels = np.concatenate([table[:, 0] for table in tables])
    return images[:-records], labels[:-records], images[-records:], labels[-records:]


def _read_files(paths: dict[str, Path], size: int) -> dict[str, np.ndarray]:
    for path in paths.values():
        _check_size(str(path), size, path.stat().st_size)
    return {name: np.fromfile(path, np.uint8) for name, path in paths.items()}


def _read_archive(path: Path, size: int) -> dict[str, np.ndarray]:
    files: dict[str, np.ndarray] = {}
    try:
        with gzip.open(path) as unzipped, tarfile.open(fileobj=unzipped, mode="r|") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name in CIFAR10_FILES and member.isfile() and (stream := archive.extractfile(member)):
                    _check_size(f"{path}, member {member.name}", size, member.size)
                    files[name] = np.frombuffer(stream.read(size), np.uint8)
            while unzipped.read(CHUNK):
                pass  # to the end, where gzip's checksum is
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: damaged archive ({error})") from error
    missing = [name for name in CIFAR10_FILES if name not in files]
    if missing:
        raise ValueError(f"{path}: the archive has no {', '.join(missing)}")
    return files


def _check_size(where: str, expected: int, found: int) -> None:
    if found != expected:
        raise ValueError(f"{where}: expected {expected // RECORD} records of {RECORD} bytes = {expected} bytes, found {found}")
