"""Run as a program: reads thousands of files that are not what they should be, with little memory, and says what came of it.

    python -m tests.training.fuzz FOLDER SEED COUNT      -> one JSON object on stdout

Every kind of file that a command reads is written once as it should be; then COUNT times one of them is mutated: bytes changed, cut off,
put in, taken from another file; or, where the file has a structure, a value of it is replaced, and SHA-256 and lengths are made right
again, as somebody would who means harm. Each must be read, or refused with a ValueError or an OSError.
"""
from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import random
import resource
import struct
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import load as deserialize
from safetensors.numpy import save as serialize

from minicnn import kernels
from minicnn.cli import network
from minicnn.report import record
from minicnn.training import Diverged, Experiment, Interrupted, Predictor, Stopped, recipe_file, snapshot
from minicnn.training.checkpoint import digest
from minicnn.training.progress import Quiet
from tests.training.test_resume import StopAfter
from tests.training.tiny import patch, recipe, train

MIB = 2**20
ROOM = 256 * MIB                                               # of address space, beyond what the imports took
DEEP = "@deep@"                                                # stands for 100,000 lists in each other
ODD = [None, True, False, -1, 0, 1, 2, 10**9, 2**31, 2**63, 10**30, 10**300, -2**63, 0.5, -0.0, 1e-300, 1e308, float("nan"), float("inf"),
       "", "x", "nan", "pool", "__class__", "\0", "é" * 50, "../../etc/passwd", "9" * 5000, [], {}, [[]], [1], {"a": 1}, [10**9],
       [10**9] * 3, ["pool"] * 20_000, [1] * 20_000, [2**40, "pool"], ["pool", 1], list(range(50)), DEEP, {"layers": [1] * 2000}]


# What is wrong with a file

def bytes_changed(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    place, length = rng.randrange(len(data) + 1), rng.choice([1, 1, 1, 2, 4, 8, 64])
    if rng.random() < 0.4:
        place = min(place, rng.randrange(600))                 # where headers are
    how = rng.randrange(7)
    if how == 0:
        return data[:place]
    if how == 1:
        return data[:place] + rng.randbytes(length) + data[place:]
    if how == 2:
        return data[:place] + data[place + length:]
    if how == 3:
        other = rng.choice(others)
        begin = rng.randrange(len(other) + 1)
        return data[:place] + other[begin:begin + rng.randrange(2000)] + data[place:]
    if how == 4:
        return rng.choice([0, 1, 2**20, 2**31, 2**63, 2**64 - 1]).to_bytes(8, "little") + data[8:]
    changed = bytearray(data)
    for i in range(place, min(place + (1 if how == 5 else length), len(data))):
        changed[i] ^= 1 << rng.randrange(8) if how == 5 else rng.randrange(256)
    return bytes(changed)


def value_changed(tree: Any, rng: random.Random) -> Any:
    """One place of a JSON tree, or a few, made something else."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        holders = [tree, *_holders(tree)]
        holder = rng.choice([h for h in holders if h] or [None])
        if holder is None:
            return copy.deepcopy(rng.choice(ODD))
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        how = rng.random()
        if how < 0.7:
            holder[key] = copy.deepcopy(rng.choice(ODD))
        elif how < 0.8:
            del holder[key]
        elif how < 0.9 and isinstance(holder, dict):
            holder[rng.choice(["", "x", "params", "step", "model", "layers"])] = holder.pop(key)
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(rng.choice(ODD)))
    return tree


def _holders(tree: Any) -> list[Any]:
    inside = list(tree.values()) if isinstance(tree, dict) else tree if isinstance(tree, list) and len(tree) < 1000 else []
    found = [value for value in inside if isinstance(value, dict | list)]
    return found + [deeper for value in found for deeper in _holders(value)]


def array_changed(arrays: dict[str, np.ndarray], rng: random.Random) -> dict[str, np.ndarray]:
    """One array of another shape, dtype, name or value, or gone."""
    arrays, name = dict(arrays), rng.choice(sorted(arrays))
    array = arrays.pop(name)
    how = rng.randrange(7)
    if how == 0:
        arrays[name] = array.reshape(-1)
    elif how == 1:
        arrays[name] = array.astype(rng.choice([np.float64, np.float16, np.int64, np.uint8, np.bool_, np.complex64]))
    elif how == 2:
        arrays[name] = np.zeros(rng.choice([(), (0,), (0, 10**15), (1, 1, 1), (3, 3)]), array.dtype)
    elif how == 3:
        arrays[name + rng.choice(["x", "", "/", ".0"])] = array
    elif how == 4:
        arrays[name] = np.full_like(array, rng.choice([0, 1, 100]) if array.dtype.kind in "iub" else rng.choice([np.nan, np.inf, -1, 3e38]))
    elif how == 5:
        arrays[name] = np.concatenate([array.reshape(-1), array.reshape(-1)])
    return arrays


def weights_changed(data: bytes, rng: random.Random, key: str, inner: str) -> bytes:
    """A .safetensors file whose text or arrays are changed, and whose SHA-256 is right."""
    arrays, header = deserialize(data), json.loads(_header(data)["__metadata__"][key])
    values = json.loads(header[inner])
    if rng.random() < 0.3:
        arrays = array_changed(arrays, rng)
    else:
        values = value_changed(values, rng)
    text = dumps(values)
    if rng.random() < 0.1:
        header = value_changed(header, rng)
    if isinstance(header, dict):
        header |= {inner: text, "sha256": digest(arrays, text)}
    return serialize(arrays, {key: dumps(header)})


def header_changed(data: bytes, rng: random.Random) -> bytes:
    """Another header, of the right length: shapes, offsets and dtypes that are not those of what follows."""
    header = _header(data)
    names = [name for name in header if name != "__metadata__"]
    entry = header[rng.choice(names)]
    how = rng.randrange(4)
    if how == 0:
        entry["shape"] = rng.choice([[10**12], [2**62, 4], [0], [], [-1], [1] * 1000, [2**32, 2**32], "x", None])
    elif how == 1:
        entry["data_offsets"] = rng.choice([[0, 2**62], [2**63, 2**64 - 1], [5, 1], [-4, 4], [0, 0], [0], None])
    elif how == 2:
        entry["dtype"] = rng.choice(["BF16", "F8_E4M3", "I64", "F64", "BOOL", "C64", "X", 3, None])
    else:
        header = value_changed(header, rng)
    text = dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + int.from_bytes(data[:8], "little"):]


def dumps(values: Any) -> str:
    return json.dumps(values).replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000)


def _header(data: bytes) -> dict[str, Any]:
    return json.loads(data[8:8 + int.from_bytes(data[:8], "little")])


def json_changed(data: bytes, rng: random.Random) -> bytes:
    lines = [json.loads(line) for line in data.splitlines()] if data.count(b"}\n{") else [json.loads(data)]
    lines[rng.randrange(len(lines))] = value_changed(rng.choice(lines), rng)
    return "\n".join(map(dumps, lines)).encode()


def toml_changed(data: bytes, rng: random.Random) -> bytes:
    lines = data.decode().splitlines()
    place = rng.randrange(len(lines))
    key = lines[place].partition("=")[0]
    value = rng.choice([*ODD, "raw"])
    odd = rng.choice(["nan", "inf", "-inf", "1e999", "9" * 5000, "0x" + "f" * 400, "[" * 2000, "{a = 1}", "1979-05-27T07:32:00Z", "="])
    lines[place] = f"{key} = {odd if value == 'raw' or isinstance(value, dict) else json.dumps(value)}"
    if rng.random() < 0.3:
        more = rng.choice(["[model]", "[x]", "[[model]]", "layers = [1000000000]", "layers = [30000, 30000]", "model = 3", "seeds = []"])
        lines.insert(rng.randrange(len(lines) + 1), more)
    return "\n".join(lines).encode()


# What reads it

class Targets:
    """The files of a run as they should be, and how each is read."""

    def __init__(self, folder: Path) -> None:
        self.run, self.picture, self.finished = folder / "run", folder / "x.png", folder / "finished"
        about = recipe(ema=0.9, optimizer="muon")
        with contextlib.suppress(Interrupted):
            train(self.run, about, StopAfter(6), every=0.0)
        train(self.finished, about)
        (self.run / snapshot.PREVIOUS).unlink()
        Image.fromarray(np.arange(36, dtype=np.uint8).reshape(6, 6)).save(self.picture)
        self.accepted = 0
        self.table: dict[str, tuple[Path, Callable[[], Any], Callable[[bytes, random.Random], bytes] | None]] = {
            "weights": (self.run / "last.safetensors", self.predict, lambda d, r: weights_changed(d, r, "minicnn", "description")),
            "weights' header": (self.run / "best.safetensors", lambda: Predictor.load(self.run / "best.safetensors"), header_changed),
            "checkpoint": (self.run / snapshot.CURRENT, self.go_on, lambda d, r: weights_changed(d, r, snapshot.KEY, "state")),
            "checkpoint's header": (self.run / snapshot.CURRENT, self.go_on, header_changed),
            "config": (self.run / "config.json", lambda: network.run_config(self.run), json_changed),
            "recipe": (self.run / "recipe.toml", self.build, toml_changed),
            **{name: (self.finished / name, lambda: record.read(self.finished), how) for name, how in (
                ("result.json", json_changed), ("metrics.jsonl", json_changed), ("environment.json", json_changed),
                ("confusion_matrix.csv", None))},
        }

    def predict(self) -> None:
        predictor = Predictor.load(self.run / "last.safetensors")
        if np.prod(predictor.description.image_size) <= 64 * 64 and predictor.description.in_channels in (1, 3):
            predictor.predict([self.picture])

    def go_on(self) -> None:
        """Restored, and now and then trained to the end: what was accepted must not fail later otherwise."""
        stopped = Stopped.find(self.run)
        assert len(stopped.place) + len(str(stopped.differences("numpy", {}))) < 1000
        experiment = Experiment.resume(stopped)
        state = experiment._state(4)
        assert experiment.stopped is not None
        with experiment.stopped.checked():
            state.restore(experiment.stopped.snapshot)
        self.accepted += 1
        if self.accepted % 10 == 0:
            held = {path.name: path.read_bytes() for path in self.run.iterdir()}
            try:
                experiment.run("", lambda epochs, images: Quiet())
            except Diverged:                                   # weights of 3e38 may be what somebody asked for
                pass
            finally:
                for name, data in held.items():
                    (self.run / name).write_bytes(data)

    def build(self) -> None:
        """As training does before its first step, but for the images."""
        found = recipe_file.read(self.run / "recipe.toml")
        if found.dataset in ("digits", "mnist"):
            begun = Experiment.prepare(found)
            begun._state(4)
            begun.recipe.augmentation((6, 6))(np.zeros((2, 1, 6, 6), np.float32), np.random.default_rng(0))


def main(folder: Path, seed: int, count: int) -> dict[str, Any]:
    patch()
    rng, outcomes, failures = random.Random(seed), Counter[str](), []
    targets = Targets(folder)
    whole = {name: path.read_bytes() for name, (path, *_) in targets.table.items()}
    for name, (_, read, _) in targets.table.items():
        read()                                                 # as it should be: this raises nothing
        outcomes[f"{name}: whole"] += 1
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if Path("/proc/self/statm").exists() else 2**40
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, size + ROOM))
    before, names = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, sorted(targets.table)
    for number in range(count):
        name = names[number % len(names)]
        path, read, structured = targets.table[name]
        how = structured if structured and rng.random() < 0.6 else (lambda d, r: bytes_changed(d, r, list(whole.values())))
        data = how(whole[name], rng)
        path.write_bytes(data)
        try:
            read()
            outcomes[f"{name}: read"] += 1
        except (ValueError, OSError) as error:
            outcomes[f"{name}: refused"] += 1
            if not str(error) or len(str(error)) > 3000:
                failures.append(f"{name} {number}: a message of {len(str(error))} characters: {str(error)[:200]}")
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            failures.append(f"{name} {number} ({hashlib.sha256(data).hexdigest()[:8]}): {type(error).__name__}: {str(error)[:200]} "
                            f"at {where.filename}:{where.lineno}")
        path.write_bytes(whole[name])
        targets.run.joinpath("checkpoint-previous.safetensors").unlink(missing_ok=True)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"outcomes": dict(sorted(outcomes.items())), "failures": failures[:20], "failed": len(failures), "grown_mib": round(grown, 1)}


if __name__ == "__main__":
    with kernels.use_backend("numpy"), tempfile.TemporaryDirectory(dir=sys.argv[1]) as made:
        print(json.dumps(main(Path(made), int(sys.argv[2]), int(sys.argv[3]))))
