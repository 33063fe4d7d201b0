"""Networks to start from. `create("lenet", in_channels=1, image_size=28, classes=10)` builds one by name; MODELS lists them.

All of them return scores before the softmax (logits), for CrossEntropyLoss, and take an image_size that is an int or (height, width).
"""
from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from minicnn import nn
from minicnn.kernels.window import pair
from minicnn.nn import functional as F
from minicnn.nn import fusion
from minicnn.ops import add_relu
from minicnn.tensor import Tensor

ImageSize = int | Sequence[int]
MOST_LAYERS = 1000                                             # of a list of layers, which may come from a file


class SimpleConvNet(nn.Module):
    """One convolution that keeps the image's size."""

    def __init__(self, input_channels: int, output_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(input_channels, output_channels, kernel_size, padding="same")

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class ConvMaxPoolNet(nn.Module):
    """One convolution, then max pooling, which divides the image's size by pool_size."""

    def __init__(self, input_channels: int, output_channels: int, kernel_size: int, pool_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(input_channels, output_channels, kernel_size, padding="same")
        self.pool = nn.MaxPool2d(pool_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.conv(x))


class MultiLayerCNN(nn.Module):
    """Twice convolution, ReLU and max pooling; the second convolution has twice the channels."""

    def __init__(self, input_channels: int, conv_channels: int, kernel_size: int, pool_size: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(input_channels, conv_channels, kernel_size, padding="same")
        self.pool1 = nn.MaxPool2d(pool_size)
        self.conv2 = nn.Conv2d(conv_channels, 2 * conv_channels, kernel_size, padding="same")
        self.pool2 = nn.MaxPool2d(pool_size)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(F.relu(self.conv1(x)))
        return self.pool2(F.relu(self.conv2(x)))


class DigitsNet(nn.Module):
    """A small batch-normed CNN for the embedded 8x8 digits: 32-32-pool-64 channels, and a linear layer."""

    def __init__(self, in_channels: int = 1, image_size: ImageSize = 8, classes: int = 10) -> None:
        super().__init__()
        H, W = _at_least(2, image_size, "DigitsNet", "its max pool halves it once")
        self.features = nn.Sequential(
            *_conv_norm_relu(in_channels, 32),
            *_conv_norm_relu(32, 32),
            nn.MaxPool2d(2),
            *_conv_norm_relu(32, 64),
            nn.Dropout(0.3),
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(64 * (H // 2) * (W // 2), classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


class LeNet(nn.Module):
    """LeNet-5 (LeCun et al. 1998) with ReLU and max pooling: 61,706 parameters for 28x28 digits.

    The original puts 28x28 digits in a 32x32 frame; here images smaller than 32 are padded by 2, and 32x32 ones are taken as they are.
    """

    def __init__(self, in_channels: int = 1, image_size: ImageSize = 28, classes: int = 10) -> None:
        super().__init__()
        H, W = _at_least(12, image_size, "LeNet", "12 + 2*2 - 4 = 12, pooled 6, 6 - 4 = 2, pooled 1 pixel is left")
        padding = 2 if min(H, W) < 32 else 0
        H, W = (((n + 2 * padding - 4) // 2 - 4) // 2 for n in (H, W))
        self.conv1 = nn.Conv2d(in_channels, 6, 5, padding=padding)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * H * W, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(fusion.run([self.conv1, self.relu], x), 2)      # one layer after the other, in one pass over memory
        x = F.max_pool2d(fusion.run([self.conv2, self.relu], x), 2)
        x = x.flatten(1)                                     # (N, 16, H, W) -> (N, 16·H·W)
        x = self.relu(self.fc1(x))
        x = self.relu(self.fc2(x))
        return self.fc3(x)


class TinyVGG(nn.Module):
    """Two blocks of two 3x3 convolutions and a max pool, then 128 features: VGG's pattern, small."""

    def __init__(self, in_channels: int = 1, image_size: ImageSize = 28, classes: int = 10) -> None:
        super().__init__()
        H, W = _at_least(4, image_size, "TinyVGG", "its two max pools divide it by 4")
        self.features = nn.Sequential(*_layers(in_channels, [32, 32, "pool", 64, 64, "pool"], _conv_relu))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(64 * (H // 4) * (W // 4), 128), nn.ReLU(), nn.Linear(128, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


class ConvNet(nn.Module):
    """A plain batch-normed network whose layers are a list, for recipes: 3x3 convolutions, max pools, one linear layer.

    layers: a number is a 3x3 convolution to that many channels, batch norm and ReLU; "pool" is a 2x2 max pool.
    head: what goes to the linear layer: "mean", each channel's mean over all pixels, or "flatten", every pixel.
    dropout: the share of those features that are set to 0 in training.
    """

    def __init__(self, in_channels: int = 1, image_size: ImageSize = 28, classes: int = 10,
                 layers: Sequence[int | str] = (16, "pool", 32, "pool", 64), head: str = "mean", dropout: float = 0.0) -> None:
        super().__init__()
        _check_plan(layers)
        if head not in ("mean", "flatten"):
            raise ValueError(f"ConvNet: head is {head!r}, expected 'mean' or 'flatten'")
        if isinstance(dropout, bool) or not isinstance(dropout, int | float):
            raise ValueError(f"ConvNet: dropout is {str(dropout)[:80]}, expected a number")
        pools = sum(step == "pool" for step in layers)
        H, W = _at_least(2**pools, image_size, "ConvNet", f"its {pools} max pools divide it by {2**pools}")
        self.features = nn.Sequential(*_layers(in_channels, layers, _conv_norm_relu))
        channels = [step for step in layers if isinstance(step, int)][-1]
        pixels = (H // 2**pools) * (W // 2**pools) if head == "flatten" else 1
        mean: list[nn.Module] = [nn.AdaptiveAvgPool2d(1)] if head == "mean" else []
        drop: list[nn.Module] = [nn.Dropout(dropout)] if dropout else []
        self.classifier = nn.Sequential(*mean, nn.Flatten(), *drop, nn.Linear(channels * pixels, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


class VGG16(nn.Module):
    """VGG-16 (Simonyan and Zisserman 2014, configuration D): 138,357,544 parameters for 224x224 images of 1000 classes.

    Names and order are torchvision's, and so is the adaptive pool, which brings other image sizes to the 7x7 pixels that 224x224 leaves.
    """

    def __init__(self, in_channels: int = 3, image_size: ImageSize = 224, classes: int = 1000) -> None:
        super().__init__()
        _at_least(32, image_size, "VGG16", "its five max pools divide it by 32")
        self.features = nn.Sequential(*_layers(in_channels, [
            64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512, "pool"], _conv_relu))
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(x.flatten(1))


class ResidualBlock(nn.Module):
    """y = relu(f(x) + shortcut(x)), with f two 3x3 convolutions, each batch-normed (He et al. 2016, figure 2).

    The shortcut is x itself, or a batch-normed 1x1 convolution where the block changes the shape (option B of section 3.3).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        y = fusion.run([self.conv1, self.bn1, self.relu, self.conv2, self.bn2], x)
        return add_relu(y, x if self.downsample is None else self.downsample(x))


class ResNet(nn.Module):
    """The residual network for 32x32 images of He et al. (2016), section 4.2: 6n + 2 layers in three stages of n blocks.

    16, 32 and 64 channels; the second and third stage halve the image; the mean over all pixels goes to one linear layer. The paper's
    parameter-free shortcuts (option A) are 1x1 convolutions here (option B): 2,752 parameters more.
    """
    blocks: int                                              # n

    def __init__(self, in_channels: int = 3, image_size: ImageSize = 32, classes: int = 10) -> None:
        super().__init__()
        _at_least(4, image_size, type(self).__name__, "its two strides divide it by 4")
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = self._stage(16, 16, stride=1)
        self.layer2 = self._stage(16, 32, stride=2)
        self.layer3 = self._stage(32, 64, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _stage(self, in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
        rest = [ResidualBlock(out_channels, out_channels, 1) for _ in range(self.blocks - 1)]
        return nn.Sequential(ResidualBlock(in_channels, out_channels, stride), *rest)

    def forward(self, x: Tensor) -> Tensor:
        x = fusion.run([self.conv1, self.bn1, self.relu], x)
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.avgpool(x).flatten(1))


class ResNet8(ResNet):
    """ResNet-8 for 32x32 images: one residual block a stage."""
    blocks = 1


class ResNet20(ResNet):
    """ResNet-20 for 32x32 images: three residual blocks a stage (He et al. 2016, section 4.2)."""
    blocks = 3


MODELS: dict[str, type[nn.Module]] = {
    "digits": DigitsNet, "lenet": LeNet, "convnet": ConvNet, "tinyvgg": TinyVGG, "resnet8": ResNet8, "resnet20": ResNet20, "vgg16": VGG16,
}


def describe(name: str) -> str:
    """One line about a model: the first of its docstring."""
    return (MODELS[name].__doc__ or "").splitlines()[0]


def create(name: str, in_channels: int, image_size: ImageSize, classes: int, **options: Any) -> nn.Module:
    """A new network of MODELS for images (in_channels, *image_size) of `classes` classes. options: its own, such as ConvNet's layers.

    Raises ValueError for an unknown name or option, listing the known ones, and for images too small for the network.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; there are: {', '.join(MODELS)}")
    known = list(inspect.signature(MODELS[name]).parameters)[3:]
    for option in options:
        if option not in known:
            raise ValueError(f"the model {name} has no option {option!r}; it has {', '.join(known) or 'none'}")
    return MODELS[name](in_channels, image_size, classes, **options)  # type: ignore[call-arg]  # every class in MODELS takes these three


def _conv_norm_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    """A 3x3 convolution that keeps the size; its bias would be cancelled by batch norm's mean."""
    return [nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU()]


def _conv_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU()]


def _layers(in_channels: int, plan: Sequence[int | str], block: Callable[[int, int], list[nn.Module]]) -> list[nn.Module]:
    """The layers of block(in, out) for every number of channels in the plan, a 2x2 max pool for every "pool"."""
    layers: list[nn.Module] = []
    for step in plan:
        if isinstance(step, int):
            layers += block(in_channels, step)
            in_channels = step
        else:
            layers.append(nn.MaxPool2d(2))
    return layers


def _check_plan(layers: Sequence[int | str]) -> None:
    if isinstance(layers, str) or not isinstance(layers, Sequence):
        raise ValueError(f"ConvNet: layers is {layers!r}, expected a list of numbers of channels and \"pool\", such as [16, \"pool\", 32]")
    wrong = [step for step in layers if step != "pool" and (not isinstance(step, int) or isinstance(step, bool) or step < 1)]
    if wrong:
        raise ValueError(f"ConvNet: layers holds {wrong[0]!r}, expected numbers of channels and \"pool\", such as [16, \"pool\", 32]")
    if len(layers) > MOST_LAYERS:
        raise ValueError(f"ConvNet: layers has {len(layers):,} entries, expected at most {MOST_LAYERS:,}")
    if not any(isinstance(step, int) for step in layers):
        raise ValueError(f"ConvNet: layers is {list(layers)}, expected at least one number of channels")


def _at_least(smallest: int, image_size: ImageSize, model: str, why: str) -> tuple[int, int]:
    H, W = pair(image_size, "image_size", least=1)
    if min(H, W) < smallest:
        raise ValueError(f"{model}: images of {H}x{W} are too small: height and width must be at least {smallest} ({why})")
    return H, W
