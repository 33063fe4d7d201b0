"""Registry: how a Module finds what it owns, by watching what is assigned to its attributes."""
from __future__ import annotations

from typing import Any

from minicnn.nn.parameter import Parameter
from minicnn.tensor import Tensor

_KINDS = {"_parameters": "Parameter", "_buffers": "Tensor", "_modules": "Module"}     # each table, and what it holds


class Registry:
    """Three tables, of parameters, buffers and sub-modules: what is assigned goes into the one for its kind.

    Sub-modules are Registries here, since Module is built on this class.
    """

    def __init__(self) -> None:
        # Straight into __dict__, since __setattr__ needs them; they are ordered, and that is the order of everything that lists them.
        self.__dict__.update(_parameters={}, _buffers={}, _modules={}, _non_persistent=set())

    def __setattr__(self, name: str, value: Any) -> None:
        kind = "_parameters" if isinstance(value, Parameter) else "_modules" if isinstance(value, Registry) else None
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
            what = home.strip("_").removesuffix("s")
            raise TypeError(f"cannot assign a {type(value).__name__} as {what} {name!r} of {type(self).__name__}: "
                            f"it must be a {_KINDS[home]} or None")

    def __getattr__(self, name: str) -> Any:
        """Python asks here for what is not a plain attribute."""
        own = self.__dict__
        for table in _KINDS:
            if table in own and name in own[table]:
                return own[table][name]
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
        return next((table for table in _KINDS if name in self.__dict__.get(table, ())), None)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under `name`; None reserves the name, such as the bias of a layer without one."""
        self._register("_parameters", name, param, isinstance(param, Parameter))

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the module's state but is not learned, such as a running mean.

        persistent: whether it appears in state_dict.
        """
        self._register("_buffers", name, tensor, isinstance(tensor, Tensor))
        if not persistent:
            self._non_persistent.add(name)

    def add_module(self, name: str, module: Registry | None) -> None:
        """Add a sub-module under `name`, which need not be a Python identifier."""
        self._register("_modules", name, module, isinstance(module, Registry))

    def register_module(self, name: str, module: Registry | None) -> None:
        self.add_module(name, module)

    def _register(self, table: str, name: str, value: Any, fits: bool) -> None:
        if table not in self.__dict__:
            raise AttributeError(f"cannot register {name!r} yet: {type(self).__name__}.__init__() must call super().__init__() first")
        if not isinstance(name, str):
            raise TypeError(f"the name of a parameter, buffer or module must be a str, got {type(name).__name__}")
        if not name or "." in name:
            raise ValueError(f"the name {name!r} cannot be used: it must not be empty or contain a dot, "
                             "which separates the names in state_dict")
        if hasattr(self, name) and name not in self.__dict__[table]:
            raise ValueError(f"{type(self).__name__} already has an attribute {name!r}")
        if value is not None and not fits:
            raise TypeError(f"cannot register a {type(value).__name__} as {name!r}: it must be a {_KINDS[table]} or None")
        self.__dict__[table][name] = value
