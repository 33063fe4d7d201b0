"""A layer of a network, trained or new, for a real image."""
from __future__ import annotations

import re
from typing import TYPE_CHECKING

from minicnn.cli.explained.arguments import index, wanted

if TYPE_CHECKING:
    import numpy as np

    from minicnn.cli.network import Network
    from minicnn.inspect.explaining import Explanation
    from minicnn.inspect.explaining.call import Call
    from minicnn.inspect.recorder import Layer, Recording
    from minicnn.tensor import Tensor


def explain(what: str, input: str | None, layer: str | None, image: str | None, data: str | None, at: str | None, grad: str | None,
            device: str) -> Explanation:
    """One number of a layer of this network, or of a gradient there."""
    from minicnn.inspect.explaining import explain_call
    from minicnn.inspect.explaining.call import called
    from minicnn.inspect.recorder import record

    grad = wanted(grad)
    network = _open(what, input, device)
    x, label, name = _input(network, image, data)
    recording = record(network.model, x)
    call = called(recording, _layer(recording, layer))
    dy, of = _upstream(network, recording, call, label) if grad else (None, "")
    found = explain_call(call, index(at, call, grad), dy, grad or "input")
    if grad == "input" and sum(call.source in op.sources for op in recording.ops) > 1:
        of += " What this layer read goes into other layers too; this is the gradient through this layer alone."
    found.words.append(f"x is what this layer read when {network.name} looked at {name}, in eval mode.{of}")
    found.numbers |= {"image": name, "dy_is": of.strip() or None}
    return found


def _open(what: str, input: str | None, device: str) -> Network:
    """The network. Raises ValueError that names the kinds of layers too, since this might have been meant for one."""
    from pathlib import Path

    from minicnn import models
    from minicnn.cli.network import open_network
    from minicnn.cli.single_layer import KINDS

    if not Path(what).exists() and what not in models.MODELS:
        raise ValueError(f"{what!r} is neither a kind of layer ({', '.join(KINDS)}) nor the folder of a run of minicnn train, nor one of "
                         f"minicnn's networks ({', '.join(models.MODELS)})")
    return open_network(what, input, device=device)


def _input(network: Network, image: str | None, data: str | None) -> tuple[Tensor, int | None, str]:
    """What to feed the network, its label if it is known, and what to call it."""
    from minicnn.cli.network import dataset_images, image_files
    from minicnn.inspect.recorder import example_input
    from minicnn.training.loop import device_of

    if image is not None:
        return image_files(network, [image]).x, None, image
    if network.description is None:
        x = example_input(network.input_shape).to(device_of(network.model))
        return x, None, "random numbers (a new network has no images of its own)"
    images = dataset_images(network, 1, data)
    return images.x, None if images.labels is None else int(images.labels[0]), images.names[0]


def _layer(recording: Recording, name: str | None) -> Layer:
    """The layer called so; conv2, pool1, fc1 and norm3 count those of a kind where no layer has that name. None: the first convolution.

    Raises ValueError that lists the names.
    """
    from minicnn.inspect.explaining.call import FUNCTIONS

    counted = re.fullmatch(r"(conv|pool|fc|norm)([1-9]\d*)", name or "conv1")
    if counted and not any(layer.name == name for layer in recording.layers):
        kind, which = counted[1], int(counted[2])
        functions = [f for f in FUNCTIONS if kind in f or f == {"fc": "linear"}.get(kind)]
        found = [layer for layer in recording.layers if any(op.name in functions for op in layer.ops)]
        if which <= len(found):
            return found[which - 1]
        if name is None:
            named = [layer.name for layer in recording.layers if any(op.name in FUNCTIONS for op in layer.ops)]
            raise ValueError(f"{type(recording.model).__name__} has no convolution: choose with --layer {', '.join(named)}" if named else
                             f"{type(recording.model).__name__} has no layer whose numbers can be explained")
    return recording.layer(name or "conv1")


def _upstream(network: Network, recording: Recording, call: Call, label: int | None) -> tuple[np.ndarray, str]:
    """dy at the layer, and of what: the loss where the right class is known, else the score of the class that the network sees."""
    from minicnn import ops
    from minicnn.autograd import grad
    from minicnn.kernels import devices
    from minicnn.tensor import Tensor

    scores = recording.output.output
    classes = network.description.classes if network.description else tuple(map(str, range(scores.shape[-1])))
    if label is not None:
        import numpy as np

        loss = ops.cross_entropy(scores, Tensor(np.array([label], np.int64)).to(scores.device))
        aim, of = loss, f"of the cross-entropy loss for its true class, {classes[label]!r}; the loss"
    else:
        best = int(devices.host(scores.array)[0].argmax())
        aim, of = scores[0, best], f"of the score of the class that the network sees, {classes[best]!r}; the score"
    (dy,) = grad(aim, call.op.output, retain_graph=True)
    assert dy is not None                                      # the output depends on its layers
    return devices.host(dy.array), f" dy is the gradient {of} is {float(aim.item()):.4g}."
