"""Event files for TensorBoard: curves of epochs and batches, histograms of the weights, the settings and the test.

The files are written by TensorBoard's own writer (the extra `tensorboard`), which needs neither TensorFlow nor torch.
"""
from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from minicnn.kernels import devices
from minicnn.nn import Module
from minicnn.tensor import Tensor
from minicnn.training.loop import Epoch, Evaluation, Observer

BATCHES = 10                                                   # every so many, the loss of one is written
LARGEST = 5_000_000                                            # weights of a network: of more, no histograms


class TensorBoard(Observer):
    """An observer that writes an event file into the folder of a run: `tensorboard --logdir runs` shows them all.

    settings: shown under HPARAMS. The step of loss/batch is the number of images trained on so far, that of all else an epoch.
    Use it in a `with` block, at whose end the file is closed.

    Raises ImportError, which says what to install, without tensorboard.
    """

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        try:
            import tensorboard.summary.writer.event_file_writer  # noqa: F401  # to hear of it before the training, not in it
        except ImportError as error:
            raise ImportError(f"event files need TensorBoard ({error}): pip install 'minicnn[tensorboard]'") from None
        self.settings = {key: value for key, value in (settings or {}).items() if isinstance(value, str | int | float | bool)}
        self.writer: Any = None
        self.model: Module | None = None
        self.images, self.batches, self.loss, self.last_epoch = 0, 0, 0.0, 0

    def open(self, folder: Path, images: int) -> Self:
        """Begin a file in this folder. images: that an epoch trains on."""
        from tensorboard.plugins.hparams import api_pb2, summary_v2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.writer, self.images = EventFileWriter(str(folder)), images
        if self.settings:
            metrics = [summary_v2.Metric(tag, dataset_type=api_pb2.DATASET_VALIDATION) for tag in ("accuracy/validation", "accuracy/test")]
            columns = [summary_v2.HParam(key) for key in self.settings]
            self._write(summary_v2.hparams_config_pb(columns, metrics), 0)
            self._write(summary_v2.hparams_pb(self.settings, trial_id=folder.name), 0)
        return self

    def before_step(self, model: Module, images: Tensor, labels: Tensor, logits: Tensor, loss: float) -> None:
        self.model, self.loss = model, loss

    def batch(self, epoch: int, images: int, loss: float, accuracy: float) -> None:
        if self.batches % BATCHES == 0:
            self._scalar("loss/batch", self.loss, (epoch - 1) * self.images + images)
        self.batches += 1

    def epoch(self, epoch: Epoch) -> None:
        self.last_epoch = epoch.number
        found = epoch.validation
        for tag, value in (
            ("loss/training", epoch.loss), ("accuracy/training", epoch.accuracy),
            ("loss/validation", found.loss if found else None), ("accuracy/validation", found.accuracy if found else None),
            ("learning_rate", epoch.lr), ("images_per_second", epoch.images_per_second),
        ):
            if value is not None:
                self._scalar(tag, value, epoch.number)
        self._histograms(epoch.number)
        self.writer.flush()

    def test(self, found: Evaluation) -> None:
        """Of the best weights, once, after the training."""
        self._scalar("loss/test", found.loss, self.last_epoch)
        self._scalar("accuracy/test", found.accuracy, self.last_epoch)

    def _histograms(self, step: int) -> None:
        """Of every parameter, unless there are very many."""
        from tensorboard.plugins.histogram.summary_v2 import histogram_pb

        named = list(self.model.named_parameters()) if self.model else []
        if sum(p.numel() for _, p in named) > LARGEST:
            return
        for name, parameter in named:
            values = devices.host(parameter.array)
            if values.size and np.isfinite(values).all():
                self._write(histogram_pb(f"weights/{name}", values), step)

    def _scalar(self, tag: str, value: float, step: int) -> None:
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        self._write(scalar_pb(tag, value), step)

    def _write(self, summary: Any, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self.writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.writer:
            self.writer.close()
