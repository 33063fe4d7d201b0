// im2col and its adjoint col2im: every patch under the window as a column, and every column back to the pixels it came from.
//   x (planes, H, W), cols (planes, KH, KW, OH, OW)
#include "real.cuh"
#include "window.cuh"

// cols[plane, kh, kw, oh, ow] = x[plane, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL], 0 in the padding
//
// A thread an output place (plane, oh, ow), which copies the KH*KW pixels of its patch. Fast because neighbouring threads write neighbouring
// columns of every row (coalesced), and read neighbouring pixels that the cache keeps for the other offsets.
// Memory: x read once (KH*KW times from the cache), KH*KW*OH*OW numbers a plane written.
extern "C" __global__ void im2col(const real *__restrict__ x, real *__restrict__ cols, Window g, Divisors by) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    const int outputs = g.OH * g.OW;
    if (i >= unsigned(g.planes * outputs)) return;
    const Place at = place(i, g.OH, g.OW, by);
    x += at.plane * g.H * g.W;
    cols += at.plane * g.KH * g.KW * outputs + at.row * g.OW + at.column;
    for (int kh = 0; kh < g.KH; kh++) {
        const int h = at.row * g.SH + kh * g.DH - g.PT;
        for (int kw = 0; kw < g.KW; kw++, cols += outputs) {
            const int w = at.column * g.SW + kw * g.DW - g.PL;
            *cols = 0 <= h && h < g.H && 0 <= w && w < g.W ? x[h * g.W + w] : 0;
        }
    }
}

// x[plane, h, w] = sum of all cols[plane, kh, kw, oh, ow] that im2col copied from there
//
// A thread an input pixel, which gathers from the at most KH*KW columns that have it. Fast because nothing is added to memory: neighbouring
// threads read neighbouring columns, and each sum is kept in a register and written once.
// Memory: KH*KW*OH*OW numbers a plane read, H*W written.
extern "C" __global__ void col2im(const real *__restrict__ cols, real *__restrict__ x, Window g, Divisors by) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= unsigned(g.planes * g.H * g.W)) return;
    const Place at = place(i, g.H, g.W, by);
    const Outputs rows = rows_spanning(at.row, g, by), columns = columns_spanning(at.column, g, by);
    cols += at.plane * g.KH * g.KW * g.OH * g.OW;
    real sum = 0;
    for (int oh = rows.first; oh <= rows.last; oh++) {
        const int down = at.row + g.PT - oh * g.SH, kh = divided(down, by.DH, by.DH_shift);
        if (kh * g.DH != down) continue;                       // the pixel lies between two taps
#pragma unroll 1                                               // few windows: copies of the loop would only take registers
        for (int ow = columns.first; ow <= columns.last; ow++) {
            const int across = at.column + g.PL - ow * g.SW, kw = divided(across, by.DW, by.DW_shift);
            if (kw * g.DW == across) sum += cols[((kh * g.KW + kw) * g.OH + oh) * g.OW + ow];
        }
    }
    x[i] = sum;
}
