"""`minicnn bench` as people type it: tables, files, comparison, interruption."""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from minicnn import kernels
from minicnn.benchmarks import collect, run
from minicnn.benchmarks.contestants import BACKENDS, PEERS, Contestant, with_minicnn
from minicnn.benchmarks.recipe_results import RecipeResults
from minicnn.benchmarks.results import CPU, Entrant, Results
from minicnn.cli import app

QUICK = ["--threads", "1", "--rounds", "2", "--seconds", "0.001"]


def ok(*args: Any) -> str:
    result = CliRunner().invoke(app, ["bench", *map(str, args)], prog_name="minicnn")
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def conv(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What is printed, and the file."""
    path = tmp_path_factory.mktemp("bench") / "conv.json"
    who = ["--contestants", "minicnn,torch cont", "--subnormal"]
    return ok("conv", "mb1ic2ih5oc3kh3", "mb2ic2ih5oc3kh3", *QUICK, *who, "--json", path), path


def test_what_is_printed(conv: tuple[str, Path]) -> None:
    text, path = conv
    assert text.count("mb1ic2ih5oc3oh3kh3, ") == text.count("mb2ic2ih5oc3oh3kh3, ") == 3
    for direction in ("forward", "grad_input", "grad_weight"):
        assert f"mb1ic2ih5oc3oh3kh3, {direction}: 486 MAC, " in text
    for backend, algorithm in (("numpy", "im2col + matrix product"), ("numba", "Register tiles")):
        rows = [line for line in text.splitlines() if line.startswith(f"minicnn {backend}") and algorithm in line]
        assert len(rows) == 6
        assert all(" exact " in row and row.split()[-1] in ("FASTER", "SLOWER", "SAME", "UNCLEAR") for row in rows)
    assert f"minicnn cuda is missing: {with_minicnn.missing('cuda')}." in text
    assert "minicnn numpy takes " in text
    assert "times as long on subnormal inputs" in text
    assert "1 thread, 2 rounds" in text
    assert text.endswith(f"saved in {path}\n")


def test_what_is_saved(conv: tuple[str, Path]) -> None:
    results = Results.load(conv[1])
    assert (results.kind, results.suite) == ("conv", "part of conv-1")
    assert results.settings["threads"] == 1
    assert results.peak.keys() == {"matmul", "fma", "copy"}
    assert results.machine["cpu"]
    entrants = {e.name: e for e in results.entrants}
    assert entrants["minicnn numpy"].threads == {"openblas": 1}
    assert set(entrants["torch contiguous"].threads.values()) == {1}
    assert "torch" in entrants["torch contiguous"].threads
    assert all(m.subnormal > 0 for m in results.measurements if m.turns)
    derived = [m["derived"] for m in json.loads(conv[1].read_text())["measurements"] if m["turns"]]
    assert all(d["gflops"] > 0 and d["share_of_peak"] > 0 for d in derived)


def test_two_files_compare(conv: tuple[str, Path]) -> None:
    text = ok("compare", conv[1], conv[1])
    rows = [line.split()[-4:] for line in text.splitlines() if line.startswith(("minicnn numpy  ", "torch contiguous  "))]
    assert rows == [["0", "0", "6", "0"]] * 2, "faster, slower, same, unclear"


def test_plots(conv: tuple[str, Path], tmp_path: Path) -> None:
    for option, suffix, begin in (([], "png", b"\x89PNG"), (["--svg"], "svg", b"<?xml")):
        text = ok("plot", conv[1], "--out", tmp_path / "plots", *option)
        names = [f"conv-{name}.{suffix}" for name in ("bars", "roofline")]
        assert text == "".join(f"written: {tmp_path / 'plots' / name}\n" for name in names)
        assert all((tmp_path / "plots" / name).read_bytes().startswith(begin) for name in names)


def test_markdown() -> None:
    text = ok("pool", "max:mb1ic2ih4kh2sh2", *QUICK, "--no-peers", "--backend", "numpy", "--markdown", "--directions", "backward")
    table = [line for line in text.splitlines() if line.startswith("| ") and line.endswith(" |")]
    assert sum("minicnn numpy" in line for line in table) == 2     # who it is, and how fast
    assert "**max:mb1ic2ih4oh2kh2sh2, backward: " in text


def test_everything_quickly(tmp_path: Path) -> None:
    """One tiny case of every kind with minicnn's NumPy backend; README's sections are made from it, and then are up to date."""
    ok("all", tmp_path / "results", "--quick", "--no-peers", "--backend", "numpy", "--threads", "1")
    recipes = RecipeResults.load(tmp_path / "results" / "recipes.json")
    assert [(name, len(record.trainings), record.backend) for name, record in recipes.records.items()] == [("digits, 1 epoch", 1, "numpy")]
    files = {path.stem: Results.load(path) for path in (tmp_path / "results").iterdir() if path.stem != "recipes"}
    assert files.keys() == {"conv", "pool", "batch-norm", "linear", "cross-entropy", "train", "infer", "accuracy", "ladder"}
    for name, results in files.items():
        assert results.kind == name
        assert any(m.turns for m in results.measurements)
        assert not [m.refused for m in results.measurements if m.refused]
    readme = tmp_path / "README.md"
    readme.write_text("".join(f"# {name}\n<!-- bench:{name} -->\n<!-- /bench:{name} -->\n" for name in (*files, "recipes", "machine")))
    where = ["--readme", readme, "--results", tmp_path / "results", "--plots", tmp_path / "plots"]
    stale = CliRunner().invoke(app, ["bench", "report", *map(str, where), "--check"], prog_name="minicnn")
    assert stale.exit_code == 1
    assert f"stale: section bench:conv of {readme}" in stale.stdout
    assert f"written: section bench:conv of {readme}" in ok("report", *where)
    assert ok("report", *where, "--check") == "everything is up to date\n"


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent in another way there")
def test_ctrl_c_keeps_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "conv.json"
    command = [sys.executable, "-m", "minicnn.cli", "bench", "conv", "--backend", "numpy", "--no-peers", *QUICK, "--json", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not (path.exists() and Results.load(path).measurements) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    text, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    results = Results.load(path)
    assert results.notes[-1] == "The run was interrupted: cases are missing."
    assert results.measurements
    assert "Note: The run was interrupted: cases are missing." in text
    assert errors.splitlines()[-1] == "interrupted"


def test_who_takes_part() -> None:
    everyone = [*BACKENDS, *PEERS]
    assert [c.name for c in collect.choose("minicnn numpy,torch c", everyone)[0]] == ["minicnn numpy", "torch contiguous",
                                                                                      "torch channels_last"]
    present, absent = collect.choose("minicnn", everyone)
    assert [c.name for c in present] + [e.name for e in absent] == [c.name for c in BACKENDS]
    assert {e.name: e.missing for e in absent} == {"minicnn cuda": with_minicnn.missing("cuda")}


def test_a_missing_peer_is_named_or_refused() -> None:
    absentee = Contestant("MXNet", "tests.benchmarks.liar", "missing")
    present, absent = collect.choose(None, [*BACKENDS[:2], absentee])
    assert absentee not in present
    assert [(e.name, e.missing) for e in absent] == [("MXNet", "it is never there")]
    with pytest.raises(ValueError, match=r"^MXNet cannot take part: it is never there$"):
        collect.choose("mxnet", [absentee])


def test_peers_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    reasons = {c.name: c.missing() for c in PEERS}
    assert reasons == {
        **dict.fromkeys(["torch contiguous", "torch channels_last", "torch.compile", "torch CUDA contiguous", "torch CUDA channels_last"],
                        "the package torch is not installed: pip install 'minicnn[peers]'"),
        "JAX": "the package jax is not installed: pip install 'minicnn[peers]'",
        "ONNX Runtime": "the packages onnx and onnxruntime are not installed: pip install 'minicnn[peers]'"}


def test_those_that_only_infer_do_not_train() -> None:
    assert "ONNX Runtime" in [c.name for c in run.contestants(None, None, True)[0]]
    assert "ONNX Runtime" not in [c.name for c in run.contestants(None, None, True, trains=True)[0]]


def test_a_backend_races_with_peers_on_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kernels._BACKENDS, "cuda", ("cuda_backend", lambda: None))
    monkeypatch.setattr(Contestant, "missing", lambda self: None)
    assert [c.name for c in run.contestants(None, "cuda", True)[0]] == ["minicnn cuda", "torch CUDA contiguous", "torch CUDA channels_last"]
    assert [c.league for c in run.contestants(None, "numpy", True)[0]] == [CPU] * 6
    assert len(run.contestants(None, None, True)[0]) == len(BACKENDS) + len(PEERS)
    assert [c.name for c in run.contestants(None, "cuda", False)[0]] == ["minicnn cuda"]


def test_a_simulated_device_is_not_timed() -> None:
    with pytest.raises(ValueError, match=r"^backend 'cuda-sim' is not timed: a simulated device has no speed of its own$"):
        run.contestants(None, "cuda-sim", False)


def test_another_number_of_threads_is_noted() -> None:
    results = Results("conv", "conv-1", {"threads": 2}, {}, entrants=[Entrant("JAX"), Entrant("torch")])
    for _ in range(2):
        collect.enter(results, {"JAX": {"what": "JAX 1", "threads": {"openblas": 2, "xla": 3}}, "torch": {"what": "torch 2"}})
    assert results.notes == ["JAX was not given 2 threads: xla has 3"]
    assert results.entrants == [Entrant("JAX", "JAX 1", threads={"openblas": 2, "xla": 3}), Entrant("torch", "torch 2")]
