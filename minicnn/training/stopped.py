"""A run that was stopped: what its folder holds to go on from."""
from __future__ import annotations

import contextlib
import hashlib
import json
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.data import ArrayDataset
from minicnn.data.sources import NAMES
from minicnn.nn.arguments import at_most
from minicnn.training import recipe_file, snapshot
from minicnn.training.recipe import Recipe
from minicnn.training.snapshot import Snapshot


class Finished(ValueError):
    """There is nothing to go on with: the run is finished."""


@dataclass(frozen=True)
class Stopped:
    """A run that can be gone on with.

    recipe: what is trained. backend: what computed it so far. versions: of minicnn and what it computes with. root: where its images were
    searched first. problem: why not its newest checkpoint is used, if so.
    """
    folder: Path
    recipe: Recipe
    backend: str
    versions: Mapping[str, Any]
    root: str | None
    snapshot: Snapshot
    problem: str

    @classmethod
    def find(cls, folder: str | Path) -> Stopped:
        """The run in a folder.

        Raises Finished for one that is finished, ValueError or OSError when it is no run or holds no checkpoint that is whole.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise ValueError(f"{folder} is not the folder of a run of minicnn train")
        if finished(folder):
            snapshot.remove(folder)                            # its end may have come just before it removed them itself
            raise Finished(f"{folder} is finished: there is nothing left to do")
        found, problem = snapshot.newest(folder)
        values = found.values
        try:
            texts = [values[name] for name in ("recipe", "name", "backend")]
            place = [values["position"][name] for name in ("epoch", "batch")]
            if not all(isinstance(text, str) for text in texts) or not all(isinstance(n, int) and 0 <= n < 2**63 for n in place):
                raise ValueError("it does not say what is trained, and how far it is")
            versions = {name: version for name, version in dict(values["versions"]).items() if len(f"{name}{version}") < 100}
            root = values["root"] if isinstance(values["root"], str) else None
            recipe = replace(recipe_file.parse(texts[0]), name=texts[1])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{folder}: cannot go on with this run: {error}") from error
        return cls(folder, recipe, texts[2], versions, root, found, problem)

    @property
    def place(self) -> str:
        """From where it goes on: epoch 3, after batch 120; or epoch 3."""
        position = self.snapshot.values["position"]
        return f"from epoch {position['epoch']}" + (f", after its batch {position['batch']}" if position["batch"] else "")

    @property
    def best(self) -> dict[str, np.ndarray]:
        """The best weights so far, where they are not simply the last."""
        return {name.removeprefix("best/"): array for name, array in self.snapshot.arrays.items() if name.startswith("best/")}

    @property
    def size(self) -> at_most:
        """How large its network is: what is built to go on may not be larger."""
        arrays = [array for name, array in self.snapshot.arrays.items() if name.startswith("model/")]
        held = sum(array.size for array in arrays)
        return at_most(held, len(arrays), f"what the checkpoint holds, {held:,} numbers in {len(arrays):,} arrays")

    def differences(self, backend: str, versions: Mapping[str, str]) -> list[str]:
        """What computes otherwise than before, so that the rest may differ in its last digits from what it would have been."""
        before, now = {"backend": self.backend, **self.versions}, {"backend": backend, **versions}
        return [f"{name} {before.get(name, 'none')} before, {now.get(name, 'none')} now"
                for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]

    def check_images(self, *parts: ArrayDataset | None) -> None:
        """Raise ValueError when the images are others than those that it was trained on."""
        then, now = self.snapshot.values.get("images"), whole_of(*parts)
        if then != now:
            counts = then.get("counts") if isinstance(then, dict) else None
            how = "as many, but other pixels or labels" if counts == now["counts"] else f"{now['counts']}, not {reprlib.repr(counts)}"
            raise ValueError(f"the images (training, validation, test) are not those it was trained on: {how}; name the folder that holds "
                             "those with --data, or train anew")

    @contextlib.contextmanager
    def checked(self) -> Iterator[None]:
        """What the checkpoint is wrong about is said with the run's name."""
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{self.folder}: cannot go on with this run: {error}") from error


def finished(folder: Path) -> bool:
    """Whether a run's result.json says so."""
    path = folder / "result.json"
    try:
        if path.stat().st_size > 2**20:
            return False
        values = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and values.get("status") == "finished"


def images_are_at(recipe: Recipe) -> Recipe:
    """The recipe with the full path of its images, where they are in a folder: it may be gone on with from elsewhere."""
    return recipe if recipe.dataset in NAMES else replace(recipe, dataset=str(Path(recipe.dataset).resolve()))


def whole_of(*parts: ArrayDataset | None) -> dict[str, Any]:
    """How many images each part has, and one SHA-256 of all their pixels and labels."""
    digest = hashlib.sha256()
    for part in parts:
        for array in (part.images, part.labels) if part is not None else ():
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return {"counts": [len(part) if part is not None else 0 for part in parts], "sha256": digest.hexdigest()}
