"""README tells the truth: its example runs, and the files and commands that it names exist."""
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from minicnn.benchmarks.reporting.report import update
from minicnn.cli import app
from minicnn.kernels.cuda_backend import nvrtc
from minicnn.training import recipe_file

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
HEADINGS = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", README, re.MULTILINE)]
TYPED = "".join(block for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL) if not language)
COMMANDS = sorted(set(re.findall(r"^minicnn ((?:bench |simulate )?[a-z-]+)", TYPED, re.MULTILINE)))


def test_the_examples_run_and_learn(tmp_path: Path) -> None:
    """The blocks one after the other, as a reader would type them."""
    assert len(PYTHON) == 4
    out = subprocess.run([sys.executable, "-c", "\n".join(PYTHON)], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    match = re.fullmatch(r"([\d.]+)% of the held-out digits are right\n", out)
    assert match, out
    assert float(match[1]) > 92


def test_the_recipe_is_one() -> None:
    """It is that of fashion-fast, but for what stands at its default or is of no matter there."""
    shown, = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    found, whole = recipe_file.parse(shown, "fashion-fast"), recipe_file.read("fashion-fast")
    for name in ("model", "options", "dataset", "batch_size", "optimizer", "lr", "adamw_lr", "epochs"):
        assert getattr(found, name) == getattr(whole, name), name


def test_every_picture_and_file_exists() -> None:
    named = re.findall(r"\]\(([^)]+)\)", README) + re.findall(r"`((?:kernels|minicnn|tests|benchmarks)/[^` ]*)`", README)
    assert len(named) > 8
    for name in named:
        if name.startswith("#"):                               # a heading of README itself
            assert name[1:] in HEADINGS, name
        else:
            assert (ROOT / name).exists(), name


def test_benchmark_sections_are_those_of_the_results() -> None:
    """What `minicnn bench report --check` says."""
    assert update(ROOT / "README.md", ROOT / "benchmarks/results", ROOT / "docs/bench", check=True) == []


@pytest.mark.skipif(bool(nvrtc.missing()), reason=str(nvrtc.missing()))
def test_the_simulated_rungs_are_what_the_command_prints() -> None:
    """Another version of the compiler may count a little differently: then put what `minicnn simulate conv --markdown` prints there."""
    printed = CliRunner().invoke(app, ["simulate", "conv", "--markdown"]).stdout
    assert f"<!-- simulate:conv -->\n\n{printed}\n<!-- /simulate:conv -->" in README


def test_the_claims_are_what_the_command_prints() -> None:
    printed = CliRunner().invoke(app, ["claims", "--quick", "--markdown"]).stdout
    assert f"<!-- claims -->\n\n{printed}\n<!-- /claims -->" in README


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_exists(command: str) -> None:
    assert len(COMMANDS) > 8
    run = subprocess.run([sys.executable, "-m", "minicnn.cli", *command.split(), "--help"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "Example" in run.stdout
