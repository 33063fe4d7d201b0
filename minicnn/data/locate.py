"""Where dataset files may already be, and where to put new ones."""
from __future__ import annotations

import os
from pathlib import Path

from minicnn.data.sources import Source
from minicnn.kernels.user_cache import cache_folder


class DatasetNotFound(FileNotFoundError):
    """A dataset's files are neither on this machine nor to be had from a mirror; says which are missing and where to put them."""

    def __init__(self, source: Source, folder: Path, why: str) -> None:
        missing = ", ".join(f"{file.name} ({file.size:,} bytes)" for file in source.files if not (folder / file.name).is_file())
        super().__init__(f"dataset {source.name}: files are missing and {why}: put {missing} in {folder}, "
                         "or name the folder that has them with --data")


def find(source: Source, root: str | Path | None = None) -> dict[str, Path] | None:
    """The dataset's files as {published name: path}, from the first folder that has all of them; None when no folder has.

    Looks in `root`, in $MINICNN_DATA, in $MINICNN_CACHE or the user's cache, and where the operating system's package puts them; in each of
    the first three directly and in the dataset's own sub-folder; for each file also without .gz.
    """
    folders = [base / inside for base in _bases(root) for inside in source.folders]
    for folder in [*folders, *source.system]:
        for names in (tuple(file.name for file in source.files), source.unpacked):
            paths = {name: path for name in names if (path := _existing(folder, name))}
            if names and len(paths) == len(names):
                return paths
    return None


def download_folder(source: Source, root: str | Path | None = None) -> Path:
    """Where a download goes: the dataset's sub-folder of `root`, else of $MINICNN_DATA, else of the user's cache."""
    bases = _bases(root)
    if not bases:
        raise ValueError(f"dataset {source.name}: there is no home folder to keep it in: name a folder with --data or MINICNN_DATA")
    return bases[0] / source.name


def _bases(root: str | Path | None) -> list[Path]:
    given = [root, os.environ.get("MINICNN_DATA"), cache_folder()]
    bases = [Path(os.path.expanduser(base)) for base in given if base]
    for base in bases:
        if base.is_file():
            raise NotADirectoryError(f"{base} is a file: name the folder that holds the datasets")
    return bases


def _existing(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / name.removesuffix(".gz")) if path.is_file()), None)
