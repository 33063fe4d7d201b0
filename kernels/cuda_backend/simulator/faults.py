"""What the simulator raises: a Fault for a kernel that does something wrong, a SimulatorError for what the simulator cannot do."""
from __future__ import annotations


class SimulatorError(Exception):
    """The simulator does not know how to run this: no statement about the kernel."""


class Fault(Exception):
    """A kernel did what CUDA forbids or leaves undefined: kernel, block, thread, source line, instruction, and the numbers.

    On a GPU it would end in a wrong result now and then, or in "an illegal memory access was encountered" without any of these.
    """

    def __init__(self, kernel: str, message: str) -> None:
        super().__init__(f"kernel {kernel}: {message}")
        self.kernel = kernel
