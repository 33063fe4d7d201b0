"""What README shows runs as it is printed there."""
from pathlib import Path

import pytest

EXAMPLE = """
import torch
from minicnn import interop

theirs = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 6 * 6, 10))
ours = interop.from_torch(theirs)                                # the same network in minicnn; interop.to_torch(ours) is the way back
ours.load_state_dict(interop.from_torch(theirs.state_dict()))    # or weights alone, for a class that was written in both
interop.save_file(ours, "weights.safetensors")                   # safetensors.torch.load_file reads it, and the other way round:
ours.load_state_dict(interop.load_file("weights.safetensors"))
pixels = torch.from_dlpack(minicnn.zeros(1, 1, 8, 8))            # one memory, no copy; minicnn.from_dlpack(pixels) too
"""


def test_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import minicnn

    monkeypatch.chdir(tmp_path)
    names = {"minicnn": minicnn}
    exec(EXAMPLE, names)
    assert names["theirs"](names["pixels"]).shape == names["ours"](minicnn.from_dlpack(names["pixels"])).shape == (1, 10)
    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]
