"""IDX, the format of MNIST: a header that says what follows, then the numbers.

    byte 0-1    0, 0
    byte 2      what a number is: 8 = uint8, 9 = int8, 11 = int16, 12 = int32, 13 = float32, 14 = float64
    byte 3      D, how many axes
    4 bytes D times   the size of each axis, big-endian
    the rest    the numbers, row-major, big-endian

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
"""
from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_AXES = 4
CHUNK = 1 << 20


def read_idx(path: str | Path, axes: int | None = None) -> np.ndarray:
    """Read an IDX file, plain or gzip (told apart by its first bytes, not by its name), as an array in native byte order.

    Nothing is allocated on the header's word: the bytes are read chunk by chunk, and only as many are kept as the header
    announces, so a header that lies costs no memory.

    Raises ValueError with the path and the bytes expected and found when the file is not IDX, too short or too long, or when it
    does not have as many `axes` as asked for.
    """
    try:
        with open_maybe_gzip(path) as file:
            dtype, shape = _read_header(path, file)
            if axes not in (None, len(shape)):
                raise ValueError(f"{path}: expected {axes} axes, found {len(shape)}: shape {shape}")
            data, found = _read_body(file, expected := math.prod(shape) * dtype.itemsize)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: damaged gzip file ({error})") from error
    if found != expected:
        raise ValueError(f"{path}: the header announces {' x '.join(map(str, shape))} {dtype.name} = {expected} bytes, "
                         f"found {found}: the file is {'truncated' if found < expected else 'too long'}")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def to_idx(array: np.ndarray) -> bytes:
    """The bytes of an IDX file that holds `array`: the inverse of read_idx.

    >>> to_idx(np.array([[1, 2], [3, 4]], dtype=np.uint8)).hex(" ", 4)
    '00000802 00000002 00000002 01020304'
    """
    big_endian = array.dtype.newbyteorder(">")
    codes = {np.dtype(name): code for code, name in DTYPES.items()}
    if big_endian not in codes:
        raise TypeError(f"to_idx: an IDX file cannot hold {array.dtype}; it can hold {', '.join(d.name for d in codes)}")
    if not 1 <= array.ndim <= MAX_AXES or 0 in array.shape:
        raise ValueError(f"to_idx: shape {array.shape} must have 1 to {MAX_AXES} axes, none of them empty")
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, codes[big_endian], array.ndim, *array.shape)
    return header + array.astype(big_endian).tobytes()


def open_maybe_gzip(path: str | Path) -> IO[bytes]:
    with open(path, "rb") as file:
        magic = file.read(2)
    return gzip.open(path, "rb") if magic == b"\x1f\x8b" else open(path, "rb")  # type: ignore[return-value]  # GzipFile reads bytes


def _read_header(path: str | Path, file: IO[bytes]) -> tuple[np.dtype, tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in DTYPES or not 1 <= magic[3] <= MAX_AXES:
        raise ValueError(f"{path}: not an IDX file: it starts with the bytes {magic.hex(' ') or '(none)'}, expected 00 00, "
                         f"a type ({', '.join(f'{code:02x}' for code in DTYPES)}) and 01 to {MAX_AXES:02x} axes")
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise ValueError(f"{path}: the header of {magic[3]} axes takes {4 + 4 * magic[3]} bytes, found {4 + len(sizes)}: "
                         "the file is truncated")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    if 0 in shape:
        raise ValueError(f"{path}: axis {shape.index(0)} of {shape} is empty")
    return np.dtype(DTYPES[magic[2]]), shape


def _read_body(file: IO[bytes], expected: int) -> tuple[bytearray, int]:
    """At most `expected` bytes, and how many there are in all."""
    data, found = bytearray(), 0
    while chunk := file.read(CHUNK):
        data += chunk[:max(0, expected - found)]
        found += len(chunk)
    return data, found
