"""Two checkpoints of a training: the newest, and the one before it in case the newest is damaged.

A checkpoint is a .safetensors file: arrays, and text that is JSON. Nothing in it is ever run. A SHA-256 over all of it tells a damaged one.

    1. the new state is written aside and flushed to the disk
    2. checkpoint.safetensors          ->  checkpoint-previous.safetensors
    3. what was written aside          ->  checkpoint.safetensors, and the folder is flushed

Each of 2 and 3 is a renaming, which happens or does not. A crash before 2 leaves both old ones, between 2 and 3 the newer old one under its
new name, after 3 the new one and the newer old one: whenever it comes, a whole checkpoint has one of the two names. Where the newest was
damaged, it is replaced without step 2, so that it never takes the place of the good one before it.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.files import write_whole
from minicnn.interop.reader import read as read_safetensors
from minicnn.training.checkpoint import digest

CURRENT, PREVIOUS = "checkpoint.safetensors", "checkpoint-previous.safetensors"
KEY, VERSION = "minicnn-training", 1
LONGEST = 64 * 2**20                                           # characters of JSON


@dataclass(frozen=True)
class Snapshot:
    """What a checkpoint holds: arrays by name, and values as JSON has them."""
    arrays: Mapping[str, np.ndarray]
    values: Mapping[str, Any]


def write(folder: Path, snapshot: Snapshot, keep: bool = True) -> None:
    """Make it the folder's newest checkpoint. keep: the one that was the newest is the previous one then. Raises OSError."""
    from safetensors.numpy import save as serialize

    arrays, text = dict(snapshot.arrays), json.dumps(snapshot.values, allow_nan=False)
    header = json.dumps({"version": VERSION, "sha256": digest(arrays, text), "state": text})
    write_whole(folder / CURRENT, serialize(arrays, {KEY: header}), folder / PREVIOUS if keep else None)


def read(path: Path) -> Snapshot:
    """A checkpoint. Raises ValueError, naming the file, when it is damaged or something else, and OSError when it cannot be read."""
    arrays, metadata = read_safetensors(path)
    if KEY not in metadata:
        raise ValueError(f"{path}: no checkpoint of a training: it holds weights only, and is nothing to go on from")
    header = metadata[KEY]
    try:
        if len(header) > LONGEST:
            raise ValueError(f"{len(header):,} characters of JSON")
        outer = json.loads(header)
        version, text = outer["version"], outer["state"]
        if version == VERSION and digest(arrays, text) != outer["sha256"]:
            raise ValueError("it does not have the SHA-256 it was saved with")
        values = json.loads(text, parse_constant=_refused) if version == VERSION else {}
        if not isinstance(values, dict):
            raise TypeError("its text is no JSON object")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: damaged ({_said(error)})") from error
    if version != VERSION:
        raise ValueError(f"{path}: a checkpoint of version {str(version)[:20]}, this minicnn reads version {VERSION}: "
                         "use the minicnn that saved it")
    return Snapshot(arrays, values)


def newest(folder: Path) -> tuple[Snapshot, str]:
    """The folder's newest checkpoint that is whole, and why that is not the one called so; nothing where it is.

    Raises ValueError, saying what is wrong with each, when none is whole.
    """
    problems: list[str] = []
    for name in (CURRENT, PREVIOUS):
        try:
            return read(folder / name), problems[0] if problems else ""
        except FileNotFoundError:
            problems.append(f"{folder / name}: there is no such file")
        except (ValueError, OSError) as error:
            problems.append(" ".join(str(error).split()).removesuffix("; copy it again or train again"))
    if not any((folder / name).exists() for name in (CURRENT, PREVIOUS)):
        raise FileNotFoundError(f"{folder}: there is no {CURRENT} to go on from")
    raise ValueError(f"{folder}: no checkpoint to go on from: {'; '.join(problems)}")


def remove(folder: Path) -> None:
    """Both checkpoints of a training that is finished."""
    for name in (PREVIOUS, CURRENT):
        (folder / name).unlink(missing_ok=True)


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
