"""The memory of a whole training, for any size of batch: its steps, the tests between them, batches prepared ahead, copies of weights."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn.inspect.summarizing.memory.ledger import INPUT, PARAMETERS, Block
from minicnn.inspect.summarizing.memory.step import WARM, Memory, TrainingStep
from minicnn.inspect.summarizing.memory.tape import Growing
from minicnn.nn import Module

AHEAD = 5      # batches beside the one in use: two are ready and the next is made from bytes, with two arrays beside it on the way


class TrainingMemory:
    """`at(batch)`: the most that a training takes on the backend in use. Made once for a network, as that runs it.

    optimizer, weight_decay: as in `training_memory`. copies: of the weights, such as their moving average, or those being saved.

    Raises ValueError for a network whose memory cannot be predicted.
    """

    def __init__(self, model: Module, image_shape: tuple[int, ...], optimizer: str = "adamw", weight_decay: bool = False,
                 copies: int = 0, dtype: Any = np.float32) -> None:
        self.model, self.optimizer, self.weight_decay, self.copies = model, optimizer, weight_decay, copies
        self.growing = Growing(model, image_shape, dtype)

    def at(self, batch: int, tested: int = 0) -> Memory:
        """With `batch` images a step, and tests with `tested` images at a time after an epoch; 0: without tests."""
        step = TrainingStep(self.model, self.growing.tape(batch), self.optimizer, self.weight_decay)
        copies = Block(step.ledger, self.copies * sum(p.nbytes for p in step.parameters), PARAMETERS)
        ahead = self._ahead(step, batch)
        for _ in range(WARM):
            step.run()
        del ahead
        if tested:
            ahead = self._ahead(step, tested)
            step.evaluate(self.growing.tape(tested))
            del ahead
            ahead = self._ahead(step, batch)
            step.run()
            del ahead
        del copies
        return step.memory()

    def _ahead(self, step: TrainingStep, batch: int) -> Block:
        return Block(step.ledger, AHEAD * batch * math.prod(self.growing.image_shape) * self.growing.small.itemsize, INPUT)
