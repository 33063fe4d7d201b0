"""The networks of minicnn.models for the peers: each written once, over the operations that a peer's engine offers.

The layers and the names of their parameters are those of minicnn.models; a test holds the two together. An engine is an object with

    conv(x, name, stride=1, padding=0)      name.weight, and name.bias if there is one
    norm(x, name)                           batch norm with name.weight, .bias, .running_mean, .running_var
    linear(x, name)                         name.weight, name.bias
    relu(x)   max_pool(x, size)   flatten(x)   mean(x)      mean: over height and width, (N, C, H, W) -> (N, C)
    dropout(x, p)                           in training: a share p of the values is set to 0, the rest divided by 1 - p

in whatever memory order it likes. Residuals are added with +.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

Forward = Callable[[Any, Any], Any]                            # (x, engine) -> logits


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


def digits(x: Any, op: Any) -> Any:
    x = op.flatten(op.dropout(_features(x, op, [32, 32, "pool", 64]), 0.3))
    return op.linear(x, "classifier.1")


def convnet(x: Any, op: Any, layers: Sequence[int | str], head: str = "mean", dropout: float = 0.0) -> Any:
    """layers, head, dropout: as minicnn.models.ConvNet takes them."""
    x = _features(x, op, layers)
    x = op.mean(x) if head == "mean" else op.flatten(x)
    x = op.dropout(x, dropout) if dropout else x
    return op.linear(x, f"classifier.{(2 if head == 'mean' else 1) + bool(dropout)}")


def _features(x: Any, op: Any, layers: Sequence[int | str]) -> Any:
    """A number is a 3x3 convolution to that many channels, batch norm and ReLU: three layers; "pool" a max pool: one."""
    i = 0
    for layer in layers:
        x = op.max_pool(x, 2) if layer == "pool" else op.relu(op.norm(op.conv(x, f"features.{i}", padding=1), f"features.{i + 1}"))
        i += 1 if layer == "pool" else 3
    return x


def resnet(x: Any, op: Any, blocks: int) -> Any:
    x = op.relu(op.norm(op.conv(x, "conv1", padding=1), "bn1"))
    for block in [f"layer{stage}.{i}" for stage in (1, 2, 3) for i in range(blocks)]:
        first = block in ("layer2.0", "layer3.0")              # of a stage that halves the image
        y = op.relu(op.norm(op.conv(x, f"{block}.conv1", 2 if first else 1, 1), f"{block}.bn1"))
        y = op.norm(op.conv(y, f"{block}.conv2", padding=1), f"{block}.bn2")
        if first:
            x = op.norm(op.conv(x, f"{block}.downsample.0", 2), f"{block}.downsample.1")
        x = op.relu(y + x)
    return op.linear(op.mean(x), "fc")


NETWORKS: dict[str, Callable[..., Any]] = {"lenet": lenet, "tinyvgg": tinyvgg, "digits": digits, "convnet": convnet,
                                           "resnet8": partial(resnet, blocks=1), "resnet20": partial(resnet, blocks=3)}


def network(model: str) -> Forward:
    """A network by its name; convnet with its plan, such as convnet(16,pool,32,pool,64). Raises ValueError as `read` does."""
    name, options = read(model)
    return partial(NETWORKS[name], **options)


def read(model: str) -> tuple[str, dict[str, Any]]:
    """The name and the options for minicnn.models.create. Raises ValueError for an unknown name, and for a plan that is none.

    >>> read("convnet(16,pool,32,flatten,dropout0.2)")
    ('convnet', {'layers': [16, 'pool', 32], 'head': 'flatten', 'dropout': 0.2})
    """
    name, bracket, plan = model.partition("(")
    if name not in NETWORKS or (bracket and name != "convnet"):
        raise ValueError(f"unknown network {model!r}; there are: {', '.join(NETWORKS)}; convnet also with its layers, such as "
                         "convnet(16,pool,32,pool,64)")
    if not bracket:
        return name, {"layers": [16, "pool", 32, "pool", 64]} if name == "convnet" else {}
    words = re.fullmatch(r"((?:pool|\d+)(?:,(?:pool|\d+))*)(?:,(mean|flatten))?(?:,dropout(0\.\d+))?\)", plan)
    if not words or not re.search(r"\d", words[1]):
        raise ValueError(f"network {model!r}: expected numbers of channels and \"pool\", then mean or flatten, then a dropout, such as "
                         "convnet(16,pool,32,flatten,dropout0.2)")
    options: dict[str, Any] = {"layers": [layer if layer == "pool" else int(layer) for layer in words[1].split(",")]}
    options |= {"head": words[2]} if words[2] else {}
    return name, options | ({"dropout": float(words[3])} if words[3] else {})


def write(name: str, options: Mapping[str, Any]) -> str:
    """The text that `read` turns back into these.

    >>> write("convnet", {"layers": [16, "pool", 32], "head": "mean"})
    'convnet(16,pool,32,mean)'
    """
    if not options:
        return name
    if name != "convnet" or "layers" not in options or set(options) - {"layers", "head", "dropout"}:
        raise ValueError(f"the benchmarks have no network {name} with {', '.join(options)}; "
                         "they have convnet with layers, head and dropout")
    words = [*map(str, options["layers"]), *([options["head"]] if "head" in options else [])]
    words += [f"dropout{options['dropout']}"] if options.get("dropout") else []
    return f"{name}({','.join(words)})"
