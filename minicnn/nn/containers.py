"""Containers: modules in a row, in a list, or by name."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Self

from minicnn.nn import fusion
from minicnn.nn.module import Module


class _Indexed(Module):
    """Modules named "0", "1", ... (or by an OrderedDict's keys) that are reached by position."""

    def _key(self, index: int) -> str:
        keys = list(self._modules)
        if not -len(keys) <= index < len(keys):
            raise IndexError(f"index {index} is out of range: this {type(self).__name__} has {len(keys)} modules")
        return keys[index]

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._sliced(list(self._modules.items())[index])
        return self._modules[self._key(index)]

    def _sliced(self, items: list[tuple[str, Module]]) -> Module:
        raise NotImplementedError

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._key(index), module)

    def __delitem__(self, index: int) -> None:
        """Remove a module; the names of those after it move up."""
        del self._modules[self._key(index)]
        self._renumber(list(self._modules.values()))

    def insert(self, index: int, module: Module) -> Self:
        """Put a module before position `index`; the names of those after it move down."""
        modules = list(self._modules.values())
        modules.insert(index, module)
        self._renumber(modules)
        return self

    def _renumber(self, modules: list[Module]) -> None:
        self._modules.clear()
        self.extend(modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())


class Sequential(_Indexed):
    """Modules called one after the other, y = f_n(...f_2(f_1(x))).

    Sequential(f1, f2, ...) names them "0", "1", ...; Sequential(OrderedDict(a=f1, b=f2)) by the keys. A slice is a Sequential of the
    same modules. A Conv2d and the ReLU after it run as one, as do a BatchNorm2d, its ReLU and, in training, a max pool of 2 x 2; in eval
    mode and without a tape a BatchNorm2d joins the Conv2d before it: see `minicnn.nn.fusion`.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            self.extend(args)

    def forward(self, x: Any) -> Any:
        return fusion.run(list(self), x)

    def _sliced(self, items: list[tuple[str, Module]]) -> Sequential:
        return Sequential(dict(items))


class ModuleList(_Indexed):
    """A list of modules that the module it belongs to knows of; how they are called is up to that module's forward."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def _sliced(self, items: list[tuple[str, Module]]) -> ModuleList:
        return ModuleList(module for _, module in items)

    def _child_reprs(self) -> Iterator[tuple[str, str]]:
        """Equal neighbours on one line: (0-2): 3 x ReLU()."""
        first = 0
        for text, equal in groupby(map(repr, self)):
            n = len(list(equal))
            yield (str(first), text) if n == 1 else (f"{first}-{first + n - 1}", f"{n} x {text}")
            first += n


class ModuleDict(Module):
    """Modules by name, which the module it belongs to knows of."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        for name, module in (modules or {}).items():
            self[name] = module

    def __getitem__(self, name: str) -> Module:
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        del self._modules[name]

    def __contains__(self, name: str) -> bool:
        return name in self._modules

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def keys(self) -> Iterable[str]:
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        return self._modules.items()
