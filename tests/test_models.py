"""The networks: parameter counts, shapes for many image sizes, gradients everywhere, and the same scores as torch's."""
import re
from typing import Any

import numpy as np
import pytest
import torch

import minicnn
from minicnn import Tensor, models, nn
from tests.nn.beside_torch import compare
from tests.strategies import floats

COUNTS = [
    ("lenet", 1, 28, 10, 156 + 2416 + 48120 + 10164 + 850),             # = 61,706
    ("lenet", 1, 32, 10, 61706),
    ("lenet", 3, 32, 10, 62006),
    ("tinyvgg", 1, 28, 10, 320 + 9248 + 18496 + 36928 + 3136 * 128 + 128 + 1290),
    ("resnet8", 3, 32, 10, 78042),
    ("resnet20", 3, 32, 10, 269722 + 2752),                             # the paper's 0.27 M, and two projection shortcuts
    ("digits", 1, 8, 10, 9 * (32 + 32 * 32 + 32 * 64) + 2 * (32 + 32 + 64) + 1024 * 10 + 10),
]


@pytest.mark.parametrize(("name", "channels", "size", "classes", "count"), COUNTS)
def test_parameter_count(name: str, channels: int, size: int, classes: int, count: int) -> None:
    assert sum(p.numel() for p in models.create(name, channels, size, classes).parameters()) == count


def test_vgg16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, and run at the smallest sizes, without drawing 138 million numbers: zeros take no memory until they are written."""
    monkeypatch.setattr(nn.init, "uniform_", lambda tensor, a, b: tensor)
    for layers in (nn.conv, nn.linear):
        monkeypatch.setattr(layers, "empty", lambda *shape, dtype=None: np.zeros(shape, np.float32))
    net = models.VGG16()
    assert sum(p.numel() for p in net.parameters()) == 138_357_544
    convolutions = [i for i, layer in enumerate(net.features) if isinstance(layer, nn.Conv2d)]
    assert convolutions == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]  # torchvision's names, so that its weights load
    assert [n for n, _ in net.classifier.named_parameters()] == [f"{i}.{p}" for i in (0, 3, 6) for p in ("weight", "bias")]
    net.classifier = nn.Sequential(nn.Identity())
    with minicnn.no_grad():
        assert net(Tensor(np.zeros((1, 3, 33, 40), np.float32))).shape == (1, 512 * 7 * 7)


@pytest.mark.parametrize("size", [(12, 12), (13, 32), 28, (33, 40), 64], ids=str)
@pytest.mark.parametrize("name", [name for name in models.MODELS if name != "vgg16"])
def test_fits_any_image_size(name: str, size: Any) -> None:
    net = models.create(name, 2, size, 7).eval()
    H, W = size if isinstance(size, tuple) else (size, size)
    with minicnn.no_grad():
        assert net(Tensor(np.zeros((1, 2, H, W), np.float32))).shape == (1, 7)


@pytest.mark.parametrize(("name", "smallest"), [
    ("digits", 2), ("lenet", 12), ("convnet", 4), ("tinyvgg", 4), ("resnet8", 4), ("resnet20", 4)])
def test_the_smallest_image(name: str, smallest: int) -> None:
    assert models.create(name, 1, smallest, 3).eval()(Tensor(np.zeros((1, 1, smallest, smallest), np.float32))).shape == (1, 3)
    with pytest.raises(ValueError, match=f"images of {smallest}x{smallest - 1} are too small"):
        models.create(name, 1, (smallest, smallest - 1), 3)


@pytest.mark.parametrize(("name", "message"), [
    ("lenet", "LeNet: images of 8x8 are too small: height and width must be at least 12 "
              "(12 + 2*2 - 4 = 12, pooled 6, 6 - 4 = 2, pooled 1 pixel is left)"),
    ("vgg16", "VGG16: images of 8x8 are too small: height and width must be at least 32 (its five max pools divide it by 32)"),
    ("alexnet", f"unknown model 'alexnet'; there are: {', '.join(models.MODELS)}"),
])
def test_errors(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        models.create(name, 1, 8, 10)


@pytest.mark.parametrize(("options", "message"), [
    ({"layers": []}, "ConvNet: layers is [], expected at least one number of channels"),
    ({"layers": ["pool"]}, "ConvNet: layers is ['pool'], expected at least one number of channels"),
    ({"layers": [16, "pol"]}, "ConvNet: layers holds 'pol', expected numbers of channels and \"pool\", such as [16, \"pool\", 32]"),
    ({"layers": [16, 0]}, "ConvNet: layers holds 0, expected numbers of channels and \"pool\", such as [16, \"pool\", 32]"),
    ({"layers": [True]}, "ConvNet: layers holds True, expected numbers of channels and \"pool\", such as [16, \"pool\", 32]"),
    ({"layers": "pool"}, "ConvNet: layers is 'pool', expected a list of numbers of channels and \"pool\", such as [16, \"pool\", 32]"),
    ({"layers": [4, "pool", "pool", "pool", "pool"]},
     "ConvNet: images of 8x8 are too small: height and width must be at least 16 (its 4 max pools divide it by 16)"),
    ({"head": "max"}, "ConvNet: head is 'max', expected 'mean' or 'flatten'"),
    ({"dropout": 2.0}, "Dropout: p is 2.0: a probability is between 0 and 1"),
    ({"width": 3}, "the model convnet has no option 'width'; it has layers, head, dropout"),
])
def test_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        models.create("convnet", 1, 8, 10, **options)


@pytest.mark.parametrize("name", [name for name in models.MODELS if name != "vgg16"])
def test_every_parameter_learns(name: str) -> None:
    minicnn.manual_seed(0)
    net = models.create(name, 1, 16, 4)
    net(Tensor(floats((8, 1, 16, 16), 0))).square().sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.array.any()] == []


def test_every_model_says_what_it_is() -> None:
    for name in models.MODELS:
        assert len(models.describe(name)) > 20, name


def torch_digits() -> torch.nn.Module:
    t = torch.nn
    net = t.Sequential()
    net.features = t.Sequential(
        t.Conv2d(1, 32, 3, padding=1, bias=False), t.BatchNorm2d(32), t.ReLU(),
        t.Conv2d(32, 32, 3, padding=1, bias=False), t.BatchNorm2d(32), t.ReLU(), t.MaxPool2d(2),
        t.Conv2d(32, 64, 3, padding=1, bias=False), t.BatchNorm2d(64), t.ReLU(), t.Dropout(0.3))
    net.classifier = t.Sequential(t.Flatten(), t.Linear(1024, 10))
    return net


def torch_convnet() -> torch.nn.Module:
    t = torch.nn
    net = t.Sequential()
    net.features = t.Sequential(t.Conv2d(1, 3, 3, padding=1, bias=False), t.BatchNorm2d(3), t.ReLU(), t.MaxPool2d(2),
                                t.Conv2d(3, 5, 3, padding=1, bias=False), t.BatchNorm2d(5), t.ReLU())
    net.classifier = t.Sequential(t.Flatten(), t.Dropout(0.2), t.Linear(80, 10))
    return net


def torch_tinyvgg() -> torch.nn.Module:
    t = torch.nn
    net = t.Sequential()
    net.features = t.Sequential(
        t.Conv2d(1, 32, 3, padding=1), t.ReLU(), t.Conv2d(32, 32, 3, padding=1), t.ReLU(), t.MaxPool2d(2),
        t.Conv2d(32, 64, 3, padding=1), t.ReLU(), t.Conv2d(64, 64, 3, padding=1), t.ReLU(), t.MaxPool2d(2))
    net.classifier = t.Sequential(t.Flatten(), t.Linear(256, 128), t.ReLU(), t.Linear(128, 10))
    return net


def torch_article() -> torch.nn.Module:
    t = torch.nn
    return t.Sequential(t.Conv2d(1, 3, 4, padding="same"), t.ReLU(), t.MaxPool2d(2),
                        t.Conv2d(3, 6, 4, padding="same"), t.ReLU(), t.MaxPool2d(2))


@pytest.mark.parametrize(("ours", "theirs"), [
    (lambda: models.DigitsNet(1, 8, 10), torch_digits),
    (lambda: models.ConvNet(1, 8, 10, [3, "pool", 5], "flatten", 0.2), torch_convnet),
    (lambda: models.TinyVGG(1, 8, 10), torch_tinyvgg),
    (lambda: models.MultiLayerCNN(1, 3, 4, 2), torch_article),
    (lambda: models.SimpleConvNet(1, 3, 4), lambda: torch_article()[:1]),
    (lambda: models.ConvMaxPoolNet(1, 3, 4, 2), lambda: torch.nn.Sequential(torch_article()[0], torch.nn.MaxPool2d(2))),
], ids=["digits", "convnet", "tinyvgg", "MultiLayerCNN", "SimpleConvNet", "ConvMaxPoolNet"])
def test_as_torch(ours: Any, theirs: Any) -> None:
    """In eval mode, where dropout is still and batch norm uses its running statistics."""
    mine, peer = ours().double().eval(), theirs().double().eval()
    mine.load_state_dict(dict(zip(mine.state_dict(), peer.state_dict().values(), strict=True)))
    compare(mine, peer, floats((3, 1, 8, 8), 0, np.float64))
