"""The GPU's fingerprint, from a pretended nvidia-smi and CuPy's stand-in; results of several leagues in the tables."""
from __future__ import annotations

import dataclasses
import re
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from minicnn.benchmarks import gpu
from minicnn.benchmarks.reporting import comparison, describe, plots, summary, table
from minicnn.benchmarks.results import GPU, TF32, Results
from tests import fake_cupy
from tests.benchmarks.samples import CONV, measured, refused, results

SAID = "NVIDIA H100 80GB HBM3, 570.86.15, 9.0, 81559, 345, 1980, 2619, [N/A], 700.00, 31\n"


@pytest.fixture
def smi(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """nvidia-smi's commands, which it answers as one did."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        commands.append(command)
        return SimpleNamespace(stdout=SAID)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_what_nvidia_smi_says(smi: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    assert gpu.fingerprint() == {
        "name": "NVIDIA H100 80GB HBM3", "driver": "570.86.15", "compute_capability": "9.0", "memory": 81559 << 20, "clock_mhz": 345,
        "clock_max_mhz": 1980, "memory_clock_mhz": 2619, "power_limit_w": 700.0, "temperature_c": 31}
    assert smi[0][-2:] == ["-i", "3"]


def test_what_cupy_adds(smi: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_cupy.installed(monkeypatch):
        found = gpu.fingerprint()
    assert (found["name"], found["compute_capability"], found["cuda_driver"], found["cuda_cupy"]) == (fake_cupy.GPU, "8.0", "13.3", "13.2")
    assert found["driver"] == "570.86.15"
    assert smi[0][-2:] == ["-i", "0000:01:00.0"]


def test_a_machine_without_any_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    monkeypatch.setenv("PATH", "")
    assert gpu.fingerprint() == {}


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(status: int, count: int) -> str | None:
        driver = SimpleNamespace(cuInit=lambda _: status, cuDeviceGetCount=lambda n: setattr(n._obj, "value", count) or 0)
        monkeypatch.setattr(gpu.ctypes, "CDLL", lambda _: driver)
        return gpu.driver_missing.__wrapped__()

    assert [answer(0, 1), answer(100, 1), answer(0, 0)] == [None, *["the NVIDIA driver finds no GPU"] * 2]

    def absent(_: str) -> Any:
        raise OSError("no such file")

    monkeypatch.setattr(gpu.ctypes, "CDLL", absent)
    assert gpu.driver_missing.__wrapped__() == "there is no NVIDIA driver"


# Leagues

@pytest.fixture
def mixed() -> Results:
    """On the CPU ours is half as fast as torch; on the GPU as fast; with TF32 a quarter as fast."""
    times = {"minicnn numba": 2e-3, "torch contiguous": 1e-3, "minicnn cuda": 2e-5, "torch CUDA contiguous": 3e-5,
             "torch CUDA channels_last": 2e-5, "cuda-tensor-cores": 2e-5, "torch CUDA TF32": 5e-6}
    found = results(*(measured(CONV, name, time) for name, time in times.items()))
    leagues = {"minicnn cuda": GPU, "torch CUDA contiguous": GPU, "torch CUDA channels_last": GPU, "cuda-tensor-cores": TF32,
               "torch CUDA TF32": TF32}
    found.entrants = [dataclasses.replace(e, league=leagues.get(e.name, "CPU")) for e in found.entrants]
    return found


def test_everyone_is_held_against_torch_in_their_league(mixed: Results) -> None:
    assert mixed.leagues() == ["CPU", GPU, TF32]
    ratios = {m.contestant: ratio and ratio.value for m, ratio in mixed.standings(CONV)}
    assert ratios == {"minicnn numba": 0.5, "torch contiguous": None, "minicnn cuda": 1, "torch CUDA contiguous": pytest.approx(2 / 3),
                      "torch CUDA channels_last": None, "cuda-tensor-cores": 0.25, "torch CUDA TF32": None}


def test_nobody_on_a_gpu_has_a_share_of_the_cpus_peak(mixed: Results) -> None:
    shares = {m.contestant: mixed.share(CONV, m) for m in mixed.measurements}
    assert [name for name, share in shares.items() if share is not None] == ["minicnn numba", "torch contiguous"]
    shown = table.markdown(mixed)
    rows = {cells[1]: cells for line in shown.splitlines() if line.startswith("|") for cells in [[c.strip() for c in line.split("|")]]}
    assert rows["minicnn cuda"][-5:] == ["-", "3.00", "1.00 (1.00–1.00)", "SAME", ""]
    assert rows["torch CUDA TF32"][-5:] == ["-", "3.00", "1", "best", ""]
    assert "On a GPU arrays are there beforehand" in shown
    assert "On a GPU" not in table.markdown(results(measured(CONV, "minicnn numba", 1e-3)))


def test_the_summary_has_a_column_of_torch_for_each_league(mixed: Results) -> None:
    first = summary.summary(mixed)[0]
    assert [column.head for column in first.columns] == ["problem", "minicnn numba", "minicnn cuda", "cuda-tensor-cores", "torch's best",
                                                         "torch's best (GPU)", "torch's best (GPU, TF32)"]
    assert first.rows[1][1:] == ["0.50", "≈1.00", "0.25", "1.00 ms (contiguous)", "20.0 µs (channels_last)", "5.00 µs (TF32)"]
    assert "bars" in plots.drawings(mixed)
    plots.draw("bars", mixed)
    plots.draw("roofline", mixed)


def test_results_keep_their_leagues(mixed: Results, tmp_path: Any) -> None:
    (tmp_path / "conv.json").write_text(mixed.to_json())
    assert Results.load(tmp_path / "conv.json").leagues() == mixed.leagues()
    assert '"league"' in mixed.to_json()
    old = re.sub(r', "league": "[^"]*"', "", mixed.to_json())
    (tmp_path / "old.json").write_text(old)
    assert Results.load(tmp_path / "old.json").leagues() == ["CPU"], "from before there were leagues"


def test_two_runs_compare_within_leagues(mixed: Results) -> None:
    faster = dataclasses.replace(mixed, measurements=[measured(CONV, m.contestant, m.median / (2 if m.contestant == "minicnn cuda" else 1))
                                                      for m in mixed.measurements])
    changes = {c.contestant: (c.basis, c.ratio) for c in comparison.compare_runs(mixed, faster)}
    assert changes["minicnn cuda"] == ("torch", pytest.approx(2))
    assert changes["cuda-tensor-cores"] == ("torch", 1)
    mixed.machine["gpu"], faster.machine = {"name": "A", "driver": "1"}, {**faster.machine, "gpu": {"name": "B", "driver": "1"}}
    assert "The GPU differs: A in A, B in B." in comparison.warnings(mixed, faster)


def test_the_gpu_is_described() -> None:
    found = {"name": "NVIDIA H100", "compute_capability": "9.0", "driver": "570.86", "clock_max_mhz": 1980, "power_limit_w": 700.0}
    assert describe.gpu(found) == "NVIDIA H100 (compute capability 9.0, driver 570.86, up to 1980 MHz, 700 W)"
    assert describe.machine({"cpu": "A model", "gpu": found}) == f"A model, {describe.gpu(found)}"
    assert describe.gpu({}) == ""


def test_those_who_are_missing_for_the_same_reason_are_one_line() -> None:
    found = results(refused(CONV, "a", ""), missing={"minicnn cuda": "no GPU", "torch CUDA": "no GPU", "JAX": "not installed"})
    assert describe.missing(found) == [["minicnn cuda, torch CUDA are missing: no GPU.", "JAX is missing: not installed."]]
