"""The rules of the architecture: dependencies point one way, the kernels know no Tensor, and importing is quick and light."""
import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Each layer may import itself and what stands after it; `tools` use the framework and nothing in it uses them.
LAYERS = ["cli", "training", "models", "trace", "nn", "ops", "autograd", "tensor", "device", "kernels"]
TOOLS = {"data", "optim", "benchmarks", "cuda", "inspect", "interop", "report"}
FOUNDATION = {"random", "hooks", "files", "recording", "document", "figures"}     # everyone may import these


def layer_of(module: str) -> str:
    """minicnn.nn.functional -> nn"""
    return [*module.split("."), ""][1]


def imported(path: Path, package: str) -> set[str]:
    """The minicnn modules that a file imports, wherever in the file the statement stands."""
    found = set()
    tree = ast.parse(path.read_text())
    for_types = [n for n in ast.walk(tree) if isinstance(n, ast.If) and isinstance(n.test, ast.Name) and n.test.id == "TYPE_CHECKING"]
    for block in for_types:
        block.body = []                                        # names for annotations are not dependencies
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found |= {f"{module}.{a.name}" for a in node.names} if module == "minicnn" else {module}
    return {m for m in found if m.split(".")[0] == "minicnn"}


def files() -> list[tuple[str, Path]]:
    """(layer, file) for every source file below a layer."""
    found = []
    for path in (p for folder in ("minicnn", "kernels", "benchmarks") for p in (ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found.append((parts[1] if parts[0] == "minicnn" else parts[0], path))
    return [(layer, path) for layer, path in found if layer != "__init__"]


@pytest.mark.parametrize(("layer", "path"), files(), ids=lambda v: str(v.relative_to(ROOT)) if isinstance(v, Path) else "")
def test_dependencies_point_one_way(layer: str, path: Path) -> None:
    assert layer in LAYERS or layer in TOOLS | FOUNDATION, f"{path} belongs to no layer: add it to this test"
    for module in imported(path, layer):
        target = layer_of(module)
        if layer == target or target in FOUNDATION:
            continue
        if layer in FOUNDATION:
            pytest.fail(f"{path} imports {module}")
        if layer in TOOLS or layer in ("cli", "training"):
            whole = layer in ("cli", "report", "benchmarks")   # a report is of a training, and a benchmark may train
            above = {"cli"} if whole else {"cli", "training", "report"}
            assert target not in above, f"{path} imports {module}"
            continue
        assert target in LAYERS[LAYERS.index(layer) + 1:], f"{path} imports {module}"


def test_kernels_know_nothing_of_the_framework() -> None:
    for path in (ROOT / "kernels").rglob("*.py"):
        assert all(m.startswith("minicnn.kernels") for m in imported(path, "kernels")), path
    assert not imported(ROOT / "kernels" / "window.py", "kernels")


def test_import_is_light() -> None:
    """Nothing heavy is imported before it is needed."""
    heavy = "{'numba', 'cupy', 'minicnn.kernels.cuda_backend', 'matplotlib', 'PIL', 'rich', 'typer', 'safetensors', 'torch', " \
            "'scipy', 'networkx', 'urllib.request', 'tarfile'}"
    code = f"import sys, minicnn; print(*sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


def test_every_package_folder_is_shipped() -> None:
    """setuptools is given the packages by name, so a new folder must be added there."""
    import tomllib
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    for name, top in (("minicnn", "minicnn"), ("kernels", "minicnn.kernels"), ("benchmarks", "minicnn.benchmarks")):
        for init in (ROOT / name).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT / name).parts
            assert ".".join([top, *parts]) in listed
