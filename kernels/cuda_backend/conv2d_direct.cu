// Rung 0, direct: a thread an output, and nothing shared. Every product loads its two factors anew.
#include "real.cuh"
#include "geometry.cuh"

// y[n, f, oh, ow] = b[f] + sum over c, kh, kw of x[n, c, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL] * w[f, c, kh, kw]
//
// Neighbouring threads make neighbouring outputs of a row: with stride 1 a warp reads 32 consecutive x (coalesced) and one and the same w.
extern "C" __global__ void conv2d_direct(const real *x, const real *w, const real *b, real *y, Conv conv, int relu) {
    const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i >= (long long)conv.N * conv.F * conv.OH * conv.OW) return;
    const int ow = i % conv.OW, oh = i / conv.OW % conv.OH, f = i / (conv.OW * conv.OH) % conv.F, n = i / (conv.OW * conv.OH) / conv.F;
    const int CG = conv.C / conv.G, first = f / (conv.F / conv.G) * CG;         // the first input channel of f's group

    real sum = b ? b[f] : 0;
    for (int c = 0; c < CG; c++)
        for (int kh = 0; kh < conv.KH; kh++)
            for (int kw = 0; kw < conv.KW; kw++) {
                const int h = oh * conv.SH + kh * conv.DH - conv.PT, ww = ow * conv.SW + kw * conv.DW - conv.PL;
                if (0 <= h && h < conv.H && 0 <= ww && ww < conv.W)
                    sum += x[((n * conv.C + first + c) * conv.H + h) * conv.W + ww] * w[((f * CG + c) * conv.KH + kh) * conv.KW + kw];
            }
    y[i] = relu && sum <= 0 ? 0 : sum;                                          // NaN stays NaN
}

// dx[n, c, h, w]: gathers from all outputs that read this pixel: at offset kh the output oh = (h + PT - kh*DH) / SH, if that divides.
// A scatter, where each output adds to the pixels it read, would need atomic additions, in an order that changes from run to run.
extern "C" __global__ void conv2d_direct_grad_input(const real *dy, const real *w, real *dx, Conv conv) {
    const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i >= (long long)conv.N * conv.C * conv.H * conv.W) return;
    const int ww = i % conv.W, h = i / conv.W % conv.H, channel = i / (conv.W * conv.H) % conv.C, n = i / (conv.W * conv.H) / conv.C;
    const int CG = conv.C / conv.G, FG = conv.F / conv.G, first = channel / CG * FG, c = channel % CG;

    real sum = 0;
    for (int f = first; f < first + FG; f++)
        for (int kh = 0; kh < conv.KH; kh++)
            for (int kw = 0; kw < conv.KW; kw++) {
                const int a = h + conv.PT - kh * conv.DH, e = ww + conv.PL - kw * conv.DW, oh = a / conv.SH, ow = e / conv.SW;
                if (a >= 0 && e >= 0 && a % conv.SH == 0 && e % conv.SW == 0 && oh < conv.OH && ow < conv.OW)
                    sum += dy[((n * conv.F + f) * conv.OH + oh) * conv.OW + ow] * w[((f * CG + c) * conv.KH + kh) * conv.KW + kw];
            }
    dx[i] = sum;
}

// dw[f, c, kh, kw]: a block a weight. Its threads share out the images and outputs that used the weight; then their sums are added up in
// a tree, in an order that is always the same.
extern "C" __global__ void conv2d_direct_grad_weight(const real *dy, const real *x, real *dw, Conv conv) {
    __shared__ real sums[128];
    const int i = blockIdx.x, CG = conv.C / conv.G, plane = conv.OH * conv.OW;
    const int kw = i % conv.KW, kh = i / conv.KW % conv.KH, c = i / (conv.KW * conv.KH) % CG, f = i / (conv.KW * conv.KH) / CG;
    const int channel = f / (conv.F / conv.G) * CG + c;

    real sum = 0;
    for (int p = threadIdx.x; p < conv.N * plane; p += blockDim.x) {
        const int n = p / plane, oh = p % plane / conv.OW, ow = p % conv.OW;
        const int h = oh * conv.SH + kh * conv.DH - conv.PT, ww = ow * conv.SW + kw * conv.DW - conv.PL;
        if (0 <= h && h < conv.H && 0 <= ww && ww < conv.W)
            sum += dy[(n * conv.F + f) * plane + p % plane] * x[((n * conv.C + channel) * conv.H + h) * conv.W + ww];
    }
    sums[threadIdx.x] = sum;
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) dw[i] = sums[0];
}
