"""When numbers stop being finite: where the first such number came up, so that one knows what to change.

A loss or a gradient that is NaN or infinite is noticed in the batch in which it comes up, before it reaches a weight. That batch is run
again, with the same random numbers, layer by layer.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.kernels import devices
from minicnn.nn import Module
from minicnn.nn.module import join
from minicnn.random import fork_rng, set_rng_state
from minicnn.tensor import Tensor

if TYPE_CHECKING:
    from minicnn.inspect.recorder import Layer, Op, Recording

QUIETLY = np.errstate(over="ignore", invalid="ignore", divide="ignore")


class Diverged(FloatingPointError):
    """Training met a number that is not finite: what it met, where the last good weights are kept, what to do."""

    def __init__(self, what: str, kept: str = "", advice: str = "try a smaller learning rate") -> None:
        self.what, self.advice = what, advice
        super().__init__("; ".join(part for part in (f"training diverged: {what}", kept, advice) if part))

    def with_kept(self, kept: str) -> Diverged:
        """The same error, which also says where the last good weights are."""
        return Diverged(self.what, kept, self.advice)


def finite_gradients(model: Module) -> bool:
    """Whether every gradient is finite: looked at in about a microsecond each, by the sum of squares.

    Gradients on another device than the CPU are not looked at, for that would be waiting for it: there the next loss tells.
    """
    for p in model.parameters():
        if p.grad is not None and isinstance(p.grad.array, np.ndarray):
            flat = p.grad.array.ravel("K")
            if not np.isfinite(np.dot(flat, flat)) and not np.isfinite(flat).all():     # finite numbers may have an infinite square
                return False
    return True


def check_weights(when: str, *models: Module | None) -> None:
    """Raise Diverged, with the name of the first weight or buffer that is not finite, if there is one."""
    for model in models:
        for name, tensor in model.state_dict().items() if model is not None else ():
            wrong = first_wrong(tensor.array)
            if wrong:
                raise Diverged(f"{name.removeprefix('module.')} holds {wrong} {when}")


def first_wrong(array: Any) -> str:
    """What an array holds that is not finite: nan, inf, -inf; nothing when all is finite."""
    values = devices.host(array)
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return ""
    return "nan" if np.isnan(values).any() else str(float(values[np.isinf(values)][0]))


@QUIETLY
def explained(model: Module, images: Tensor, labels: Tensor, loss_function: Callable[..., Any], stream: dict[str, Any], loss: float,
              when: str) -> Diverged:
    """The error for a batch whose loss, or one of whose gradients, is not finite. stream: of random numbers, as the batch found it.

    The modules' buffers are left as the batch left them: in training mode nothing is computed from them.
    """
    finite = np.isfinite(loss)
    beginning = f"the loss is {loss:.4g}, but its gradient is not finite, {when}" if finite else f"the loss is {loss} {when}"
    wrong = first_wrong(images.array)
    if wrong:
        bad = ~np.isfinite(devices.host(images.array).reshape(len(images), -1)).all(axis=1)
        return Diverged(f"{beginning}; image {int(np.argmax(bad))} of the batch holds {wrong} itself", advice="mend the images")
    found = _wrong_weight(model)
    if not found:
        from minicnn.inspect.recorder import record

        with fork_rng():
            set_rng_state(stream)
            recording = record(model, images, training=True)
            loss_again = loss_function(recording.output.output, labels)
        found = _first_output(recording)
        if not found and not np.isfinite(devices.host(loss_again.array)).all():
            found = f"{_word(loss_again.array)} first appeared in the loss itself; the network's outputs {_up_to([recording.output])}"
        if not found:
            found = _first_gradient(recording, loss_again)
    return Diverged("; ".join(part for part in (beginning, found) if part))


def _wrong_weight(model: Module) -> str:
    """A weight that is not finite already."""
    for name, parameter in model.named_parameters():
        wrong = first_wrong(parameter.array)
        if wrong:
            return f"{name} holds {wrong} already, since an earlier step"
    return ""


def _first_output(recording: Recording) -> str:
    """The first operation whose result is not finite, although what it read is."""
    for layer in recording.layers:
        for op in layer.ops:
            if first_wrong(op.output.array):
                return f"{_word(op.output.array)} first appeared in the output of {_named(layer)}, whose inputs {_up_to(op.inputs)}"
    return ""


def _first_gradient(recording: Recording, loss: Tensor) -> str:
    """Going back from the loss: the first output or weight whose gradient is not finite."""
    from minicnn.autograd import grad

    layers = [layer for layer in reversed(recording.layers) if layer.output.output.requires_grad]
    weights = [[p for p in layer.module.parameters() if p.requires_grad] if layer.module else [] for layer in layers]
    wanted = [layer.output.output for layer in layers] + [p for own in weights for p in own]
    gradients = iter(grad(loss, wanted, allow_unused=True))
    arriving = [next(gradients) for _ in layers]
    for i, (layer, own) in enumerate(zip(layers, weights, strict=True)):
        dy = arriving[i]
        if dy is not None and first_wrong(dy.array):
            return f"{_word(dy.array)} first appeared in the gradient of the output of {_named(layer)}"
        names = {id(p): name for name, p in layer.module.named_parameters()} if layer.module else {}
        for p in own:
            g = next(gradients)
            if g is not None and first_wrong(g.array):
                return f"{_word(g.array)} first appeared in the gradient of {join(layer.name.partition('#')[0], names[id(p)])}"
    return ""


def _named(layer: Layer) -> str:
    return f"{layer.name} ({layer.kind})" if layer.module is not None else layer.name


def _word(array: Any) -> str:
    """NaN or Inf, as at the beginning of a clause."""
    return "NaN" if first_wrong(array) == "nan" else "Inf"


def _up_to(inputs: Iterable[Op | Any]) -> str:
    """How large the finite numbers were that an operation read, weights among them."""
    arrays = [devices.host(x.output.array if hasattr(x, "output") else x.array if isinstance(x, Tensor) else x)
              for x in inputs if hasattr(x, "output") or isinstance(x, Tensor) or hasattr(x, "dtype")]
    largest = max((float(np.abs(a).max()) for a in arrays if a.size and a.dtype.kind == "f"), default=0.0)
    return f"were finite, up to {largest:.2g}"
