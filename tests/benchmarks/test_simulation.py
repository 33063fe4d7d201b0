"""`minicnn simulate`: its counts are those that are made by hand, and what the CUDA rungs claim of their requests for memory is true."""
from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from minicnn import kernels
from minicnn.benchmarks.problems import Conv
from minicnn.benchmarks.simulation import picture, requests, run, tables
from minicnn.benchmarks.simulation.run import Simulated
from minicnn.cli import app
from minicnn.kernels.cuda_backend import nvrtc
from minicnn.kernels.cuda_backend.simulator import Request
from minicnn.kernels.cuda_backend.simulator.ptx import Instruction
from minicnn.kernels.cuda_backend.static import sass

pytestmark = pytest.mark.skipif(bool(nvrtc.missing()), reason=str(nvrtc.missing()))
ALIGNED = "mb2ic16ih8iw16oc128oh8ow16kh1"    # rows and columns are whole tiles, and every row of every matrix begins at 16 bytes
PADDED = "mb1ic5ih9iw7oc70kh3sh2sw1ph1"
DIRECTIONS = Conv.directions


@functools.cache
def simulated(rung: str, problem: str, direction: str = "forward") -> Simulated:
    return run.simulate(run.rungs([rung])[0], Conv.parse(problem), direction)


def test_every_cuda_rung_has_a_row() -> None:
    found = [simulated(name, PADDED) for name in run.NAMES]
    table, caption = tables.side_by_side(found)
    assert isinstance(table, tables.Table)
    assert [row[0] for row in table.rows] == [rung.name.removeprefix("cuda-") for rung in kernels.LADDER if rung.on_cuda]
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert table.notes[-1] == "Every result equals the right one."
    assert "bank conflicts" in str(caption)


def test_requests_of_the_direct_rung_counted_by_hand() -> None:
    """1x1, no padding: 128 warps, each of 16 products loads an x and a w; then every warp stores."""
    s = simulated("direct", "mb1ic16ih8iw16oc32kh1")
    warps = 32 * 8 * 16 // 32
    read, written = s.total("global", "read"), s.total("global", "write")
    assert (read.requests, written.requests) == (warps * 16 * 2, warps)
    assert read.units == warps * 16 * (4 + 1)                  # 32 pixels of a plane side by side; one weight for all
    assert (written.units, written.ideal) == (warps * 4, warps * 4)
    assert s.total("shared", "read").requests == 0
    assert s.product.multiply_adds == warps * 16


def test_a_higher_rung_needs_less() -> None:
    """The tiled rung loads every value once for 16 products, the blocked one for 64; and each makes more of its instructions count."""
    rungs = [simulated(name, ALIGNED) for name in ("direct", "tiled", "blocked", "pipelined")]
    read = [s.total("global", "read").units for s in rungs]
    assert read[0] > 5 * read[1]
    assert read[1] > 2 * read[2]
    assert [s.product.multiply_add_share for s in rungs] == sorted(s.product.multiply_add_share for s in rungs)
    assert simulated("tensor-cores", ALIGNED).product.instructions < rungs[-1].product.instructions


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_pipelined_rung_asks_for_whole_sectors(direction: str) -> None:
    """No request for global memory touches more sectors than its bytes fill."""
    product = simulated("pipelined", ALIGNED, direction).product
    asked = {key: access for key, access in product.accesses.items() if key[1] == "global"}
    assert {kind for _, _, kind in asked} == {"read", "write"}
    for (place, _, kind), access in asked.items():
        assert access.units <= access.ideal, f"{product.code[place]}: {kind}, {access}"


@pytest.mark.parametrize("problem", [ALIGNED, PADDED])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("rung", ["blocked", "pipelined", "tensor-cores"])
def test_no_bank_conflicts(rung: str, direction: str, problem: str) -> None:
    for counts in simulated(rung, problem, direction).launches:
        for (place, space, kind), access in counts.accesses.items():
            if space == "shared":
                assert access.units == access.ideal, f"{counts.kernel}: {counts.code[place]}: {kind}, {access}"


def asked(space: str, addresses: list[int], width: int = 4, active: int = 32) -> Request:
    instruction = Instruction("ld", 0, ("ld", space, "f32"), (), source="example.cu:7")
    return Request(instruction, space, "read", width, np.array(addresses), np.arange(32) < active)


def test_a_picture_of_sectors() -> None:
    shown = requests.text(requests.grid(asked("global", [4096 + 4 * i + 16 for i in range(32)])))
    assert shown == [
        "example.cu:7: reads global memory, 32 threads × 4 bytes, 5 sectors (ideal 4)",
        "byte  |sector 0                |sector 1                |sector 2                |sector 3               ",
        "  +0  | ·  ·  ·  ·  0  1  2  3 | 4  5  6  7  8  9 10 11 |12 13 14 15 16 17 18 19 |20 21 22 23 24 25 26 27",
        "+128  |28 29 30 31  ·  ·  ·  · | ·  ·  ·  ·  ·  ·  ·  · | ·  ·  ·  ·  ·  ·  ·  · | ·  ·  ·  ·  ·  ·  ·  ·"]
    strided = requests.grid(asked("global", [1024 * i for i in range(32)]))
    assert (strided.units, len(strided.rows), strided.left_out) == (32, 8, 24)
    assert requests.text(strided)[-1].strip() == "and 24 more lines"
    assert requests.grid(asked("global", [256] * 32)).lanes[0][0] == list(range(32))     # all ask for one word


def test_a_picture_of_banks() -> None:
    conflict = requests.grid(asked("shared", [128 * i for i in range(32)], active=3))
    assert (conflict.units, conflict.ideal) == (3, 1)
    assert [row[0] for row in conflict.lanes] == [[0], [1], [2]]
    assert requests.text(conflict)[0] == "example.cu:7: reads shared memory, 3 threads × 4 bytes, 3 wavefronts (ideal 1)"
    assert requests.text(conflict)[2] == "   1   0" + "  ·" * 31
    broadcast = requests.grid(asked("shared", [64] * 32))
    assert (broadcast.units, broadcast.lanes[0][16]) == (1, list(range(32)))
    assert "  *" in requests.text(broadcast)[2]
    wide = requests.grid(asked("shared", [16 * i for i in range(32)], width=16))
    assert (wide.units, wide.ideal) == (4, 4)
    assert wide.lanes[1][:4] == [[8]] * 4


def test_the_most_telling_request_is_shown() -> None:
    grid = requests.telling(simulated("blocked", ALIGNED), "shared")
    assert grid is not None
    assert (grid.units, grid.request.width) == (4, 16)
    assert requests.telling(simulated("direct", ALIGNED), "shared") is None


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    found = [simulated(name, ALIGNED) for name in ("direct", "tiled")]
    with Image.open(picture.save(tmp_path / "warp.png", found)) as image:
        assert image.width == round(picture.WIDTH * picture.DPI)
        assert len(image.convert("RGB").getcolors(1 << 24)) > 100
    assert "<svg" in picture.save(tmp_path / "warp.svg", found).read_text()


def test_too_large_a_problem_is_refused() -> None:
    problem = Conv.parse("mb64ic64ih56oc64kh3ph1")
    with pytest.raises(ValueError, match=r"^mb64ic64ih56oc64oh56kh3ph1 takes 7,\d+,\d+,\d+ multiply-adds; the simulator takes its time, "
                                         r"so at most 50,000,000 are simulated: use fewer images, channels or filters$"):
        run.simulate(run.rungs(["direct"])[0], problem, "forward")


def test_on_the_command_line(tmp_path: Path) -> None:
    def minicnn(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["simulate", "conv", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    shown = minicnn(ALIGNED, "--rung", "tiled", "--rung", "cuda-blocked", "--lines")
    assert "tiled, matrices.cuh" in shown
    assert "blocked: requests for memory, line by line" in shown
    assert "wavefront (ideal" in minicnn(ALIGNED, "--rung", "tiled")
    assert "wavefront (ideal" not in minicnn(ALIGNED, "--rung", "tiled", "--no-requests")
    assert minicnn(ALIGNED, "--rung", "tiled", "--picture", str(tmp_path / "a.png")).endswith(f"drawn in {tmp_path / 'a.png'}\n")


@pytest.mark.skipif(bool(sass.missing()), reason=str(sass.missing()))
def test_the_machine_code_of_the_rungs() -> None:
    """The blocked rung's loop is nearly all multiply-adds, but finding its values takes longer; the pipelined one has no loop around."""
    table, _ = tables.machine_code(90)
    assert isinstance(table, tables.Table)
    rows = {row[0]: dict(zip((column.head for column in table.columns), row, strict=True)) for row in table.rows}
    assert int(rows["conv2d_blocked"]["FMA"].rstrip("%")) >= 85
    assert int(rows["conv2d_blocked"]["peak"].rstrip("%")) < 60
    assert rows["conv2d_blocked"]["bound by"].startswith("index arithmetic: ")
    assert rows["conv2d_pipelined"]["peak"] == rows["conv2d_pipelined"]["FMA"]
    assert rows["conv2d_tensor_cores"]["FMA"].endswith(" mma")
    assert rows["im2col"]["loop"] == "-"
    shown = CliRunner().invoke(app, ["simulate", "code", "--arch", "75"]).stdout
    assert "compute capability 7.5" in shown
    assert "tensor_cores" not in shown
    done = CliRunner().invoke(app, ["simulate", "code", "--arch", "70"])
    assert (done.exit_code, done.stderr) == (1, "error: unknown compute capability '70'; there are: 75, 80, 86, 89, 90, 100, 120\n")


@pytest.mark.parametrize(("arguments", "message"), [
    (["--rung", "tilde"], "error: unknown rung 'tilde' (did you mean 'tiled'?); there are: direct, im2col, tiled, blocked, pipelined, "
                          "tensor-cores\n"),
    (["--direction", "back"], "error: unknown direction 'back'; there are: forward, grad_input, grad_weight\n"),
    (["mb1"], "error: problem 'mb1'"),
])
def test_mistakes_on_the_command_line(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["simulate", "conv", *arguments])
    assert done.exit_code == 1
    assert done.stderr.startswith(message)
