"""IDX files: round trips, and every way a file can be damaged."""
from __future__ import annotations

import gzip
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minicnn.data.idx import CHUNK, read_idx, to_idx
from tests.compare import assert_equal
from tests.data.errors import says

IMAGES = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
PLAIN, ZIPPED = to_idx(IMAGES), gzip.compress(to_idx(IMAGES), mtime=0)
HEADER = 4 + 3 * 4


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("idx") / "images"


def read(path, data, **kwargs):
    path.write_bytes(data)
    return read_idx(path, **kwargs)


@given(hnp.arrays(st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]), hnp.array_shapes(max_dims=4, max_side=6)), st.booleans())
def test_round_trip(path, array, zipped):
    data = to_idx(array)
    assert_equal(read(path, gzip.compress(data) if zipped else data), array)


@given(st.integers(0, len(PLAIN) - 1))
def test_truncated(path, length):
    with pytest.raises(ValueError, match=f"^{path}: "):
        read(path, PLAIN[:length])


@given(st.integers(0, len(ZIPPED) - 1))
def test_truncated_gzip(path, length):
    with pytest.raises(ValueError, match=f"^{path}: "):
        read(path, ZIPPED[:length])


@given(st.integers(0, HEADER - 1), st.integers(1, 255))
def test_damaged_header(path, place, flips):
    damaged = bytearray(PLAIN)
    damaged[place] ^= flips
    _an_array_or_a_value_error(path, bytes(damaged), len(PLAIN))


@given(st.integers(0, len(ZIPPED) - 1), st.integers(1, 255))
def test_damaged_gzip(path, place, flips):
    damaged = bytearray(ZIPPED)
    damaged[place] ^= flips
    _an_array_or_a_value_error(path, bytes(damaged), len(PLAIN))


def _an_array_or_a_value_error(path, data, size):
    """A flipped bit may leave a valid file (uint8 read as int8), but it must not end in another error or cost memory."""
    path.write_bytes(data)
    message = None
    tracemalloc.start()
    try:
        assert read_idx(path).nbytes == IMAGES.nbytes
    except ValueError as error:
        message = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert message is None or message.startswith(f"{path}: ")
    assert peak < size + 2 * CHUNK


@pytest.mark.parametrize(("data", "message"), [
    (b"", "not an IDX file: it starts with the bytes (none), expected 00 00, a type (08, 09, 0b, 0c, 0d, 0e) and 01 to 04 axes"),
    (b"\x89PNG\r\n", "not an IDX file: it starts with the bytes 89 50 4e 47, expected 00 00, a type (08, 09, 0b, 0c, 0d, 0e) "
                     "and 01 to 04 axes"),
    (PLAIN[:9], "the header of 3 axes takes 16 bytes, found 9: the file is truncated"),
    (PLAIN[:-1], "the header announces 3 x 4 x 5 uint8 = 60 bytes, found 59: the file is truncated"),
    (PLAIN + b"..", "the header announces 3 x 4 x 5 uint8 = 60 bytes, found 62: the file is too long"),
    (PLAIN[:4] + b"\xff" * 12, "the header announces 4294967295 x 4294967295 x 4294967295 uint8 = "
                               "79228162458924105385300197375 bytes, found 0: the file is truncated"),
    (PLAIN[:8] + bytes(4) + PLAIN[12:], "axis 1 of (3, 0, 5) is empty"),
    (ZIPPED[:-9], "damaged gzip file (Compressed file ended before the end-of-stream marker was reached)"),
    (gzip.compress(PLAIN[:-1]), "the header announces 3 x 4 x 5 uint8 = 60 bytes, found 59: the file is truncated"),
], ids=range(9))
def test_message(path, data, message):
    with says(ValueError, f"{path}: {message}"):
        read(path, data)


def test_number_of_axes(path):
    with says(ValueError, f"{path}: expected 1 axes, found 3: shape (3, 4, 5)"):
        read(path, PLAIN, axes=1)


@pytest.mark.parametrize(("array", "error", "message"), [
    (np.zeros(3, np.uint16), TypeError,
     "to_idx: an IDX file cannot hold uint16; it can hold uint8, int8, int16, int32, float32, float64"),
    (np.zeros((2, 0), np.uint8), ValueError, "to_idx: shape (2, 0) must have 1 to 4 axes, none of them empty"),
])
def test_what_does_not_fit(array, error, message):
    with says(error, message):
        to_idx(array)
