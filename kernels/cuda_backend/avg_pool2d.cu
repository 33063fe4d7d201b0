// Average pooling and its gradient.
//   x and dx (planes, H, W); y and dy (planes, OH, OW)
// A window's divisor is `divisor`, or where that is 0 the number of cells it covers: with `padded` those in the padding too, but never
// what hangs over the padding's end. NaN where it covers none.
#include "real.cuh"
#include "window.cuh"

// How many of the taps start, start + d, ..., start + (k-1)*d lie in first..end-1.
__device__ inline int taps_inside(int start, int k, int d, int first, int end) {
    const int before = start >= first ? 0 : (first - start - 1) / d + 1;         // the first tap that is not before them
    const int upto = start >= end ? 0 : min(k, (end - 1 - start) / d + 1);
    return max(0, upto - before);
}

__device__ inline int cells_down(const Window &g, int oh, int padded) {
    return taps_inside(oh * g.SH - g.PT, g.KH, g.DH, padded ? -g.PT : 0, padded ? g.H + g.PB : g.H);
}

__device__ inline int cells_across(const Window &g, int ow, int padded) {
    return taps_inside(ow * g.SW - g.PL, g.KW, g.DW, padded ? -g.PL : 0, padded ? g.W + g.PR : g.W);
}

__device__ inline real share(real value, int divisor, int cells) {
    return divisor ? value / divisor : cells ? value / cells : not_a_number();
}

// y[plane, oh, ow] = the sum of x[plane, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL] inside the plane, divided
//
// A thread an output. Fast because neighbouring threads write neighbouring outputs and read neighbouring pixels, and what windows share
// comes from the cache. Memory: H*W numbers a plane read, OH*OW written.
extern "C" __global__ void avg_pool2d(const real *__restrict__ x, real *__restrict__ y, Window g, int divisor, int padded) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= unsigned(g.planes * g.OH * g.OW)) return;
    const Place at = place(i, g.OH, g.OW);
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
    y[i] = share(sum, divisor, cells_down(g, at.row, padded) * cells_across(g, at.column, padded));
}

// dx[plane, h, w] = sum of dy / divisor over the windows that have a tap on the pixel
//
// A thread a pixel, which looks at the windows that span it. Fast because nothing is added to memory, and neighbouring threads look at the
// same or neighbouring windows. Memory: OH*OW numbers a plane read, H*W written.
extern "C" __global__ void avg_pool2d_grad(const real *__restrict__ dy, real *__restrict__ dx, Window g, int divisor, int padded) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= unsigned(g.planes * g.H * g.W)) return;
    const Place at = place(i, g.H, g.W);
    const int top = first_output(at.row, g.PT, g.KH, g.SH, g.DH), bottom = last_output(at.row, g.PT, g.SH, g.OH);
    const int left = first_output(at.column, g.PL, g.KW, g.SW, g.DW), right = last_output(at.column, g.PL, g.SW, g.OW);
    dy += at.plane * g.OH * g.OW;
    real sum = 0;
    for (int oh = top; oh <= bottom; oh++) {
        if ((at.row + g.PT - oh * g.SH) % g.DH) continue;      // the pixel lies between two taps
        const int down = cells_down(g, oh, padded);
        for (int ow = left; ow <= right; ow++)
            if ((at.column + g.PL - ow * g.SW) % g.DW == 0)
                sum += share(dy[oh * g.OW + ow], divisor, down * cells_across(g, ow, padded));
    }
    dx[i] = sum;
}
