"""environment.json: what it must say, and what it must not."""
from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest

from minicnn import __version__
from minicnn.training import environment as module
from minicnn.training.environment import command_line, environment, revision, variables


def test_what_it_says() -> None:
    found = environment()
    assert json.loads(json.dumps(found)) == found
    assert found["versions"]["minicnn"] == __version__
    assert found["versions"]["numpy"] == np.__version__
    assert found["python"].endswith(platform.python_version())
    assert 1 <= found["cores"] <= found["threads"] == len(os.sched_getaffinity(0))
    assert found["memory"] > 2**28
    assert found["cpu"]
    assert found["os"]
    assert found["date"].endswith("+00:00")
    assert "openblas" in found["blas"].lower() or found["blas"]


def test_nothing_secret_and_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that happen to begin like ours, and all others."""
    for name, value in {"SECRET": "hush1", "AWS_ACCESS_KEY_ID": "hush2", "MINICNN_TOKEN": "hush3", "MINICNN_DATA": "/home/hush4/data",
                        "OMP_PLACES": "x" * 100, "OPENBLAS_API_KEY": "hush5", "MINICNN_PASSWORD": "hush6", "OMP_NUM_THREADS": "2",
                        "MINICNN_BACKEND": "numpy"}.items():
        monkeypatch.setenv(name, value)
    found = environment()
    said = json.dumps(found)
    assert "hush" not in said
    assert "x" * 100 not in said
    assert found["variables"]["OMP_NUM_THREADS"] == "2"
    assert found["variables"]["MINICNN_BACKEND"] == "numpy"
    assert platform.node() not in said or len(platform.node()) < 3
    assert variables({"PATH": "/bin", "NUMBA_NUM_THREADS": "3"}) == {"NUMBA_NUM_THREADS": "3"}


def test_the_command_can_be_typed_again() -> None:
    assert command_line(["/usr/bin/minicnn", "train", "--name", "a b"]) == "minicnn train --name 'a b'"
    assert command_line([]) == command_line([""]) == "python"
    assert len(command_line(["minicnn", "x" * 10_000])) == 2000


def test_the_revision_is_that_of_the_checkout(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(tmp_path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert revision(tmp_path) is None
    git("init", "-q")
    (tmp_path / "a.py").write_text("a = 1\n")
    assert revision(tmp_path) is None, "somebody else's checkout, which does not track the folder"
    git("add", "a.py")
    git("commit", "-q", "-m", "x")
    assert revision(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "notes.txt").write_text("no source")
    assert revision(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "a.py").write_text("a = 2\n")
    assert revision(tmp_path) == git("rev-parse", "HEAD") + "+changes"
    assert revision(tmp_path / "none") is None


def test_a_system_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No /proc, no git, no sysconf, another system."""
    monkeypatch.setattr(module, "_text", lambda path: "")
    monkeypatch.setattr(module, "_output", lambda *command: "")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.delattr(os, "sysconf")
    found = environment()
    assert (found["cpu"], found["revision"], found["memory"], found["cores"]) == (None, None, None, None)
    assert found["threads"] == os.cpu_count()
