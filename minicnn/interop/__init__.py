"""Weights that travel: .safetensors files that other libraries read and write."""
from minicnn.interop.reader import read

__all__ = ["read"]
