"""A CUDA device in NumPy: it runs the kernels' compiled PTX, checks every access, and counts what a profiler would.

    ENGINE.launch(...)                          what the launcher calls for arrays of this device
    ENGINE.run_source(text, name, ...)          a kernel from a string
    with ENGINE.counting() as counts: ...       counts[i]: of the launch number i in it
    with ENGINE.tracing("conv2d_tiled") as requests: ...      the addresses of one warp's requests
"""
from minicnn.kernels.cuda_backend.nvrtc import missing
from minicnn.kernels.cuda_backend.simulator.array import DeviceArray, empty, to_device
from minicnn.kernels.cuda_backend.simulator.counts import Access, Counts, Request
from minicnn.kernels.cuda_backend.simulator.engine import ENGINE, Simulator
from minicnn.kernels.cuda_backend.simulator.faults import Fault, SimulatorError
from minicnn.kernels.cuda_backend.simulator.memory import MEMORY, TRANSFERS

__all__ = ["ENGINE", "MEMORY", "TRANSFERS", "Access", "Counts", "DeviceArray", "Fault", "Request", "Simulator", "SimulatorError", "empty",
           "missing", "to_device"]
