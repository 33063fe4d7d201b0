"""A trained network and how to feed it: from image files to classes with probabilities."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minicnn.autograd import no_grad
from minicnn.data import Normalize, read_image
from minicnn.nn import Module
from minicnn.nn.functional import softmax
from minicnn.tensor import Tensor
from minicnn.training import checkpoint
from minicnn.training.checkpoint import Description
from minicnn.training.loop import device_of
from minicnn.training.run_folder import BEST, LAST

BATCH = 256


@dataclass(frozen=True)
class Prediction:
    """The probabilities of all classes for one image, and whether it seems to be the negative of what the network was trained on."""
    path: Path
    probabilities: np.ndarray
    looks_inverted: bool

    def top(self, k: int) -> list[int]:
        """The k most probable classes, the most probable first."""
        return np.argsort(-self.probabilities, kind="stable")[:k].tolist()


class Predictor:
    """The network of a run."""

    def __init__(self, model: Module, description: Description) -> None:
        self.model, self.description = model, description

    @classmethod
    def load(cls, run: str | Path, device: str = "cpu") -> Predictor:
        """From a run's folder, or from its weights, to compute on `device`. Raises ValueError when it is neither, or damaged."""
        run = Path(run)
        path = next((run / name for name in (BEST, LAST) if (run / name).exists()), run / BEST) if run.is_dir() else run
        if not path.exists():
            why = f"it has no {BEST}" if run.is_dir() else "there is no such folder or file"
            raise ValueError(f"{run} is not a run of minicnn train: {why}")
        model, description = checkpoint.load(path)
        return cls(model.to(device), description)

    def predict(self, paths: Sequence[str | Path], invert: bool = False) -> list[Prediction]:
        """Read, resize and classify images, in grey or colour as the network was trained; invert: as negatives."""
        predictions: list[Prediction] = []
        for start in range(0, len(paths), BATCH):
            predictions += self._batch([Path(path) for path in paths[start:start + BATCH]], invert)
        return predictions

    @no_grad()
    def _batch(self, paths: list[Path], invert: bool) -> list[Prediction]:
        about = self.description
        mode = "L" if about.in_channels == 1 else "RGB"
        images = np.stack([read_image(path, mode, about.image_size) for path in paths]).astype(np.float32) / np.float32(255)
        if invert:
            images = 1 - images
        logits = self.model(Tensor(Normalize(about.mean, about.std)(images)).to(device_of(self.model)))
        return [Prediction(path, row, self._inverted(image))
                for path, row, image in zip(paths, softmax(logits, 1).cpu().array, images, strict=True)]

    def _inverted(self, image: np.ndarray) -> bool:
        """Whether a grey image's rim is bright where that of the training images was dark, or the other way round."""
        rim = float(np.mean([edge.mean() for edge in (image[:, 0], image[:, -1], image[..., 0], image[..., -1])]))
        known = self.description.background
        return self.description.in_channels == 1 and ((known < 0.35 and rim > 0.65) or (known > 0.65 and rim < 0.35))
