"""Reading any .safetensors file: arrays by name and text, and a clear error for anything that is damaged or something else.

The format's own library checks the header before memory is taken for anything: its length, offsets that overlap or leave a gap, shapes that
do not give the number of bytes. What is read is at most as large as the file (twice that for bfloat16).
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

KNOWN = {"BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F16", "F32", "F64", "C64"}       # dtypes that NumPy has


def read(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the metadata of any .safetensors file; bfloat16, which NumPy has not, as float32, which holds all its values.

    Raises OSError when it cannot be read at all; ValueError when it is damaged, something else, or holds numbers that NumPy has not.
    """
    from safetensors import SafetensorError, safe_open

    with open(path, "rb"):                                     # a missing file or a folder: Python's own, clear OSError
        pass
    try:
        with safe_open(path, framework="numpy") as file:
            dtypes = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118  # it is no dict
            arrays = {name: file.get_tensor(name) for name, dtype in dtypes.items() if dtype in KNOWN}
            metadata = file.metadata() or {}
        if "BF16" in dtypes.values():
            arrays |= _bfloat16(path)
    except (SafetensorError, KeyError, TypeError, ValueError, OSError, AttributeError) as error:
        raise ValueError(f"{path}: not a .safetensors file, or a damaged one ({str(error)[:200]}); copy it again or train again") from error
    for name, dtype in dtypes.items():
        if name not in arrays:
            raise ValueError(f"{path}: {name} holds {dtype}, which NumPy has not: save it as float32, in torch with tensor.float()")
    return {name: arrays[name] for name in dtypes}, metadata


def _bfloat16(path: str | Path) -> dict[str, Any]:
    """The arrays of that dtype. A bfloat16 is the upper half of a float32."""
    from safetensors import deserialize

    found = {}
    for name, held in deserialize(Path(path).read_bytes()):
        if held["dtype"] == "BF16":
            upper = np.frombuffer(held["data"], "<u2").astype(np.uint32)
            found[name] = (upper << np.uint32(16)).view(np.float32).reshape(held["shape"])
    return found
