"""im2col copies the right pixel, col2im is its adjoint, and it adds."""
from types import ModuleType

import numpy as np
from hypothesis import given

from minicnn.kernels import reference
from minicnn.kernels.window import Window2d
from tests.compare import assert_equal, unchanged
from tests.kernels.on_device import every_backend
from tests.strategies import Geometry, conv_geometries, in_layout, integers


@every_backend()
@given(g=conv_geometries())
def test_exact_and_adjoint(k: ModuleType, g: Geometry) -> None:
    x = in_layout(integers(g.x_shape, g.seed), g.layout)
    cols = in_layout(integers((*g.x_shape[:2], *g.window.kernel, *g.y_shape[2:]), g.seed + 1), g.layout)
    with unchanged(x, cols):
        assert_equal(k.im2col(x, g.window), reference.im2col(x, g.window))
        assert_equal(k.col2im(cols, g.size, g.window), reference.col2im(cols, g.size, g.window))
    assert np.vdot(k.im2col(x, g.window), cols) == np.vdot(x, k.col2im(cols, g.size, g.window))


@every_backend()
def test_col2im_of_im2col_counts_the_windows_that_see_each_pixel(k: ModuleType) -> None:
    window, x = Window2d.of(3), np.ones((1, 1, 4, 5), np.float32)
    seen = k.col2im(k.im2col(x, window), (4, 5), window)[0, 0]
    assert_equal(seen, np.outer([1, 2, 2, 1], [1, 2, 3, 2, 1]).astype(np.float32))
