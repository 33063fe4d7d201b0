// Max pooling and its gradient.
//   x and dx (planes, H, W); y, argmax and dy (planes, OH, OW)
#include "real.cuh"
#include "window.cuh"

// y[plane, oh, ow] = the largest of x[plane, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL] inside the plane; argmax = its index h*W + w there
// The first of equal ones wins, and a NaN over everything before it. A window that sees only padding: -inf and -1.
//
// A thread an output. Fast because neighbouring threads write neighbouring outputs and read neighbouring pixels (coalesced at stride 1; at
// others the rest of each sector is the next tap's), and what windows share comes from the cache.
// Memory: H*W numbers a plane read, OH*OW numbers and as many 8-byte indices written.
extern "C" __global__ void max_pool2d(const real *__restrict__ x, real *__restrict__ y, long long *__restrict__ argmax, Window g,
                                      Divisors by) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= unsigned(g.planes * g.OH * g.OW)) return;
    const Place at = place(i, g.OH, g.OW, by);
    x += at.plane * g.H * g.W;
    real largest = -infinity();
    int winner = -1;
    for (int kh = 0; kh < g.KH; kh++) {
        const int h = at.row * g.SH + kh * g.DH - g.PT;
        if (h < 0 || h >= g.H) continue;
        for (int kw = 0; kw < g.KW; kw++) {
            const int w = at.column * g.SW + kw * g.DW - g.PL;
            if (w < 0 || w >= g.W) continue;
            const real value = x[h * g.W + w];
            if (winner < 0 || value > largest || value != value) {
                largest = value;
                winner = h * g.W + w;
            }
        }
    }
    y[i] = largest;
    argmax[i] = winner;
}

// dx[plane, h, w] = sum of dy over the windows of this plane that the pixel won
//
// A thread a pixel, which looks at the windows that span it: one at most where windows lie side by side. Fast because nothing is added to
// memory, and neighbouring threads look at the same or neighbouring windows.
// Memory: OH*OW numbers and 8-byte indices a plane read, H*W numbers written.
extern "C" __global__ void max_pool2d_grad(const real *__restrict__ dy, const long long *__restrict__ argmax, real *__restrict__ dx,
                                           Window g, Divisors by) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= unsigned(g.planes * g.H * g.W)) return;
    const Place at = place(i, g.H, g.W, by);
    const Outputs rows = rows_spanning(at.row, g, by), columns = columns_spanning(at.column, g, by);
    const int pixel = at.row * g.W + at.column;
    dy += at.plane * g.OH * g.OW;
    argmax += at.plane * g.OH * g.OW;
    real sum = 0;
    for (int oh = rows.first; oh <= rows.last; oh++)
        for (int ow = columns.first; ow <= columns.last; ow++)
            if (argmax[oh * g.OW + ow] == pixel) sum += dy[oh * g.OW + ow];
    dx[i] = sum;
}
