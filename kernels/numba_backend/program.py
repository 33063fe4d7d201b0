"""A kernel and the functions that it calls are one program: LLVM optimises it once, and makes machine code of it once.

Left to itself Numba does both for every function on its own, and again in each caller: twice the time, for the same code.
"""
from __future__ import annotations

import functools
from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.environment import lookup_environment
from numba.core.registry import CPUDispatcher


class Part(JITCodeLibrary):
    """A function for other compiled functions to call: in LLVM's language only."""

    def finalize(self) -> None:
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalize_dynamic_globals()
        self._finalized = True

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0                                               # no machine code

    @property
    def codegen(self) -> Any:
        return self

    def set_env(self, name: str, environment: Any) -> None:
        """Nothing to set where there is no machine code: Program does it."""


class Program(JITCodeLibrary):
    """A function for Python to call, with all its parts."""

    def finalize(self) -> None:
        super().finalize()
        codegen: Any = self._codegen
        for variable in self._final_module.global_variables:
            if environment := lookup_environment(variable.name):
                codegen.set_env(variable.name, environment)


class _Compiler(Compiler):
    library: type

    def define_pipelines(self) -> Any:
        state = self.state
        state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return super().define_pipelines()


class PartCompiler(_Compiler):
    library = Part


class ProgramCompiler(_Compiler):
    library = Program


OPTIONS: dict[str, Any] = {"nopython": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True,
                           "_nrt": False}      # kernels allocate nothing, so arguments need no counting
PART: dict[str, Any] = {**OPTIONS, "no_cpython_wrapper": True, "pipeline_class": PartCompiler}
INLINED: Any = {**PART, "forceinline": True}    # for what is given functions: else their addresses, which nothing needs, stay in the code


class Kernel(CPUDispatcher):
    """A function that Numba compiles as a program when Python calls it, and as a part of others that call it."""

    def __init__(self, function: Any, identity: str) -> None:
        super().__init__(py_func=function, targetoptions=dict(OPTIONS), pipeline_class=ProgramCompiler)
        self.identity = identity

    @functools.cached_property
    def part(self) -> Any:
        options = dict(PART)
        return CPUDispatcher(py_func=self.py_func, pipeline_class=options.pop("pipeline_class"), targetoptions=options)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """What a compiled caller is given."""
        return self.part.get_call_template(args, kws)

    def get_overload(self, sig: Any) -> Any:
        return self.part.get_overload(sig)
