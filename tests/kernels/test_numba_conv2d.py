"""Register tiles at every vector width of this CPU, dtype and thread count, at sizes where all kinds of tiles, bands and blocks occur."""
from collections.abc import Iterator

import numba
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from minicnn import kernels
from minicnn.benchmarks.problems import Conv
from minicnn.kernels import numba_backend as k
from minicnn.kernels import reference
from minicnn.kernels.numba_backend import plan, simd, weight_plan
from minicnn.kernels.window import Window2d
from tests.compare import assert_equal
from tests.kernels import test_conv2d as for_every_backend
from tests.strategies import Geometry, conv_geometries, in_layout, integers

pytestmark = pytest.mark.skipif(not simd.usable(), reason="no register tiles: Numba does not compile here, or knows no vectors of this CPU")
WIDTHS = [name for name in ("avx512", "avx2", "sse", "neon") if simd.SETS[name] in (simd.registers(), (32, 16), (16, 16))
          and simd.SETS[name][0] <= simd.registers()[0]]
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
few = settings(max_examples=max(5, settings().max_examples // 10),
               suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])    # all examples of a test have one width


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest) -> Iterator[str]:
    """The vectors of another, narrower processor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINICNN_SIMD", request.param)
        _forget()
        yield request.param
    _forget()


def _forget() -> None:
    for cached in (simd.registers, plan.plan, weight_plan.weight_plan):
        cached.cache_clear()


@every_dtype
@few
@given(g=conv_geometries())
def test_every_width_equals_the_loops(width: str, dtype: type, g: Geometry) -> None:
    """Tier 1, forward and backward, in every memory order."""
    x, w, b, dy = for_every_backend.arrays(g, dtype=dtype)
    for relu in (False, True):
        assert_equal(k.conv2d(x, w, b, g.window, g.groups, relu), reference.conv2d(x, w, b, g.window, g.groups, relu), "y")
    assert_equal(k.conv2d_grad_input(dy, w, x.shape, g.window, g.groups),
                 reference.conv2d_grad_input(dy, w, x.shape, g.window, g.groups), "dx")
    assert_equal(k.conv2d_grad_weight(dy, x, w.shape, g.window, g.groups),
                 reference.conv2d_grad_weight(dy, x, w.shape, g.window, g.groups), "dw")


@every_dtype
@few
@given(g=conv_geometries())
def test_every_width_is_within_the_bound(width: str, dtype: type, g: Geometry) -> None:
    """Tier 2."""
    for_every_backend.test_bounded.hypothesis.inner_test(k, dtype, g)


@few
@given(g=conv_geometries())
def test_every_width_is_its_own_adjoint(width: str, g: Geometry) -> None:
    """Tier 3."""
    for_every_backend.test_adjoint.hypothesis.inner_test(k, g)


# Every kind of cut: bands of large images, whole and partial blocks of filters, narrow vectors, phases, groups, depthwise, few and many
# images a sum, direct reading and borders, one row of outputs.
LARGE = [
    "mb3ic32ih28oc33kh3ph1", "mb1ic7ih19iw31oc70kh5kw3ph2pw1", "mb2ic16ih16oc32kh3sh2ph1", "mb5ic6ih14oc16kh5", "mb40ic3ih8oc10kh3ph1",
    "g4mb2ic32ih12oc32kh3ph1", "g3mb2ic9ih12oc51kh3", "mb2ic3ih64iw60oc8kh7sh2ph3", "mb2ic40ih9oc6kh1", "mb2ic17ih15oc4kh1sh2",
    "g33mb18ic33ih12oc33kh3ph1", "g64mb2ic64ih13oc64kh3sh2ph1", "g16mb2ic16ih20oc16kh9ph4", "g16mb3ic16ih20iw17oc16kh3ph2dh1",
    "mb1ic300ih7oc40kh3",
    "mb2ic5ih1iw40oc20kh1kw5", "mb1ic64ih14oc64kh3ph1", "mb9ic8ih20iw22oc12kh2kw4sh3sw2ph1pw1dh1dw1",
]


@pytest.mark.parametrize("problem", LARGE)
def test_large_problems_are_exact_and_the_same_for_every_number_of_threads(width: str, problem: str, every_thread_count: list[int]) -> None:
    """Tier 1 against torch, and bit for bit with one, two and three threads, on floats too."""
    p = Conv.parse(problem)
    _exact(p, every_thread_count)
    random = np.random.default_rng(0)
    x, w, dy = (random.standard_normal(shape).astype(np.float32) for shape in (p.x_shape, p.w_shape, p.y_shape))
    results = []
    for threads in every_thread_count:
        numba.set_num_threads(threads)
        arrays = (k.conv2d(x, w, None, p.window, p.groups), k.conv2d_grad_input(dy, w, x.shape, p.window, p.groups),
                  k.conv2d_grad_weight(dy, x, w.shape, p.window, p.groups))
        results.append([a.tobytes() for a in arrays])
    assert results[0] == results[1] == results[2]


def _exact(p: Conv, every_thread_count: list[int]) -> None:
    x, w, dy = (integers(shape, i, -4, 4) for i, shape in enumerate((p.x_shape, p.w_shape, p.y_shape)))
    tx, tw = (torch.tensor(a.astype(np.float64), requires_grad=True) for a in (x, w))
    padding = p.window.padding[0], p.window.padding[2]
    y = torch.nn.functional.conv2d(tx, tw, None, p.window.stride, padding, p.window.dilation, p.groups)
    y.backward(torch.tensor(dy.astype(np.float64)))
    for threads, layout in zip(every_thread_count, ("channels-last", "contiguous", "read-only"), strict=True):
        numba.set_num_threads(threads)
        seen, gradient = in_layout(x, layout), in_layout(dy, layout)
        assert_equal(k.conv2d(seen, w, None, p.window, p.groups), y, "y")
        assert_equal(k.conv2d_grad_input(gradient, w, x.shape, p.window, p.groups), tx.grad, "dx")
        assert_equal(k.conv2d_grad_weight(gradient, seen, w.shape, p.window, p.groups), tw.grad, "dw")


@pytest.mark.parametrize("pool", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("problem", ["mb3ic6ih14oc16kh5", "mb1ic3ih29iw31oc33kh3ph1", "g8mb2ic8ih12oc8kh3ph1"])
def test_a_prepared_convolution_with_its_pool(width: str, problem: str, pool: tuple[int, int]) -> None:
    """The same numbers as the convolution, relu and pool one after the other; NaN travels."""
    p = Conv.parse(problem)
    x, w, b = integers(p.x_shape, 0), integers(p.w_shape, 1), integers((p.F,), 2)
    x[0, 0, 3, 3] = np.nan
    numpy, window = kernels.get("numpy"), Window2d.of(pool, pool)
    expected = numpy.max_pool2d(numpy.conv2d(x, w, b, p.window, p.groups, True), window)[0]
    for images in (x, x[:1], in_layout(x, "channels-last")):
        assert_equal(k.prepare_conv2d(w, b, p.window, p.groups, True, pool)(images), expected[:len(images)])


def test_subnormals_are_flushed_and_the_mode_is_restored(width: str, every_thread_count: list[int]) -> None:
    """In every thread, for products of a normal and a subnormal number; the caller's arithmetic stays as it was."""
    tiny = np.float32(2.0**-130)
    x, w = np.full((4, 32, 20, 20), tiny), np.ones((32, 32, 3, 3), np.float32)
    for threads in every_thread_count:
        numba.set_num_threads(threads)
        assert not k.conv2d(x, w, None, Window2d.of(3)).any()
        assert tiny * np.float32(0.5) > 0


def test_other_dtypes_are_numpys() -> None:
    """float16 and the other byte order have no compiled kernels, and work all the same."""
    numpy, window = kernels.get("numpy"), Window2d.of(3, padding=1)
    for dtype in (np.dtype(np.float16), np.dtype(">f4")):
        x, w, dy = (integers(shape, i, -2, 2, dtype) for i, shape in enumerate([(2, 3, 5, 4), (4, 3, 3, 3), (2, 4, 5, 4)]))
        assert_equal(k.conv2d(x, w, None, window), numpy.conv2d(x, w, None, window))
        assert_equal(k.conv2d_grad_input(dy, w, x.shape, window), numpy.conv2d_grad_input(dy, w, x.shape, window))
        assert_equal(k.conv2d_grad_weight(dy, x, w.shape, window), numpy.conv2d_grad_weight(dy, x, w.shape, window))
        assert_equal(k.channel_sum(dy), numpy.channel_sum(dy))
        a, b = x.reshape(6, 20), integers((7, 20), 5, -2, 2, dtype)
        assert_equal(k.linear(a, b, None), numpy.linear(a, b, None))
        assert_equal(k.linear_grad_input(a, b.T), numpy.linear_grad_input(a, b.T))
        assert_equal(k.linear_grad_weight(a, x.reshape(6, 20)), numpy.linear_grad_weight(a, x.reshape(6, 20)))


def test_unknown_width() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINICNN_SIMD", "mmx")
        simd.registers.cache_clear()
        with pytest.raises(ValueError, match=r"^MINICNN_SIMD is 'mmx'; it can be avx512, avx2, neon, sse, none$"):
            simd.registers()
    simd.registers.cache_clear()
