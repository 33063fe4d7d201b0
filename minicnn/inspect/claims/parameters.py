"""Claims about parameters: layers are built, and their weights and biases counted."""
from __future__ import annotations

import math
from itertools import combinations

from minicnn import nn
from minicnn.inspect.claims.counting import Linear, biases, parameters, positions, taps, unshared, weights
from minicnn.inspect.claims.registry import Answer, claim, numbers, verdict
from minicnn.kernels.window import Window2d

IMAGE, PIXELS = (224, 224), 224 * 224 * 3


@claim("first-layer", "A 224x224 RGB image, flattened, to 1,000 hidden units", "150,528,000 parameters")
def first_layer(quoted: str) -> Answer:
    layer = Linear(PIXELS, 1000)
    found, both = weights(layer), parameters(layer)
    return Answer(verdict(found in numbers(quoted)), f"{found:,} weights", f"One weight for each of {PIXELS:,} inputs and each unit. "
                  f"The {biases(layer):,} biases come on top: {both:,} parameters.", {"weights": found, "parameters": both})


@claim("fc-three-layers", "Fully connected layers 150,528 to 4,096 to 4,096 to 1,000", "637,441,000 parameters")
def fc_three_layers(quoted: str) -> Answer:
    layers = [Linear(PIXELS, 4096), Linear(4096, 4096), Linear(4096, 1000)]
    total, (said, *_) = sum(map(parameters, layers)), numbers(quoted)
    missing = [left for r in range(4) for left in combinations(range(3), r) if total - sum(biases(layers[i]) for i in left) == said]
    names = " and ".join(f"FC{i + 1}'s {biases(layers[i]):,}" for i in missing[0]) if missing else ""
    why = f"The quoted sum leaves out {names} biases and counts those of the other layers." if names else ""
    return Answer(verdict(total == said), f"{total:,} parameters", why, {
        "parameters": total, "weights": sum(map(weights, layers)), "biases_left_out": [i + 1 for i in (missing[0] if missing else ())]})


@claim("fc-memory", "These layers' parameters in float32; with gradients and optimiser states", "2.5 GB; 10+ GB")
def fc_memory(quoted: str) -> Answer:
    layers = [Linear(PIXELS, 4096), Linear(4096, 4096), Linear(4096, 1000)]
    held = sum(p.array.nbytes for layer in layers for p in layer.parameters())
    once, trained = held / 1e9, 4 * held / 1e9
    return Answer(verdict(math.floor(10 * once) / 10 == 2.5 and trained > 10), f"{once:.2f} GB; {trained:.1f} GB",
                  "Four bytes each; training with Adam keeps the parameters, their gradients and two averages: four times as much. "
                  f"SGD without momentum keeps {2 * once:.1f} GB.", {"bytes": held, "bytes_with_adam": 4 * held})


def _conv(quoted: str, in_channels: int) -> Answer:
    conv = nn.Conv2d(in_channels, 64, 3)
    found = parameters(conv)
    return Answer(verdict([found] == numbers(quoted)), f"{found:,} parameters",
                  f"{conv.out_channels} filters of {taps(conv)} weights, and {biases(conv)} biases, whatever the size of the image.",
                  {"parameters": found, "weights": weights(conv)})


@claim("conv-3-64", "A 3x3 convolution from 3 to 64 channels", "1,792 parameters")
def conv_3_64(quoted: str) -> Answer:
    return _conv(quoted, 3)


@claim("conv-64-64", "A 3x3 convolution from 64 to 64 channels", "36,928 parameters")
def conv_64_64(quoted: str) -> Answer:
    return _conv(quoted, 64)


@claim("vgg16-fc1", "VGG-16's first fully connected layer", "102,764,544 parameters")
def vgg16_fc1(quoted: str) -> Answer:
    layer = Linear(512 * 7 * 7, 4096)
    found = parameters(layer)
    return Answer(verdict([found] == numbers(quoted)), f"{found:,} parameters",
                  f"It reads {layer.in_features:,} numbers, what five poolings leave of the image: 7x7 pixels of 512 channels.",
                  {"parameters": found})


@claim("vgg16-totals", "VGG-16's convolutions; its fully connected layers", "~9.5M; ~123M parameters")
def vgg16_totals(quoted: str) -> Answer:
    classifier = [Linear(512 * 7 * 7, 4096), Linear(4096, 4096), Linear(4096, 1000)]
    layers = _vgg(2, 2, 3, 3, 3), classifier, _vgg(2, 2, 2, 2, 2)
    conv, fc, thirteen = (sum(map(parameters, each)) for each in layers)
    return Answer(verdict(abs(conv / 9.5e6 - 1) < 0.01 and int(fc / 1e6) == 123), f"{conv:,}; {fc:,} parameters",
                  f"In all {conv + fc:,}. The fully connected layers have {fc / (conv + fc):.1%} of them. "
                  f"The number quoted for the convolutions is near that of VGG-13, which has {thirteen:,} in them.",
                  {"convolutions": conv, "fully_connected": fc, "total": conv + fc, "vgg13_convolutions": thirteen})


def _vgg(*blocks: int) -> list[nn.Conv2d]:
    """The 3x3 convolutions of a VGG network (Simonyan and Zisserman 2014, table 1), so many in each block."""
    channels = [f for f, n in zip((64, 128, 256, 512, 512), blocks, strict=True) for _ in range(n)]
    return [nn.Conv2d(c, f, 3) for c, f in zip([3, *channels], channels, strict=False)]


@claim("unshared-224", "One 3x3x3 filter over 224x224 positions, weights not shared", "1,354,752 parameters")
def unshared_224(quoted: str) -> Answer:
    conv = nn.Conv2d(3, 1, 3, padding=1)
    found, useless, many = unshared(conv, IMAGE), _on_padding(conv, IMAGE), unshared(nn.Conv2d(3, 64, 3, padding=1), IMAGE)
    return Answer(verdict([found] == numbers(quoted)), f"{found:,} weights",
                  f"{positions(conv, IMAGE):,} positions of {taps(conv)} weights. {useless:,} of them would only ever meet padding. "
                  f"64 filters would take {many:,}.", {"weights": found, "on_padding": useless, "of_64_filters": many})


def _on_padding(conv: nn.Conv2d, image: tuple[int, int]) -> int:
    """Weights of the unshared layer that padding zeros are multiplied by."""
    read = Window2d.of(conv.kernel_size, conv.stride, conv.padding, conv.dilation).reads(image)
    return unshared(conv, image) - conv.out_channels * conv.in_channels * read


@claim("sharing-28", "The same filter, shared, with its bias; how many times fewer", "28 parameters; 50,000x")
def sharing_28(quoted: str) -> Answer:
    conv = nn.Conv2d(3, 1, 3, padding=1)
    found, alone = parameters(conv), unshared(conv, IMAGE)
    factor = alone / weights(conv)
    return Answer(verdict(found == 28 and round(factor, -4) == 50_000), f"{found} parameters; {factor:,.0f}x",
                  f"The factor is the number of positions, with biases on both sides or on neither. {alone:,} weights without a bias "
                  f"against {found} parameters with one are {alone / found:,.0f}x.",
                  {"parameters": found, "factor": factor, "factor_one_bias": alone / found})


@claim("unshared-8x8", "64 filters of 3x3x3 over 8x8 positions, not shared; how many times more", "884,736 parameters; 512x")
def unshared_8x8(quoted: str) -> Answer:
    conv = nn.Conv2d(3, 64, 3, padding=1)
    found, (said, times) = unshared(conv, (8, 8)), numbers(quoted)
    factor = found // weights(conv)
    return Answer(verdict((found, factor) == (said, times)), f"{found:,} weights; {factor}x",
                  "64 filters x 8x8 positions x 27 weights. The factor is the number of positions, whatever the number of filters; "
                  f"the quoted numbers are {times // factor} times the true ones.",
                  {"weights": found, "factor": factor, "shared": weights(conv)})


@claim("local-connectivity", "A unit reads 27 values of a 224x224 RGB image, instead of 150,528", "~150,000x fewer connections")
def local_connectivity(quoted: str) -> Answer:
    dense, local = weights(Linear(PIXELS, 1)), taps(nn.Conv2d(3, 1, 3))
    factor = dense / local
    return Answer(verdict(abs(factor / 150_000 - 1) < 0.1), f"{factor:,.0f}x",
                  f"{dense:,} / {local} = {factor:,.1f}. The quoted number is how many connections there were, not how many times fewer.",
                  {"factor": factor, "dense": dense, "local": local})


@claim("combined-savings", "Local connectivity and weight sharing together", "~7,500,000,000x")
def combined_savings(quoted: str) -> Answer:
    conv = nn.Conv2d(3, 1, 3, padding=1)
    places = positions(conv, IMAGE)
    dense = Linear(PIXELS, places).weight.numel()
    factor = dense / weights(conv)
    return Answer(verdict(abs(factor / 7.5e9 - 1) < 0.1), f"{factor:,.0f}x",
                  f"A fully connected layer from the image to one {IMAGE[0]}x{IMAGE[1]} map has {dense:,} weights, a shared filter "
                  f"{weights(conv)}. The quoted factor is that number of weights, rounded: the 27 was not divided by.",
                  {"factor": factor, "dense": dense, "shared": weights(conv)})


@claim("filter-channels", "The first layer must have 3 input channels", "3")
def filter_channels(quoted: str) -> Answer:
    found = {C: parameters(nn.Conv2d(C, 64, 3)) for C in (1, 3, 13)}
    said = ", ".join(f"{n:,} with {C}" for C, n in found.items())
    return Answer(verdict(len(found) == 1), "1, 3, 13, ...", "As many as the images have: grey ones 1, RGB 3, a satellite's 13. "
                  f"The parameters of a 3x3 convolution to 64 channels: {said}.", {"parameters": found})


@claim("layer-as-dense", "VGG-16's convolutions against fully connected layers between the same numbers of units", "millions; trillions")
def layer_as_dense(quoted: str) -> Answer:
    conv = nn.Conv2d(64, 64, 3, padding=1)
    units = conv.out_channels * positions(conv, IMAGE)
    return Answer(verdict(units**2 > 1e12), f"second layer: {parameters(conv):,}; {units**2:,}",
                  f"Both sides of it have {units:,} values, and a fully connected layer a weight for each pair: "
                  f"{units**2 / 1e12:.1f} trillion for this layer alone.", {"parameters": parameters(conv), "dense": units**2})


