// Average pooling and its gradient.
//   x and dx (planes, H, W); y and dy (planes, OH, OW)
// A window's sum is divided by `divisor`, or where that is 0 by the number of cells it covers: with `padded` those in the padding too, but
// never what hangs over the padding's end. NaN where it covers none.
#include "real.cuh"
#include "window.cuh"

// How many of the taps start, start + d, ..., start + (k-1)*d lie in first..end-1.
__device__ inline int taps_inside(int start, int k, int multiplier, int shift, int first, int end) {
    const int before = start >= first ? 0 : divided(first - start - 1, multiplier, shift) + 1;   // the first tap that is not before them
    const int upto = start >= end ? 0 : min(k, divided(end - 1 - start, multiplier, shift) + 1);
    return max(0, upto - before);
}

__device__ inline int cells(const Window &g, const Divisors &by, int oh, int ow, int padded) {
    return taps_inside(oh * g.SH - g.PT, g.KH, by.DH, by.DH_shift, padded ? -g.PT : 0, padded ? g.H + g.PB : g.H)
           * taps_inside(ow * g.SW - g.PL, g.KW, by.DW, by.DW_shift, padded ? -g.PL : 0, padded ? g.W + g.PR : g.W);
}

__device__ inline real share(real value, const Window &g, const Divisors &by, int oh, int ow, int divisor, int padded) {
    if (divisor == 0) divisor = cells(g, by, oh, ow, padded);
    return divisor ? value / divisor : not_a_number();
}

// y[plane, oh, ow] = the sum of x[plane, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL] inside the plane, divided
//
// A thread an output. Fast because neighbouring threads write neighbouring outputs and read neighbouring pixels, and what windows share
// comes from the cache. Memory: H*W numbers a plane read, OH*OW written.
extern "C" __global__ void avg_pool2d(const real *__restrict__ x, real *__restrict__ y, Window g, Divisors by, int divisor,
                                      int padded) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= unsigned(g.planes * g.OH * g.OW)) return;
    const Place at = place(i, g.OH, g.OW, by);
    x += at.plane * g.H * g.W;
    real sum = 0;
    for (int kh = 0; kh < g.KH; kh++) {
        const int h = at.row * g.SH + kh * g.DH - g.PT;
        if (h < 0 || h >= g.H) continue;
        for (int kw = 0; kw < g.KW; kw++) {
            const int w = at.column * g.SW + kw * g.DW - g.PL;
            if (0 <= w && w < g.W) sum += x[h * g.W + w];
        }
    }
    y[i] = share(sum, g, by, at.row, at.column, divisor, padded);
}

// dx[plane, h, w] = sum of dy / divisor over the windows that have a tap on the pixel
//
// A thread a pixel, which looks at the windows that span it. Fast because nothing is added to memory, and neighbouring threads look at the
// same or neighbouring windows. Memory: OH*OW numbers a plane read, H*W written.
extern "C" __global__ void avg_pool2d_grad(const real *__restrict__ dy, real *__restrict__ dx, Window g, Divisors by, int divisor,
                                           int padded) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= unsigned(g.planes * g.H * g.W)) return;
    const Place at = place(i, g.H, g.W, by);
    const Outputs rows = rows_spanning(at.row, g, by), columns = columns_spanning(at.column, g, by);
    dy += at.plane * g.OH * g.OW;
    real sum = 0;
    for (int oh = rows.first; oh <= rows.last; oh++) {
        const int down = at.row + g.PT - oh * g.SH;
        if (divided(down, by.DH, by.DH_shift) * g.DH != down) continue;          // the pixel lies between two taps
#pragma unroll 1                                               // few windows: copies of the loop would only take registers
        for (int ow = columns.first; ow <= columns.last; ow++) {
            const int across = at.column + g.PL - ow * g.SW;
            if (divided(across, by.DW, by.DW_shift) * g.DW == across) sum += share(dy[oh * g.OW + ow], g, by, oh, ow, divisor, padded);
        }
    }
    dx[i] = sum;
}
