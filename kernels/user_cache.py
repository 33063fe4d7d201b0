"""Where minicnn keeps what can be had again: downloaded datasets and compiled kernels."""
from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def cache_folder() -> Path | None:
    """$MINICNN_CACHE, else `minicnn` in the user's cache. None without a home folder.

    The user's cache: $XDG_CACHE_HOME or ~/.cache; ~/Library/Caches on macOS; %LOCALAPPDATA% on Windows.
    """
    if own := os.environ.get("MINICNN_CACHE"):
        return Path(os.path.expanduser(own))
    with contextlib.suppress(RuntimeError):                    # no HOME, and a user that the system does not know
        return _users() / "minicnn"
    return None


def _users() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"])
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
