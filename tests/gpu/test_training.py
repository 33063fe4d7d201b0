"""Training on a GPU: ten steps beside the NumPy backend, the same bits again, memory that does not grow, streams."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import Tensor, kernels, models, nn, optim
from minicnn.benchmarks.contestants import with_minicnn
from minicnn.benchmarks.problems import Network
from minicnn.nn.functional import cross_entropy
from minicnn.training import Interrupted
from tests.benchmarks.contestant import NETWORKS, check_training
from tests.compare import TRAINING64, assert_close64
from tests.strategies import floats
from tests.training.test_resume import StopAfter
from tests.training.tiny import outcome, recipe, small, train

__all__ = ["small"]                                            # a fixture

MADE = {"LeNet": (lambda: models.LeNet(1, (16, 20), 5), (6, 1, 16, 20)), "ResNet-8": (lambda: models.ResNet8(3, (8, 10), 5), (6, 3, 8, 10))}
OPTIMIZERS = {"sgd": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True),
              "adam": lambda p: optim.AdamW(p, lr=0.01)}


@pytest.fixture(autouse=True)
def _numpy() -> Iterator[None]:
    with kernels.use_backend("numpy"):
        yield


def trained(make: Any, shape: tuple[int, ...], device: str, dtype: Any, optimizer: Any, steps: int = 10) -> dict[str, np.ndarray]:
    """Every loss, and afterwards every parameter and buffer."""
    minicnn.manual_seed(0)
    net: nn.Module = make().to(dtype).to(device)
    stepper, losses = optimizer(net.parameters()), []
    for step in range(steps):
        x = Tensor(floats(shape, step, dtype)).to(device)
        labels = Tensor(np.random.default_rng(step).integers(0, 5, shape[0])).to(device)
        stepper.zero_grad()
        loss = cross_entropy(net(x), labels)
        loss.backward()
        stepper.step()
        losses.append(loss.item())
    return {"losses": np.array(losses), **{name: value.cpu().numpy() for name, value in net.state_dict().items()}}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize(("make", "shape"), MADE.values(), ids=MADE)
def test_ten_steps_beside_numpy(make: Any, shape: tuple[int, ...], optimizer: Any) -> None:
    here, there = (trained(make, shape, device, np.float64, optimizer) for device in ("cpu", "cuda"))
    assert here.keys() == there.keys()
    for name, value in here.items():
        if value.dtype == np.float64:
            assert_close64(there[name], value, name, TRAINING64)
        else:
            assert np.array_equal(there[name], value), name


@pytest.mark.parametrize("problem", NETWORKS, ids=str)
def test_float32_is_bounded(problem: Network) -> None:
    """As the benchmarks check everyone: losses, parameters and logits after steps with several learning rates."""
    check_training(with_minicnn.trainer("cuda", problem), problem)


@pytest.mark.parametrize(("make", "shape"), MADE.values(), ids=MADE)
def test_the_same_bits_again(make: Any, shape: tuple[int, ...]) -> None:
    first, again = (trained(make, shape, "cuda", np.float32, OPTIMIZERS["sgd"]) for _ in range(2))
    assert {name: a.tobytes() for name, a in first.items()} == {name: a.tobytes() for name, a in again.items()}


@pytest.mark.parametrize("problem", ["lenet:mb256", "resnet8:mb256"])
def test_memory_does_not_grow(problem: str) -> None:
    """After a few steps the pool has what a step needs, and no step leaves anything behind."""
    import cupy

    network, pool = Network.parse(problem), cupy.get_default_memory_pool()
    trainer, arrays = with_minicnn.trainer("cuda", network), network.arrays(0)
    batch = trainer.batch(arrays["x"], arrays["labels"])
    float(trainer.step(batch, [0.01]))
    pool.free_all_blocks()
    used, total = [], []
    for _ in range(10):
        float(trainer.step(batch, [0.01]))
        used.append(pool.used_bytes())
        total.append(pool.total_bytes())
    print(f"{problem}: {used[-1] / 2**20:.1f} MiB in use between steps, {total[-1] / 2**20:.1f} MiB at the peak of a step")
    assert len(set(used[2:])) == 1
    assert len(set(total[4:])) == 1


def test_another_stream() -> None:
    """Kernels and arrays follow CuPy's current stream: the result does not depend on which it is."""
    import cupy

    make, shape = MADE["ResNet-8"]
    usual = trained(make, shape, "cuda", np.float32, OPTIMIZERS["sgd"], 3)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        other = trained(make, shape, "cuda", np.float32, OPTIMIZERS["sgd"], 3)
        stream.synchronize()
    assert {name: a.tobytes() for name, a in usual.items()} == {name: a.tobytes() for name, a in other.items()}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_training_that_is_stopped_goes_on_to_the_same_bits(optimizer: str, tmp_path: Path, small: None) -> None:
    about = recipe(optimizer=optimizer, ema=0.9)
    train(tmp_path / "undisturbed", about, device="cuda")
    with pytest.raises(Interrupted):
        train(tmp_path / "run", about, StopAfter(6), device="cuda")
    train(tmp_path / "run", device="cuda")
    assert outcome(tmp_path / "run") == outcome(tmp_path / "undisturbed")
