"""A kernel is compiled once a machine: by the first process that needs it, and again when anything changes that its code depends on."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
import pytest
from numba import types

from minicnn.kernels.numba_backend import cache, store
from minicnn.kernels.numba_backend.cache import KernelCache
from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.store import Store

compiles = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="NUMBA_DISABLE_JIT")

# Two kernels of one factory, with a part that both call and one that is made for them. It prints what Numba compiled.
TINY = '''
import functools, json, os, sys, threading
import numpy as np
from numba.core import event
from minicnn.kernels import compilation
from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.parallel import parallel_for, workers

@jit()
def add(a, b):
    if a < 0:
        raise ValueError("a is below 0")
    return a + b

@functools.cache
def scale(factor):
    @jit(factor)
    def times(a):
        return factor * a

    @jit(factor)
    def body(i, worker, x, y):
        y[i] = add(times(x[i]), 1)

    @jit(factor)
    def run(x, y, threads):
        add(x[0], 0)
        parallel_for(body, x.size, threads, (x, y))
    return run

class Log(list):
    def began(self, kernel): pass
    def ended(self, kernel, seconds, kept): self.append([kernel, kept()])

def call(factor, n=100):
    x, y = np.arange(n, dtype=float), np.empty(n)
    scale(factor)(x, y, workers(10**9))
    return bool((y == factor * x + 1).all())

def main(*factors):
    compiled, log = event.RecordingListener(), Log()
    with event.install_listener("numba:compile", compiled), compilation.observed(log):
        right = [call(int(factor)) for factor in factors]
        try:
            scale(int(factors[0]))(-np.ones(1), np.empty(1), 1)
            error = ""
        except ValueError as problem:
            error = str(problem)
    print(json.dumps({"right": right, "error": error, "functions": len(compiled.buffer) // 2, "kernels": log}))
'''


class Machine:
    """A folder with the module above and a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kept = folder, folder / "cache" / "kernels"
        (folder / "tiny.py").write_text(TINY)

    def start(self, code: str, **variables: str) -> subprocess.Popen[str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "OMP_", "GOMP_"))}
        return subprocess.Popen([sys.executable, "-c", f"import json, tiny\n{code}"], cwd=self.folder, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=own | {"MINICNN_CACHE": "cache", "NUMBA_NUM_THREADS": "2"} | variables)

    def run(self, *factors: int, **variables: str) -> Any:
        return finish(self.start(f"tiny.main{factors}", **variables))

    def files(self) -> list[Path]:
        return sorted(self.kept.iterdir()) if self.kept.is_dir() else []


def finish(process: subprocess.Popen[str]) -> Any:
    with process:
        out, errors = process.communicate()
    assert process.returncode == 0, errors
    return json.loads(out)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Machine, Any, Any]:
    """A machine with kernels for 2 and, from another process, for 3; and what the two processes did."""
    machine = Machine(tmp_path_factory.mktemp("compiled"))
    return machine, machine.run(2), machine.run(3)


@pytest.fixture
def machine(compiled: tuple[Machine, Any, Any], tmp_path: Path) -> Machine:
    """A copy of it."""
    shutil.copytree(compiled[0].folder, tmp_path, dirs_exist_ok=True)
    return Machine(tmp_path)


NOTHING = {"error": "a is below 0", "functions": 0, "kernels": []}


def test_the_first_process_compiles(compiled: tuple[Machine, Any, Any]) -> None:
    machine, first, second = compiled
    for found in (first, second):
        assert found["functions"] >= 5                         # run, parallel_for, body, times, add
        assert found | {"functions": 0} == {"right": [True], **NOTHING, "kernels": [["tiny.run", f"kept in {machine.kept}"]]}
    assert len(machine.files()) == 2


def test_a_later_process_compiles_nothing(machine: Machine) -> None:
    """Not even the parts; and kernels of one factory, compiled by processes that knew nothing of each other, are not confused."""
    files = {path.name: path.read_bytes() for path in machine.files()}
    assert machine.run(3, 2, NUMBA_NUM_THREADS="1", NUMBA_THREADING_LAYER="workqueue") == {"right": [True, True], **NOTHING}
    assert {path.name: path.read_bytes() for path in machine.files()} == files


@compiles
def test_a_second_training_compiles_nothing(tmp_path: Path) -> None:
    """Every kernel can be kept, and is found again by a name that is the same in every process. (The first may find some, too.)"""
    code = f"""
from numba.core import event
from minicnn.cli import app
compiled = event.RecordingListener()
with event.install_listener("numba:compile", compiled):
    app(["train", "--epochs", "1", "--quiet", "--backend", "numba", "--out", {str(tmp_path)!r}], standalone_mode=False)
print(*sorted({{found.data["dispatcher"].__qualname__ for _, found in compiled.buffer}}))
"""
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_for_another_cpu_it_is_compiled_anew(machine: Machine) -> None:
    found = machine.run(2, NUMBA_CPU_NAME="generic")
    assert (found["right"], len(found["kernels"]), len(machine.files())) == ([True], 1, 3)


def test_two_processes_at_once(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    both = [machine.start("tiny.main(2, 3)") for _ in range(2)]
    for process in both:
        assert finish(process)["right"] == [True, True]
    assert len(machine.files()) == 2
    assert machine.run(2, 3) == {"right": [True, True], **NOTHING}


def test_damaged_files_are_compiled_anew(machine: Machine) -> None:
    for path, size in zip(machine.files(), (0, 1000), strict=True):
        os.truncate(path, size)
    found = machine.run(2, 3)
    assert (found["right"], len(found["kernels"])) == ([True, True], 2)
    assert machine.run(2, 3) == {"right": [True, True], **NOTHING}


def test_without_a_folder_it_is_compiled_every_time(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"")
    found = Machine(tmp_path).run(2)
    assert (found["right"], found["kernels"]) == ([True], [["tiny.run", f"not kept: {tmp_path}/cache/kernels: Not a directory"]])


def test_without_numbas_compiler_the_functions_are_pythons(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.run(2, NUMBA_DISABLE_JIT="1") == {"right": [True], **NOTHING}
    assert not machine.files()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_computes_alone(machine: Machine) -> None:
    """GNU's OpenMP would end it."""
    code = """
print(json.dumps([tiny.workers(10**9), tiny.call(2)]), flush=True)
child = tiny.os.fork()
if not child:
    tiny.os._exit(0 if tiny.workers(10**9) == 1 and tiny.call(2) else 1)
assert tiny.os.waitpid(child, 0)[1] == 0
"""
    assert finish(machine.start(code, NUMBA_THREADING_LAYER="omp")) == [2, True]


def test_numbas_own_pool_is_for_the_main_thread(machine: Machine) -> None:
    """It ends the process when two threads call it at once."""
    code = """
counts, right = [], []
def compute():
    counts.append(tiny.workers(10**9))
    right.extend(tiny.call(2, 100_000) for _ in range(50))
threads = [tiny.threading.Thread(target=compute) for _ in range(3)]
for t in threads: t.start()
compute()
for t in threads: t.join()
print(json.dumps([sorted(counts), all(right)]))
"""
    assert finish(machine.start(code, NUMBA_THREADING_LAYER="workqueue")) == [[1, 1, 1, 2], True]


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP is Linux's")
@pytest.mark.parametrize(("variables", "spins"), [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7")])
def test_waiting_threads_soon_sleep(machine: Machine, variables: dict[str, str], spins: str) -> None:
    """OpenMP prints what it has read; the environment of this process and its children is left as it was."""
    code = "before = dict(tiny.os.environ); right = tiny.call(2); print(json.dumps([right, tiny.os.environ == before]))"
    process = machine.start(code, OMP_DISPLAY_ENV="verbose", NUMBA_THREADING_LAYER="omp", **variables)
    out, errors = process.communicate()
    assert (process.returncode, json.loads(out)) == (0, [True, True])
    assert f"GOMP_SPINCOUNT = '{spins}'" in errors


def test_any_change_of_a_source_changes_the_digest(tmp_path: Path) -> None:
    backend = Path(cache.__file__).parent
    shutil.copytree(backend.parent, tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    copy = tmp_path / "kernels" / backend.name
    assert cache._sources(copy) == cache._sources(backend)
    seen = {cache._sources(copy)}
    for path in (*copy.glob("*.py"), copy.parent / "window.py"):
        path.write_text(path.read_text() + "#")
        assert cache._sources(copy) not in seen, path
        seen.add(cache._sources(copy))
    (copy / "simd.py").rename(copy / "other.py")
    assert cache._sources(copy) not in seen


def test_the_name_of_a_file_says_all_that_its_code_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    triple = ("x86_64-unknown-linux-gnu", "skylake", "+avx2")
    float64, float32 = types.Array(types.float64, 4, "A", readonly=True), types.Array(types.float32, 4, "A", readonly=True)

    def name(identity: str = "a", signature: Any = (float64,), target: tuple[str, ...] = triple) -> str:
        return KernelCache("conv2d.run", identity)._file(signature, SimpleNamespace(magic_tuple=lambda: target))

    usual = name()
    assert name() == name(signature=types.void(float64).args) == usual
    names = {usual, name("b"), name(signature=(float32,)), name(signature=(float64, float64)), name(signature=types.float64(float64))}
    names |= {name(target=(*triple[:i], "other", *triple[i + 1:])) for i in range(3)}
    changes = [(cache, "SOURCES", "0" * 64), *((cache, "VERSIONS", (*cache.VERSIONS[:i], "0", *cache.VERSIONS[i + 1:])) for i in range(5)),
               (cache, "_host", lambda: ("other", "")), (numba.config, "OPT", 1), (numba.config, "BOUNDSCHECK", 1),
               (numba.config, "SLP_VECTORIZE", 1), (numba.config, "NOT_YET_KNOWN", 1)]
    for owner, attribute, value in changes:
        with monkeypatch.context() as changed:
            changed.setattr(owner, attribute, value, raising=False)
            assert name().partition("-")[0] != usual.partition("-")[0], attribute
            names.add(name())
    assert len(names) == 8 + len(changes)
    for harmless in ("NUMBA_NUM_THREADS", "THREADING_LAYER", "CACHE_DIR"):
        with monkeypatch.context() as changed:
            changed.setattr(numba.config, harmless, "other")
            assert name() == usual


def made(*constants: Any) -> Any:
    """What jit makes of a function with these constants in its closure."""
    @jit()
    def function(x: Any) -> Any:
        return constants, x
    return function


@compiles
def test_constants_make_different_kernels() -> None:
    class Pair(tuple):
        pass

    constants = [(), (1,), (1.0,), (True,), ("1",), (None,), ((1, 2),), ((1, (2,)),), (np.float32,), (np.float64,), (np.float32(1),),
                 (np.dtype("f4"),), (np.dtype("f8"),), (types.float32,), (types.int64,), (jit()(max_of),), (jit(2)(max_of),)]
    kernels = [made(*some) for some in constants]
    assert len({kernel.identity for kernel in kernels}) == len({kernel.__qualname__ for kernel in kernels}) == len(constants)
    assert made(Pair((1, 2))).identity == made((1, 2)).identity == made((1, 2)).identity


def max_of(a: float, b: float) -> float:
    return a if a > b else b


@compiles
@pytest.mark.parametrize("make", [lambda: made([1, 2]), lambda: jit([1, 2])(max_of)], ids=["closure", "variant"])
def test_other_constants_are_refused(make: Any) -> None:
    with pytest.raises(TypeError, match=r"^jit: .* takes \[1, 2\] of type list as a constant; expected numbers, strings, types, tuples of "
                                        r"these, or functions that jit has compiled$"):
        make()


@compiles
def test_a_function_is_a_kernel_and_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python calls the one, compiled functions are given the other; neither changes what it says of itself."""
    monkeypatch.setattr(store, "kernels", lambda: Store(None))
    larger = jit()(max_of)

    @jit()
    def largest(values: Any) -> float:
        found = values[0]
        for value in values:
            found = larger(found, value)
        return found

    assert largest(np.array([1.0, 3.0, 2.0])) == 3
    assert not larger.overloads
    assert larger(2.0, 1.0) == 2
    assert [type(library).__name__ for library in libraries(larger.part)] == ["Part"]
    assert [type(library).__name__ for library in libraries(larger)] == ["Program"]
    assert largest.__name__ == "largest"
    assert largest.__doc__ is None


def libraries(dispatcher: Any) -> list[Any]:
    return [result.library for result in dispatcher.overloads.values()]


@compiles
def test_code_that_cannot_be_kept_is_reported() -> None:
    table = np.arange(200_000.0)

    def first(i: int) -> float:
        return TABLE[i]                                        # type: ignore[name-defined]  # noqa: F821

    first.__globals__["TABLE"] = table
    with pytest.warns(match=r"^test_numba_cache\.first is compiled by every process anew, because its code holds addresses of this one: "
                            "a large global array, or a compiled function that is handed to another$"):
        assert jit()(first)(7) == 7
