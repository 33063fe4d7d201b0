"""Whole networks between torch and minicnn: every layer rebuilt from its options, then given its parameters, buffers and mode."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from minicnn.interop.layers import ALIASES, CONTAINERS, OPTIONS, options_of

HINTS = {
    "OptimizedModule": "it was made by torch.compile: give the module inside, ._orig_mod",
    "RecursiveScriptModule": "it is a TorchScript program: give the module that it was made from",
    "DataParallel": "it is a wrapper: give the module inside, .module",
    "DistributedDataParallel": "it is a wrapper: give the module inside, .module",
}


@dataclass
class Conversion:
    """From the library whose layers are in `source` to that with the layers in `target`: torch.nn and minicnn.nn, either way round.

    verb: from_torch or to_torch, for errors. parameter, buffer: (tensor, its name) -> one of the target's, with a memory of its own.
    build: (class, options) -> a layer whose values are still to be filled in, without drawing random numbers for them.
    done: what has been converted, by identity, so that what is shared stays shared.
    """
    verb: str
    source: Any
    target: Any
    parameter: Callable[[Any, str], Any]
    buffer: Callable[[Any, str], Any]
    build: Callable[[type, dict[str, Any]], Any]
    done: dict[int, Any] = field(default_factory=dict)

    def network(self, module: Any, path: str = "") -> Any:
        """The module, and all below it, in the other library. Raises TypeError, naming path and class, for what cannot be carried over."""
        if id(module) in self.done:
            return self.done[id(module)]
        self._check(module, path)
        name = self._container(module)
        made = getattr(self.target, name)() if name else self._layer(module, path)
        for child, below in module._modules.items():
            made.add_module(child, None if below is None else self.network(below, f"{path}.{child}" if path else child))
        made.training = module.training
        self.done[id(module)] = made
        return made

    def _check(self, module: Any, path: str) -> None:
        if type(module).__name__ in HINTS:
            raise self._refused(module, path, HINTS[type(module).__name__])
        if hasattr(module, "parametrizations"):
            raise self._refused(module, path, "it is parametrised: torch.nn.utils.parametrize.remove_parametrizations makes it plain")
        if type(module).__name__.startswith("Lazy"):
            raise self._refused(module, path, "its shapes are not known yet: run it once")
        if module._forward_hooks or module._forward_pre_hooks:
            raise self._refused(module, path, "it has forward hooks (of spectral norm, of pruning, ...), which cannot be carried over: "
                                              "remove them first")
        if "forward" in module.__dict__:
            raise self._refused(module, path, "its forward was replaced, which cannot be carried over: put the class's own back first")

    def _container(self, module: Any) -> str | None:
        """Sequential, ModuleList or ModuleDict, also as the base of a class that does not change what is computed; else None."""
        for name in CONTAINERS:
            base = getattr(self.source, name)
            own_tensors = {**module._parameters, **module._buffers}
            if isinstance(module, base) and type(module).forward is base.forward and not own_tensors:
                return name
        return None

    def _layer(self, module: Any, path: str) -> Any:
        cls = type(module)
        name = ALIASES.get(cls.__name__, cls.__name__)
        if cls is not getattr(self.source, cls.__name__, None) or name not in OPTIONS:
            raise self._unknown(module, path)
        try:
            made = self.build(getattr(self.target, name), options_of(module, name))
        except (ValueError, TypeError, RuntimeError) as error:
            raise self._refused(module, path, str(error)) from error
        for table in ("_parameters", "_buffers"):
            self._fill(made, module, table, path)
        return made

    def _fill(self, made: Any, module: Any, table: str, path: str) -> None:
        convert = self.parameter if table == "_parameters" else self.buffer
        tensors = getattr(module, table)
        if list(tensors) != list(getattr(made, table)):
            extra = sorted({*tensors} ^ {*getattr(made, table)})
            raise self._refused(module, path, f"its {table.strip('_')} are not those of its class: {', '.join(extra)}")
        for name, tensor in tensors.items():
            if tensor is not None and id(tensor) not in self.done:
                self.done[id(tensor)] = convert(tensor, f"{path}.{name}" if path else name)
            getattr(made, table)[name] = None if tensor is None else self.done[id(tensor)]

    def _unknown(self, module: Any, path: str) -> TypeError:
        if type(module) is getattr(self.source, type(module).__name__, None):
            return self._refused(module, path, f"{self.target.__name__} has no such layer")
        given = "module" if self.verb == "from_torch" else "model"
        return self._refused(module, path, "a class with a forward of its own, which cannot be carried over: write the same class on "
                             f"{self.target.__name__} and load the weights into it, with "
                             f".load_state_dict({self.verb}({given}.state_dict()))")

    def _refused(self, module: Any, path: str, why: str) -> TypeError:
        return TypeError(f"{self.verb}: {path or 'the module'} ({type(module).__name__}): {why}")
