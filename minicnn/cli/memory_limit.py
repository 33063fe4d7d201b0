"""`--memory-limit`: how much memory a training will take, and the largest batch that a limit leaves room for."""
from __future__ import annotations

import contextlib
import copy
import ctypes
import importlib.util
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minicnn.nn import Module
    from minicnn.training.experiment import Experiment

POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
SIZE = re.compile(r"(?P<number>\d+(\.\d*)?|\.\d+)\s*(?P<unit>[kmgt]?)(?P<kind>ib|b|)", re.IGNORECASE | re.ASCII)
NAMES = {                                                      # the kinds of `ledger.KINDS`, in fewer words
    "activations and their gradients": ("activations", "gradients of activations", "kept for reuse"),
    "weights, gradients and optimiser": ("parameters and buffers", "optimiser state", "gradients of parameters"),
    "workspace": ("workspace",), "batches prepared ahead": ("input and labels",),
}
REST = "interpreter and libraries"
SLACK = 1.04, 8 << 20                                          # what allocators round up and keep: a factor, and bytes
ROOM = 4 << 20                                                 # that a suggestion leaves: the next process may hold a little more at first
WRITTEN = 2                                                    # copies that are made of what is saved: its bytes, and the file of them
TESTED = 256                                                   # images at a time in a test, at least: that of Experiment.run


def parse_size(text: str) -> int:
    """Bytes. kB, MB, GB, TB are powers of 1000; KiB, MiB, GiB, TiB, and the letters alone, powers of 1024. Case does not matter.

    Raises ValueError for anything else, and for less than one byte.

    >>> [parse_size(text) for text in ("2GB", "512MiB", "1.5g", "4096")]
    [2000000000, 536870912, 1610612736, 4096]
    """
    match = SIZE.fullmatch(text.strip())
    size = 0 if match is None else int(float(match["number"]) * (1000 if match["kind"].lower() == "b" and match["unit"] else 1024)
                                       ** POWERS[match["unit"].lower()])
    if size < 1:
        raise ValueError(f"memory-limit is {text!r}, expected a size such as 2GB, 512MiB or a number of bytes")
    return size


@dataclass(frozen=True)
class Need:
    """total: the most resident bytes of the process, as `top` shows them; parts: what they are."""
    batch: int
    total: int
    parts: dict[str, int]

    def largest(self, number: int = 4) -> str:
        """The largest parts in words.

        >>> Need(1, 3 << 20, {"images": 1 << 20, "activations": 2 << 20}).largest()
        'activations 2 MiB, images 1 MiB'
        """
        parts = sorted(self.parts.items(), key=lambda part: -part[1])[:number]
        return ", ".join(f"{name} {mib(size)}" for name, size in parts if size)


def check(experiment: Experiment, limit: str) -> Need:
    """What the training needs. Raises ValueError, with the largest batch that fits, when that is more than `limit`, such as "512MiB".

    One step with two images is taken first, on a copy of the network, so that compiled code is loaded, and what the process holds then,
    images included, is measured; the rest is predicted (`TrainingMemory`). Nothing is changed by it: random numbers, weights, disk.
    """
    most = parse_size(limit)
    if experiment.backend not in ("numba", "numpy"):
        raise ValueError(f"memory-limit is of the memory of this process, but backend {experiment.backend} computes elsewhere")
    batch = min(experiment.recipe.batch_size, len(experiment.train))
    need = _predictor(experiment)
    found = need(batch)
    if found.total <= most:
        return found
    name = experiment.description.model
    text = (f"training {name} with batches of {batch} needs about {mib(found.total)} ({found.largest()}); "
            f"the limit is {mib(most)}: ")
    if need(1).total > most:
        raise ValueError(f"{text}too little even for batches of 1, which need {mib(need(1).total)} ({need(1).largest(2)})")
    suggested = largest(lambda n: need(n).total <= most - max(ROOM, most // 64), batch)
    raise ValueError(f"{text}use --batch-size {suggested}{' or less' if suggested > 1 else ''}")


def largest(fits: Callable[[int], bool], too_many: int) -> int:
    """The largest number below too_many that fits, by bisection: 1 fits, and what fits is taken to fit with less too.

    >>> largest(lambda n: n * n <= 50, 100)
    7
    """
    least = 1
    while too_many - least > 1:
        middle = (least + too_many) // 2
        least, too_many = (middle, too_many) if fits(middle) else (least, middle)
    return least


def _predictor(experiment: Experiment) -> Callable[[int], Need]:
    """The need of any size of batch."""
    from minicnn.inspect.summarizing.memory.step import OPTIMIZERS
    from minicnn.inspect.summarizing.memory.training import TrainingMemory

    recipe, model, shape = experiment.recipe, experiment.model, tuple(experiment.train.images.shape[1:])
    optimizer = {"sgd": "momentum", "muon": "adamw"}.get(recipe.optimizer, recipe.optimizer)        # Muon's state is smaller than AdamW's
    average = int(recipe.ema > 0)
    saved = WRITTEN * (1 + average + OPTIMIZERS[optimizer])    # a checkpoint holds the weights, their average and the optimiser's state
    training = TrainingMemory(model, shape, optimizer, recipe.weight_decay > 0, average + saved)
    held = [part.images for part in (experiment.train, experiment.validation, experiment.test) if part]
    images = sum(int(array.nbytes) for array in held)
    weights = sum(int(t.array.nbytes) for t in (*model.parameters(), *model.buffers()))
    loaded = _loaded(model, shape)
    tested = max((len(part) for part in (experiment.validation, experiment.test) if part), default=0)

    def need(batch: int) -> Need:
        memory = training.at(batch, min(max(batch, TESTED), tested))
        extra = int((SLACK[0] - 1) * memory.peak) + SLACK[1]
        parts = {name: sum(memory.parts[kind] for kind in kinds) for name, kinds in NAMES.items()}
        parts |= {"images": images, REST: max(0, loaded - images - weights) + extra}
        return Need(batch, sum(parts.values()), parts)

    return need


def _loaded(model: Module, shape: tuple[int, ...]) -> int:
    """Resident bytes once all that a training uses is loaded: its compiled code, and matplotlib for its figures."""
    from minicnn.nn.functional import cross_entropy
    from minicnn.random import fork_rng
    from minicnn.tensor import Tensor

    if importlib.util.find_spec("matplotlib"):
        import matplotlib.figure  # noqa: F401  (loaded to be measured)
    import numpy as np

    with fork_rng():
        trial = copy.deepcopy(model).train()
        cross_entropy(trial(Tensor(np.zeros((2, *shape), np.float32))), Tensor(np.zeros(2, np.int64))).backward()
        del trial
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)                       # compilers have freed much that glibc keeps
    return resident()


def resident() -> int:
    """Bytes of this process in memory. Where the system does not say: the most there ever were."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    if importlib.util.find_spec("psutil"):
        import psutil

        return int(psutil.Process().memory_info().rss)
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def mib(size: int) -> str:
    """
    >>> mib(300 << 20), mib(5 << 30), mib(1000)
    ('300 MiB', '5.0 GiB', '1 MiB')
    """
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 * 2 else f"{max(1, math.ceil(size / 2**20))} MiB"
