"""The predicted peak of a training step is that of tracemalloc, which NumPy tells of every array; numba_backend's are NumPy's too."""
from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import minicnn
from minicnn import kernels, models, nn, optim
from minicnn.inspect.recorder import record
from minicnn.inspect.summarizing.memory import ledger
from minicnn.inspect.summarizing.memory.step import training_memory
from minicnn.inspect.summarizing.memory.training import AHEAD, TrainingMemory
from minicnn.inspect.summarizing.workspace import workspace_bytes
from minicnn.kernels.numba_backend import memory
from minicnn.kernels.numpy_backend.conv2d import conv2d_cost
from minicnn.kernels.window import Window2d
from minicnn.nn import functional as F
from minicnn.tensor import Tensor


class Branchy(nn.Module):
    """Branches, a transposed convolution, a depthwise one, average pooling, a function and a layer called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 24, 3, padding=1), nn.ReLU())
        self.wide = nn.Conv2d(24, 24, 3, padding=2, dilation=2, groups=24)
        self.up = nn.ConvTranspose2d(24, 24, 2, stride=2)
        self.same = nn.Conv2d(24, 24, 3, padding="same")
        self.norm = nn.BatchNorm2d(24)
        self.head = nn.Linear(24 * 4 * 4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y = self.same(F.avg_pool2d(x, 2)) + self.same(F.max_pool2d(x, 3, 2, 1))
        y = self.norm(self.up(y)) * self.wide(x)
        return self.head(F.adaptive_avg_pool2d(F.relu(y), 4).flatten(1))


def named(name: str, *shape: int) -> tuple[Callable[[], nn.Module], tuple[int, ...]]:
    return lambda: models.create(name, shape[0], shape[1:], 10), shape


NETWORKS = {
    "lenet": named("lenet", 1, 28, 28), "tinyvgg": named("tinyvgg", 1, 28, 28), "resnet8": named("resnet8", 3, 32, 32),
    "digits": named("digits", 1, 8, 8), "convnet": named("convnet", 1, 28, 28),
    "branchy": (Branchy, (3, 16, 16)),
}
OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=1e-4), "momentum": lambda p: optim.SGD(p, lr=1e-4, momentum=0.9),
    "adam": lambda p: optim.Adam(p, lr=1e-4), "adamw": lambda p: optim.AdamW(p, lr=1e-4),
}


def steps(model: nn.Module, shape: tuple[int, ...], optimizer: str, number: int) -> Iterator[int]:
    x, labels = Tensor(np.ones(shape, np.float32)), Tensor(np.zeros(shape[0], np.int64))
    step = OPTIMIZERS[optimizer](model.train().parameters())
    for i in range(number):
        yield i
        step.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        step.step()


def measured(make: Callable[[], nn.Module], shape: tuple[int, ...], optimizer: str) -> int:
    """The peak of the last step, all that the network and the optimiser hold included: the second, or the third where memory is kept."""
    last = 2 if kernels.backend() == "numba" else 1
    for _ in steps(make(), shape, optimizer, last - 1):        # compiles
        pass
    memory._pool = memory._Pool()
    gc.collect()
    tracemalloc.start()
    try:
        for i in steps(make(), shape, optimizer, last + 1):
            if i == last:
                gc.collect()
                tracemalloc.reset_peak()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("backend", kernels.CPU_BACKENDS)
@pytest.mark.parametrize(("network", "batch", "optimizer"), [
    ("lenet", 1, "adamw"), ("lenet", 64, "adam"), ("digits", 1, "sgd"), ("digits", 64, "momentum"), ("branchy", 1, "momentum"),
    ("branchy", 4, "adamw"), ("branchy", 64, "sgd"), ("tinyvgg", 1, "adam"), ("tinyvgg", 16, "momentum"), ("resnet8", 1, "adamw"),
    ("resnet8", 32, "sgd"), ("convnet", 32, "adamw")])
def test_the_peak_of_a_training_step_is_predicted_within_a_tenth(backend: str, network: str, batch: int, optimizer: str,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_pool", memory._Pool())
    make, shape = NETWORKS[network]
    with kernels.use_backend(backend):
        predicted, peak = training_memory(make(), shape, batch, optimizer), measured(make, (batch, *shape), optimizer)
    assert 0.9 * peak <= predicted.peak <= 1.1 * peak, predicted
    assert sum(predicted.parts.values()) == predicted.peak
    sizes = [p.array.nbytes for p in make().parameters()]
    assert predicted.parts["optimiser state"] == sum(sizes) * {"sgd": 0, "momentum": 1, "adam": 2, "adamw": 2}[optimizer]


@pytest.mark.parametrize("shape", [(1, 3, 20, 30), (40, 16, 24, 24)])
def test_numpys_workspace_is_that_of_its_cost(shape: tuple[int, ...]) -> None:
    conv = nn.Conv2d(shape[1], 8, 3, padding=1)
    with kernels.use_backend("numpy"):
        op, = record(conv, minicnn.ones(*shape)).ops
        assert workspace_bytes(op) == conv2d_cost(shape, conv.weight.shape, Window2d.of(3, padding=1)).workspace


@pytest.mark.parametrize("backend", kernels.CPU_BACKENDS)
def test_a_batch_too_large_for_this_machine_is_predicted_without_being_taken(backend: str) -> None:
    with kernels.use_backend(backend):
        found = training_memory(models.create("lenet", 1, 28, 10), (1, 28, 28), 100_000_000)
    assert found.peak > 10**12
    with pytest.raises(ValueError, match=r"^optimizer is 'sdg': must be one of none, sgd, momentum, adam, adamw$"):
        training_memory(nn.Linear(2, 2), (2,), 1, "sdg")


def test_the_ledger_has_the_pool_s_numbers() -> None:
    assert (ledger.SMALL, ledger.LINE, ledger.ROOMY, ledger.KEPT) == (memory.SMALL, memory.LINE, memory.ROOMY, memory.KEPT)


@pytest.mark.parametrize("backend", kernels.CPU_BACKENDS)
def test_a_training_takes_its_steps_the_batches_ahead_and_copies_of_the_weights(backend: str) -> None:
    model, shape = models.create("tinyvgg", 1, 28, 10), (1, 28, 28)
    image, weights = 4 * 28 * 28, sum(p.array.nbytes for p in model.parameters())
    with kernels.use_backend(backend):
        step, plain, copied = training_memory(model, shape, 64, "momentum"), TrainingMemory(model, shape, "momentum"), \
            TrainingMemory(model, shape, "momentum", copies=3)
        assert plain.at(64).peak == step.peak + AHEAD * 64 * image
        assert copied.at(64).peak == plain.at(64).peak + 3 * weights
        assert plain.at(64, tested=64).peak <= 1.1 * plain.at(64).peak, "a test keeps nothing for backward"
        assert plain.at(1, tested=256).peak > 2 * plain.at(1).peak, "but its batches may be larger"
        peaks = [plain.at(n).peak for n in (1, 2, 16, 128, 1024)]
    assert peaks == sorted(peaks)
