"""The command `minicnn`, called in this process."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner, Result

from minicnn.cli import app


def minicnn(*args: str | Path) -> Result:
    """What it printed, and its exit status."""
    return CliRunner().invoke(app, [str(arg) for arg in args], prog_name="minicnn")


def ok(*args: str | Path) -> str:
    """What it printed on stdout, where it must succeed."""
    result = minicnn(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*args: str | Path) -> str:
    """What it said, where it must fail."""
    result = minicnn(*args)
    assert result.exit_code == 1, result.output
    return result.output.strip()


def quick_run(out: Path) -> Path:
    """The folder of a training run of one epoch on the digits."""
    ok("train", "--epochs", "1", "--out", out, "--quiet")
    (folder,) = out.iterdir()
    return folder


def random_image(path: Path) -> Path:
    """A PNG file of 8 x 8 grey pixels, as the digits have them."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)).save(path)
    return path
