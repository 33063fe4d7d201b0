"""LeNet, TinyVGG and ResNet-8 for the peers: each written once, over the operations that a peer's engine offers.

The layers and the names of their parameters are those of minicnn.models; a test holds the two together. An engine is an object with

    conv(x, name, stride=1, padding=0)      name.weight, and name.bias if there is one
    norm(x, name)                           batch norm with name.weight, .bias, .running_mean, .running_var
    linear(x, name)                         name.weight, name.bias
    relu(x)   max_pool(x, size)   flatten(x)   mean(x)      mean: over height and width, (N, C, H, W) -> (N, C)

in whatever memory order it likes. Residuals are added with +.
"""
from __future__ import annotations

from typing import Any


def lenet(x: Any, op: Any) -> Any:
    x = op.max_pool(op.relu(op.conv(x, "conv1", padding=2)), 2)
    x = op.max_pool(op.relu(op.conv(x, "conv2")), 2)
    x = op.flatten(x)
    x = op.relu(op.linear(x, "fc1"))
    x = op.relu(op.linear(x, "fc2"))
    return op.linear(x, "fc3")


def tinyvgg(x: Any, op: Any) -> Any:
    x = op.relu(op.conv(x, "features.0", padding=1))
    x = op.max_pool(op.relu(op.conv(x, "features.2", padding=1)), 2)
    x = op.relu(op.conv(x, "features.5", padding=1))
    x = op.max_pool(op.relu(op.conv(x, "features.7", padding=1)), 2)
    x = op.relu(op.linear(op.flatten(x), "classifier.1"))
    return op.linear(x, "classifier.3")


def resnet8(x: Any, op: Any) -> Any:
    x = op.relu(op.norm(op.conv(x, "conv1", padding=1), "bn1"))
    for stage, stride in (("layer1.0", 1), ("layer2.0", 2), ("layer3.0", 2)):
        y = op.relu(op.norm(op.conv(x, f"{stage}.conv1", stride, 1), f"{stage}.bn1"))
        y = op.norm(op.conv(y, f"{stage}.conv2", padding=1), f"{stage}.bn2")
        if stride > 1:
            x = op.norm(op.conv(x, f"{stage}.downsample.0", stride), f"{stage}.downsample.1")
        x = op.relu(y + x)
    return op.linear(op.mean(x), "fc")


NETWORKS = {"lenet": lenet, "tinyvgg": tinyvgg, "resnet8": resnet8}
