"""What runs on a GPU, rehearsed where there is none: CuPy's stand-in (fake_cupy.py) takes CuPy's place, the simulator the GPU's."""
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import minicnn
from minicnn import Tensor, kernels, nn, optim
from minicnn.benchmarks import command, every_kernel, gpu, gpu_check, tune
from minicnn.benchmarks.contestants import BACKENDS, RUNGS, with_minicnn
from minicnn.benchmarks.problems import BatchNorm, Conv, CrossEntropy, Linear, Network, Pool
from minicnn.benchmarks.suites import SUITES
from minicnn.benchmarks.worker import Worker
from minicnn.cli import app
from minicnn.kernels.cuda_backend import choice, conv2d_tiled
from minicnn.nn.functional import cross_entropy
from tests import fake_cupy
from tests.benchmarks.contestant import check
from tests.benchmarks.samples import CONV, measured, refused, results
from tests.compare import assert_equal
from tests.device import needs_simulator
from tests.strategies import floats


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with fake_cupy.installed(monkeypatch) as module:
        yield module


class Small(nn.Module):
    """A convolution, batch norm, pooling and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.pool, self.out = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.MaxPool2d(2), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.pool(self.norm(self.conv(x)).relu()).flatten(1))


def trained(device: str, steps: int = 2, each: Any = lambda: None) -> list[bytes]:
    """The losses, and all parameters afterwards."""
    minicnn.manual_seed(0)
    net = Small().to(device)
    optimizer, found = optim.SGD(net.parameters(), lr=0.1, momentum=0.9), []
    x, labels = Tensor(floats((3, 2, 4, 4), 0)).to(device), Tensor(np.array([0, 3, 1])).to(device)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()
        found.append(np.float32(loss.item()).tobytes())
        del loss
        each()
    return found + [p.detach().cpu().numpy().tobytes() for p in net.parameters()]


def test_tensors(cupy: Any) -> None:
    x = Tensor([[1.0, -2.0]]).cuda()
    assert (type(x.array), str(x.device)) == (cupy.ndarray, "cuda:0")
    assert type((x * 2).array) is cupy.ndarray
    assert_equal((x * 2).cpu().numpy(), np.array([[2, -4]], np.float32))
    assert minicnn.cuda.is_available()
    assert minicnn.cuda.get_device_name() == fake_cupy.GPU


@needs_simulator
def test_two_steps_are_the_simulators(cupy: Any) -> None:
    assert trained("cuda") == trained("cuda-sim")
    assert len({kernel.name for kernel in fake_cupy.LAUNCHES}) > 8, "kernels computed it"


@needs_simulator
def test_memory_does_not_grow(cupy: Any) -> None:
    """What tests/gpu looks at on a GPU: nothing is left behind by a step."""
    pool, used = cupy.get_default_memory_pool(), []
    trained("cuda", 4, lambda: used.append(pool.used_bytes()))
    assert used[1] == used[2] == used[3]


PROBLEMS: list[Any] = [Conv.parse("mb2ic2ih5iw4oc3kh3ph1"), Pool.parse("max:mb1ic2ih4iw6kh2sh2"), Pool.parse("avg:mb1ic2ih4iw6kh2sh2"),
                       BatchNorm(2, 3, 2, 4), Linear(3, 4, 2), CrossEntropy(3, 5)]


@needs_simulator
@pytest.mark.parametrize(("problem", "direction"), [(p, d) for p in PROBLEMS for d in p.directions], ids=str)
def test_the_contestant_is_right(cupy: Any, problem: Any, direction: str) -> None:
    waited = fake_cupy.COUNTS["synchronize"]
    check(with_minicnn, "cuda", problem, direction)
    assert fake_cupy.COUNTS["synchronize"] == waited + 2, "a call ends when the GPU is done"


@needs_simulator
def test_a_network_as_a_contestant(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Network("resnet8", 1, 1, 8)
    monkeypatch.setattr(Network, "build", lambda self: Small4())
    for direction in problem.directions:
        check(with_minicnn, "cuda", problem, direction)


class Small4(Small):
    """For one-channel images of 8 x 8, with weights that are always the same."""

    def __init__(self) -> None:
        minicnn.manual_seed(0)
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 3, 3, stride=2, padding=1, bias=False), nn.Linear(12, 10)


@needs_simulator
@pytest.mark.parametrize("contestant", [*(c for c in BACKENDS if c.setting == "cuda"), *(c for c in RUNGS if c.name == "cuda-tiled")],
                         ids=lambda c: c.name)
def test_a_contestants_process(cupy: Any, contestant: Any, tmp_path: Path) -> None:
    """The requests of a race, answered in this process."""
    worker, problem, save = Worker(), "mb1ic2ih4oc3oh4kh3ph1", str(tmp_path / "outputs.npz")
    what = worker.start(contestant.__dict__, "conv", problem, 0, 1)["what"]
    assert f"GPU: {fake_cupy.GPU}, compute capability 8.0, 8 GiB, CuPy 14.2.0, CUDA 13.2" in what
    answer = worker.prepare("grad_weight", False, save)
    assert answer["algorithm"].startswith("CUDA, ")
    assert len(worker.turn(0.0, 3)["times"]) >= 1
    assert worker.end(save)["memory"] >= 4 * (2 * 16 + 3 * 16 + 3 * 2 * 9), "the GPU's memory: x, dy and dw at least"
    with np.load(save) as outputs:
        arrays = Conv.parse(problem).arrays(0)
        assert_equal(outputs["dw"], Conv.parse(problem).answers("grad_weight", arrays)["dw"])


@needs_simulator
def test_every_kernel_is_launched(cupy: Any) -> None:
    """By the script that compute-sanitizer watches; doubles take the same lines."""
    launched = every_kernel.run("cuda", (np.float32,))
    assert [str(kernel) for kernel in every_kernel.every() if kernel not in launched] == []


# bench conv --tune

SIZES = dict.fromkeys(choice.DIRECTIONS, (2, 16, 9))


def tiny() -> list[tune.Example]:
    return [(choice.size_class(direction, size), direction, size) for direction, size in SIZES.items()]


def test_an_example_of_every_size_class() -> None:
    for size_class, direction, size in choice.examples():
        p = tune.convolution(direction, size)
        found = choice.size_of(direction, p.x_shape, p.w_shape, p.window, p.groups)
        assert choice.size_class(direction, found) == size_class
        assert all(0.8 * wanted <= got <= wanted for got, wanted in zip(found, size, strict=True)), "nearly the size that was asked for"


@needs_simulator
def test_tuning(cupy: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As it is typed: a table, a choice that is kept and used, a file."""
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path))
    monkeypatch.setattr(choice, "examples", tiny)
    monkeypatch.setattr(tune, "BURST", 0.0)
    choice.table.cache_clear()
    monkeypatch.setattr(tune, "tune", lambda examples, tune=tune.tune: tune(examples, 1, 0.0))
    done = CliRunner().invoke(app, ["bench", "conv", "--tune", "--json", str(tmp_path / "tune.json")], prog_name="minicnn")
    assert done.exit_code == 0, done.output
    saved = json.loads((tmp_path / "tune.json").read_text())
    assert [(row["direction"], row["before"], list(row["times"]), row["wrong"]) for row in saved["found"]] == [
        (direction, "direct", list(choice.RUNGS), {}) for direction in SIZES]
    assert saved["gpu"]["name"] == fake_cupy.GPU
    for row in saved["found"]:
        assert choice.table(fake_cupy.GPU)[row["size_class"]] == row["fastest"]
        assert row["times"][row["fastest"]] == min(row["times"].values())
        assert row["size_class"] in done.stdout
    assert f"kept in {tmp_path / 'cuda' / 'rungs.json'}" in done.stdout
    choice.table.cache_clear()


@needs_simulator
def test_a_rung_that_is_wrong_is_not_chosen(cupy: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path))
    monkeypatch.setattr(choice, "RUNGS", ("tiled", "direct"))
    right = conv2d_tiled.conv2d
    monkeypatch.setattr(conv2d_tiled, "conv2d", lambda *args: right(*args) * np.float32(np.nan))
    found, = tune.tune(tiny()[:1], 1, 0.0)
    assert (found.wrong, found.fastest) == ({"tiled": "32 of 32 values are wrong"}, "direct")
    monkeypatch.setattr(choice, "examples", lambda: tiny()[:1])
    done = CliRunner().invoke(app, ["bench", "conv", "--tune"], prog_name="minicnn")
    assert isinstance(done.exception, ValueError) or done.exit_code
    assert "direct" in choice.path().read_text()
    choice.table.cache_clear()


def test_without_a_gpu_there_is_nothing_to_tune(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kernels._BACKENDS, "cuda", ("cuda_backend", lambda: "the GPU is at home"))
    with pytest.raises(ValueError, match=r"^--tune measures on a GPU, and there is none: the GPU is at home$"):
        tune.command(None)
    with pytest.raises(ValueError, match=r"^--tune measures convolutions of its own, one of each size; it does not take mb1$"):
        command._tune(["mb1"], None)


# make gpu-check

@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """gpu_check.main with commands that are only noted; status: what those of which `status` says so end with."""
    def check_(*options: str, status: Any = lambda words: 0) -> list[list[str]]:
        ran: list[list[str]] = []

        def run(words: list[str]) -> int:
            ran.append(words)
            if "--json" in words:
                Path(words[-1]).write_text(results(measured(CONV, "minicnn cuda", 1e-3)).to_json())
            return int(status(words))

        monkeypatch.setattr(sys, "argv", ["gpu_check", "--out", str(tmp_path / "gpu"), *options])
        try:
            gpu_check.main(run)
        finally:
            check_.ran = ran
        return ran

    monkeypatch.setattr(gpu, "_from_nvidia_smi", dict)
    return check_


def test_without_a_gpu_the_check_fails(checked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kernels._BACKENDS, "cuda", ("cuda_backend", lambda: "the GPU is at home"))
    with pytest.raises(SystemExit, match=r"^gpu-check: there is no GPU to check on: the GPU is at home$"):
        checked()
    assert checked.ran == []


def test_the_steps_of_a_check(cupy: Any, checked: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                              tmp_path: Path) -> None:
    monkeypatch.setattr(gpu_check.shutil, "which", lambda name: f"/bin/{name}")
    ran = checked()
    said = capsys.readouterr().out
    assert f"name: {fake_cupy.GPU}" in said
    assert "torch CUDA contiguous: " in said
    assert said.endswith(f"gpu-check: everything passed; what was measured is in {tmp_path / 'gpu'}\n")
    assert json.loads((tmp_path / "gpu" / "gpu.json").read_text())["name"] == fake_cupy.GPU
    assert ran[0][1:5] == ["-m", "pytest", "-m", "gpu"]
    assert [words[2] for words in ran[1:4]] == ["memcheck", "racecheck", "synccheck"]
    assert [words[4] for words in ran[4:]] == ["conv", *tuple(SUITES), "ladder"]
    assert "--tune" in ran[4]
    assert all(words[-4:-1] == ["--backend", "cuda", "--json"] for words in ran[5:])


@pytest.fixture
def no_sanitizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check.shutil, "which", lambda name: None)


def test_a_check_without_sanitizer_says_so(cupy: Any, checked: Any, no_sanitizer: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert [words[4] for words in checked("--quick")][1:] == ["conv", "train", "infer", "ladder"]
    said = capsys.readouterr().out
    assert "compute-sanitizer memcheck: skipped: compute-sanitizer is not installed (it comes with the CUDA toolkit)" in said
    assert "bench conv --tune: skipped: it takes minutes" in said


def test_a_failed_step_fails_the_check(cupy: Any, checked: Any, no_sanitizer: None, capsys: pytest.CaptureFixture[str]) -> None:
    """The others run nevertheless; a contestant without a time is a failure too."""
    def status(words: list[str]) -> int:
        if "train" in words:
            Path(words[-1]).write_text(results(refused(CONV, "minicnn cuda", "y is wrong")).to_json())
        return 1 if "pytest" in words else 0

    with pytest.raises(SystemExit, match=r"^gpu-check: failed: tests on the GPU, bench train$"):
        checked("--quick", status=status)
    assert "bench train: FAILED: no time for 1 that should have one; the first is minicnn cuda on " in capsys.readouterr().out
    assert len(checked.ran) == 5


def test_the_options_of_the_steps_are_known() -> None:
    """What gpu-check runs is what `minicnn bench` takes: asked of --help, as nothing here can run them."""
    for kind in ("conv", "ladder"):
        done = subprocess.run([sys.executable, "-m", "minicnn.cli", "bench", kind, "--help"], capture_output=True, text=True, check=True)
        assert all(option in done.stdout for option in ("--backend", "--json", "--rounds", "--seconds"))
