"""The fingerprint: complete, true to this process, free of names and paths; and the warnings about what bends results."""
import json
import os
import platform
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minicnn.benchmarks import machine, threads


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return machine.fingerprint()


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    return [value] if isinstance(value, str) else []


def test_the_fingerprint_survives_json(found: dict[str, Any]) -> None:
    assert json.loads(json.dumps(found)) == found


def test_the_fingerprint_says_what_is_here(found: dict[str, Any]) -> None:
    assert found["architecture"] == platform.machine()
    assert found["python"] == f"{platform.python_implementation()} {platform.python_version()}"
    assert found["libraries"]["numpy"] == np.__version__
    assert found["libraries"].keys() <= set(machine.LIBRARIES)
    assert found["blas"] == threads.blas_kernel()
    assert 1 <= found["physical_cores"] <= found["logical_cores"] <= (os.cpu_count() or 1)
    assert found["memory"] > 2**28
    assert all(2**10 <= size < 2**32 for size in found["caches"].values())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["date"])
    assert found["cpu"] == found["cpu"].strip() != ""
    assert found["revision"] is None or re.fullmatch(r"[0-9a-f]{40}(\+changes)?", found["revision"])


def test_the_instruction_sets_are_linuxs(found: dict[str, Any]) -> None:
    if not Path("/proc/cpuinfo").exists():
        pytest.skip("no /proc/cpuinfo to compare with")
    words = set(Path("/proc/cpuinfo").read_text().split())
    assert set(found["isa"]) <= words
    chosen_by = {"sse4_1", "avx", "avx2", "fma", "avx512f", "asimd"}
    assert chosen_by & set(found["isa"]) == chosen_by & words


def test_nothing_tells_whose_machine_it_is(found: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(Path.home() / "cache"))
    monkeypatch.setenv("MINICNN_DATA", "C:\\data")
    private = {str(Path.cwd()), socket.gethostname(), str(Path.home()), Path.home().name} - {"", "/"}
    for text in _strings(found | {"environment": machine.environment()}):
        assert not re.search(r"(^|[\s:='\"])([A-Z]:)?[/\\]", text), text
        assert not any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in private), text


def test_the_environment_is_that_of_pools_and_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in machine.environment():
        monkeypatch.delenv(name)
    for name, value in (("OMP_NUM_THREADS", "2"), ("OPENBLAS_CORETYPE", "Haswell"), ("NPROC", "1"), ("OMPLETE", "x"), ("PATH", "x")):
        monkeypatch.setenv(name, value)
    assert machine.environment() == {"NPROC": "1", "OMP_NUM_THREADS": "2", "OPENBLAS_CORETYPE": "Haswell"}


def test_a_cpu_without_a_model_name_is_asked_of_py_cpuinfo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self: "processor\t: 0\nFeatures\t: fp asimd\n")
    monkeypatch.setattr(machine.cpuinfo, "get_cpu_info", lambda: {"brand_raw": "Neoverse-N1"})
    assert machine.cpu_name() == "Neoverse-N1"
    monkeypatch.setattr(Path, "read_text", lambda self: "processor\t: 0\nmodel name\t: A CPU @ 2 GHz: fast \nmodel name\t: another\n")
    assert machine.cpu_name() == "A CPU @ 2 GHz: fast"


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false",
                           *arguments], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit: code/a.py and README."""
    _git(tmp_path, "init", "-q")
    (tmp_path / "code").mkdir()
    for name in ("code/a.py", "README"):
        (tmp_path / name).write_text("1\n")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-q", "-m", "one", "--no-verify")
    return tmp_path


def test_the_revision_is_the_commit(checkout: Path) -> None:
    assert machine.revision(checkout / "code") == _git(checkout, "rev-parse", "HEAD")


@pytest.mark.parametrize("changed", ["code/a.py", "code/new.py", "b.cu"])
def test_changed_and_new_source_is_said(checkout: Path, changed: str) -> None:
    (checkout / changed).write_text("2\n")
    assert machine.revision(checkout / "code") == _git(checkout, "rev-parse", "HEAD") + "+changes"


def test_results_and_texts_do_not_change_what_runs(checkout: Path) -> None:
    (checkout / "results.json").write_text("{}")
    (checkout / "README").write_text("2\n")
    assert machine.revision(checkout / "code") == _git(checkout, "rev-parse", "HEAD")


def test_an_installed_package_has_no_revision(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = checkout / "venv"
    installed.mkdir()
    (installed / "a.py").write_text("1\n")
    assert machine.revision(installed) is None                 # inside a checkout, but not of it
    assert machine.revision(checkout / "missing") is None
    monkeypatch.setenv("PATH", "")
    assert machine.revision(checkout / "code") is None         # no git


def test_an_idle_machine_as_it_comes_has_no_warnings() -> None:
    assert machine.warnings({"environment": {"OMP_NUM_THREADS": "1"}, "blas": "openblas 0.3.31 Zen", "busy": 0.19}) == []


def test_a_forced_blas_kernel_is_warned_of() -> None:
    forced = {"environment": {"OPENBLAS_CORETYPE": "Haswell"}, "blas": "openblas 0.3.31 Haswell", "busy": 0.0}
    assert machine.warnings(forced) == [
        "OPENBLAS_CORETYPE=Haswell in the environment: NumPy's matrix product (openblas 0.3.31 Haswell) does not run the way OpenBLAS "
        "would choose for this CPU, and its times are not those that NumPy has here otherwise; run with "
        "`env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE`"]
    forced["environment"]["OPENBLAS_L2_SIZE"] = "262144"
    assert machine.warnings(forced)[0].startswith("OPENBLAS_CORETYPE=Haswell and OPENBLAS_L2_SIZE=262144 in the environment: ")


def test_a_busy_machine_is_warned_of() -> None:
    assert machine.warnings({"environment": {}, "blas": "", "busy": 1.26}) == [
        "other processes kept 1.3 cores busy when the run began: any time may be too long"]
