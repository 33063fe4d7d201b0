"""Module: a part of a network, from a single layer to all of it."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Self

import numpy as np

from minicnn.device import destination
from minicnn.hooks import RemovableHandle
from minicnn.kernels import devices
from minicnn.nn import state
from minicnn.nn.parameter import Parameter
from minicnn.nn.registry import Registry
from minicnn.recording import changed
from minicnn.tensor import Tensor


class Module(Registry):
    """The base of all layers and networks: assign parameters and sub-modules in __init__, compute in forward.

    class Net(Module):
        def __init__(self):
            super().__init__()
            self.conv = Conv2d(1, 8, 3)

        def forward(self, x):
            return self.conv(x)

    training: True in training mode; Dropout and batch norm look at it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.training = True
        self._forward_pre_hooks: dict[RemovableHandle, Callable[..., Any]] = {}
        self._forward_hooks: dict[RemovableHandle, Callable[..., Any]] = {}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output. Subclasses define it; users call the module itself, which runs the hooks too."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._forward_pre_hooks and not self._forward_hooks:
            return self.forward(*args, **kwargs)
        for pre_hook in list(self._forward_pre_hooks.values()):
            changed = pre_hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        y = self.forward(*args, **kwargs)
        for hook in list(self._forward_hooks.values()):
            changed = hook(self, args, y)
            if changed is not None:
                y = changed
        return y

    # What there is: every module and tensor once, even when it is shared

    def named_modules(self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """Itself under the name `prefix`, then all modules below it, in order of assignment, each before its own sub-modules."""
        memo = set() if memo is None else memo
        if id(self) in memo:
            return
        if remove_duplicate:
            memo.add(id(self))
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, join(prefix, name), remove_duplicate)

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def named_parameters(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their names, such as "conv1.weight"; with recurse=False only the module's own."""
        return self._named_tensors("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        return self._named_tensors("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named_tensors(self, table: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, tensor in module.__dict__[table].items():
                if tensor is None or id(tensor) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(tensor))
                yield join(path, name), tensor

    def get_submodule(self, target: str) -> Module:
        """The module called `target`, such as "layer1.0.conv1"; "" is the module itself. AttributeError if there is none."""
        module = self
        for name in target.split(".") if target else ():
            below = module._modules.get(name)
            if below is None:
                raise AttributeError(f"{type(module).__name__} has no submodule {name!r} (of {target!r}); it has: "
                                     f"{', '.join(map(repr, module._modules)) or 'none'}")
            module = below
        return module

    # All of it at once

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call fn on every module, the innermost first, and return self."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Switch training mode on or off, everywhere below."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Ask for gradients of all parameters, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients; set_to_none=False fills them with zeros instead."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = Tensor(np.zeros_like(parameter.grad.array))

    def to(self, *args: Any, **options: Any) -> Self:
        """Move parameters, their gradients and buffers to a device, in place, or convert those that are floating point to a dtype.

        `to(dtype)`, `to(device)`, `to(device, dtype)`, `to(tensor)`, or by name: see `minicnn.device.destination`. Parameters stay the same
        objects, so that an optimiser that was given them goes on with them.
        """
        where, dtype = destination(*args, **options)
        if dtype is not None and np.dtype(dtype).kind != "f":
            raise TypeError(f"to(): a module's parameters are floating point, they cannot become {np.dtype(dtype)}")
        for tensor in chain(self.parameters(), self.buffers()):
            for part in (tensor, tensor.grad):
                if part is not None and where is not None:
                    part.array = devices.move(part.array, where)
                if part is not None and dtype is not None and part.is_floating_point():
                    part.array = part.array.astype(dtype, copy=False)
        changed()
        return self

    def float(self) -> Self:
        return self.to(np.float32)

    def double(self) -> Self:
        return self.to(np.float64)

    def cpu(self) -> Self:
        return self.to("cpu")

    def cuda(self, device: Any = "cuda") -> Self:
        return self.to(device)

    # Hooks

    def register_forward_pre_hook(self, hook: Callable[[Any, tuple[Any, ...]], Any]) -> RemovableHandle:
        """Call hook(module, args) before every forward; what it returns, if not None, replaces the arguments."""
        return RemovableHandle(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook: Callable[[Any, tuple[Any, ...], Any], Any]) -> RemovableHandle:
        """Call hook(module, args, output) after every forward; what it returns, if not None, replaces the output."""
        return RemovableHandle(self._forward_hooks, hook)

    # State: see minicnn.nn.state

    def state_dict(self, *, prefix: str = "") -> dict[str, Tensor]:
        """Every parameter and persistent buffer under its name, sharing memory with the module."""
        return state.state_dict(self, prefix)

    def load_state_dict(self, state_dict: Any, strict: bool = True) -> state.IncompatibleKeys:
        """Copy values into the parameters and buffers of the same names; see `minicnn.nn.state.load_state_dict` for the errors."""
        return state.load_state_dict(self, state_dict, strict)

    # Text

    def extra_repr(self) -> str:
        """What the repr shows between the parentheses; layers define it."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr().splitlines()
        children = [f"({name}): {text}" for name, text in self._child_reprs()]
        if len(extra) <= 1 and not children:
            return f"{type(self).__name__}({''.join(extra)})"
        body = "\n".join(extra + children).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {body}\n)"

    def _child_reprs(self) -> Iterator[tuple[str, str]]:
        return ((name, repr(module)) for name, module in self._modules.items())


def join(prefix: str, name: str) -> str:
    """The name of something in a module that is called `prefix`: names below are separated by dots."""
    return f"{prefix}.{name}" if prefix else name
