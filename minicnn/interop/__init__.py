"""Weights that travel: networks, state dicts and tensors to torch and back, and .safetensors files that other libraries read and write."""
from minicnn.interop.files import load_file, load_metadata, load_model, save_file
from minicnn.interop.with_torch import from_torch, to_torch

__all__ = ["from_torch", "load_file", "load_metadata", "load_model", "save_file", "to_torch"]
