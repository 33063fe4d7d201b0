"""How the user can call this program again."""
from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def command() -> str:
    """By its name, or by the path it was called by where the name is not on the PATH."""
    named = shutil.which("minicnn") or Path(sys.argv[0]).stem != "minicnn"
    return "minicnn" if named else shlex.quote(sys.argv[0])
