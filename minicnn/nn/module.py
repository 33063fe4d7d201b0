"""Module: a part of a network. It finds its parameters, buffers and sub-modules by watching what is assigned to it."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Self

import numpy as np

from minicnn.nn import state
from minicnn.nn.parameter import Parameter
from minicnn.tensor import Tensor


class Module:
    """The base of all layers and networks: assign parameters and sub-modules in __init__, compute in forward.

    class Net(Module):
        def __init__(self):
            super().__init__()
            self.conv = Conv2d(1, 8, 3)

        def forward(self, x):
            return self.conv(x)

    training: True in training mode; Dropout and batch norm look at it.
    """
    training: bool

    def __init__(self) -> None:
        # Straight into __dict__: __setattr__ looks things up in these tables. The first three are ordered, and that is state_dict's order.
        self.__dict__.update(training=True, _parameters={}, _buffers={}, _modules={}, _non_persistent=set(),
                             _forward_pre_hooks={}, _forward_hooks={})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output. Subclasses define it; users call the module itself, which runs the hooks too."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
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

    # What is assigned

    def __setattr__(self, name: str, value: Any) -> None:
        kind = "_parameters" if isinstance(value, Parameter) else "_modules" if isinstance(value, Module) else None
        if kind and "_modules" not in self.__dict__:
            raise AttributeError(f"cannot assign {name!r} yet: {type(self).__name__}.__init__() must call super().__init__() first")
        home = self._home(name)
        if kind:
            if home not in (None, kind):
                delattr(self, name)
            self.__dict__.pop(name, None)              # a plain attribute would hide the entry
            self.__dict__[kind][name] = value
        elif home is None:
            object.__setattr__(self, name, value)
        elif value is None or (home == "_buffers" and isinstance(value, Tensor)):
            self.__dict__[home][name] = value
        else:
            what = {"_parameters": "parameter", "_buffers": "buffer", "_modules": "module"}[home]
            wanted = {"_parameters": "a Parameter", "_buffers": "a Tensor", "_modules": "a Module"}[home]
            raise TypeError(f"cannot assign a {type(value).__name__} as {what} {name!r} of {type(self).__name__}: it must be {wanted} or None")

    def __getattr__(self, name: str) -> Any:
        """Python asks here for what is not a plain attribute."""
        home = self._home(name)
        if home:
            return self.__dict__[home][name]
        hint = "" if "_modules" in self.__dict__ else f" (did {type(self).__name__}.__init__() call super().__init__()?)"
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def __delattr__(self, name: str) -> None:
        home = self._home(name)
        if home is None:
            object.__delattr__(self, name)
        else:
            del self.__dict__[home][name]
            self._non_persistent.discard(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def _home(self, name: str) -> str | None:
        """The table that has `name`."""
        return next((table for table in ("_parameters", "_buffers", "_modules") if name in self.__dict__.get(table, ())), None)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under `name`; None reserves the name, such as the bias of a layer without one."""
        self._register("_parameters", name, param, Parameter)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the module's state but is not learned, such as a running mean.

        persistent: whether it appears in state_dict.
        """
        self._register("_buffers", name, tensor, Tensor)
        if not persistent:
            self._non_persistent.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a sub-module under `name`, which need not be a Python identifier."""
        self._register("_modules", name, module, Module)

    def register_module(self, name: str, module: Module | None) -> None:
        self.add_module(name, module)

    def _register(self, table: str, name: str, value: Any, kind: type) -> None:
        if table not in self.__dict__:
            raise AttributeError(f"cannot register {name!r} yet: {type(self).__name__}.__init__() must call super().__init__() first")
        if not isinstance(name, str):
            raise TypeError(f"the name of a parameter, buffer or module must be a str, got {type(name).__name__}")
        if not name or "." in name:
            raise ValueError(f"the name {name!r} cannot be used: it must not be empty or contain a dot, which separates the names in state_dict")
        if hasattr(self, name) and name not in self.__dict__[table]:
            raise ValueError(f"{type(self).__name__} already has an attribute {name!r}")
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"cannot register a {type(value).__name__} as {name!r}: it must be a {kind.__name__} or None")
        self.__dict__[table][name] = value

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
                parameter.grad = Tensor(np.zeros_like(parameter.grad.data))

    def to(self, dtype: Any) -> Self:
        """Convert floating-point parameters, their gradients and buffers to a dtype; integer buffers stay. (`to("cpu")` is self.)"""
        if isinstance(dtype, str) and dtype == "cpu":
            return self
        dtype = np.dtype(dtype)
        if dtype.kind != "f":
            raise TypeError(f"to(): a module's parameters are floating point, they cannot become {dtype}")
        for tensor in chain(self.parameters(), self.buffers()):
            for part in (tensor, tensor.grad):
                if part is not None and part.is_floating_point():
                    part.data = part.data.astype(dtype, copy=False)
        return self

    def float(self) -> Self:
        return self.to(np.float32)

    def double(self) -> Self:
        return self.to(np.float64)

    def cpu(self) -> Self:
        return self

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


class RemovableHandle:
    """What registering a hook returns: `handle.remove()` takes the hook away again; so does the end of a `with` block."""

    def __init__(self, hooks: dict[RemovableHandle, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks = hooks
        hooks[self] = hook

    def remove(self) -> None:
        self._hooks.pop(self, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def join(prefix: str, name: str) -> str:
    """The name of something in a module that is called `prefix`: names below are separated by dots."""
    return f"{prefix}.{name}" if prefix else name
