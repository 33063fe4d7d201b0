"""A CUDA device in NumPy: it runs the kernels' compiled PTX, checks every access, and counts what a profiler would."""
from minicnn.kernels.cuda_backend.simulator.array import DeviceArray, empty, to_device
from minicnn.kernels.cuda_backend.simulator.memory import MEMORY, TRANSFERS

__all__ = ["MEMORY", "TRANSFERS", "DeviceArray", "empty", "to_device"]
