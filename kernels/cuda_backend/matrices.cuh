// Convolution and its two gradients as matrix products  out[m, p] = sum over k of a(m, k) * b(k, p),  of matrices that nobody stores:
// a() and b() say which element of which array stands at an index, or 0. A product of tiles needs no more than this ("implicit GEMM").
//
//                    m: rows     p: columns                 k: the sum
//   Forward          filters     images and output pixels   c, kh, kw
//   InputGradient    channels    images and input pixels    f, kh, kw
//   WeightGradient   filters     c, kh, kw                  images and output pixels, in `splits` parts
//
// Each group of channels is a product of its own. Divisions are slow, and a thread asks for one column all the time: it finds out once which
// one that is, with column(p), and b() takes what came of it.
#include "geometry.cuh"
#include "place.cuh"

// x at what an output (n, oh, ow) reads at the tap (c, kh, kw); 0 in the padding. channel: the first one of the group
__device__ inline real patch(const real *x, const Conv &conv, int channel, Place tap, Place output) {
    const int h = output.row * conv.SH + tap.row * conv.DH - conv.PT, w = output.column * conv.SW + tap.column * conv.DW - conv.PL;
    if (h < 0 || h >= conv.H || w < 0 || w >= conv.W) return 0;
    return x[((output.plane * conv.C + channel + tap.plane) * conv.H + h) * conv.W + w];
}

struct Forward {
    const real *x, *w, *bias;
    real *y;
    Conv conv;
    int group, relu;
    int M, P, first, last;                                     // the sum runs over first <= k < last

    __device__ Forward(const real *x, const real *w, const real *bias, real *y, const Conv &conv, int group, int relu)
        : x(x), w(w), bias(bias), y(y), conv(conv), group(group), relu(relu), M(conv.F / conv.G), P(conv.N * conv.OH * conv.OW),
          first(0), last(conv.C / conv.G * conv.KH * conv.KW) {}

    __device__ real a(int m, int k) const { return w[(group * M + m) * last + k]; }
    __device__ Place column(int p) const { return place(p, conv.OH, conv.OW); }
    __device__ real b(int k, Place output) const { return patch(x, conv, group * (conv.C / conv.G), place(k, conv.KH, conv.KW), output); }
    __device__ void store(int m, int p, real sum) const {
        const int plane = conv.OH * conv.OW, f = group * M + m;
        if (bias) sum += bias[f];
        y[(p / plane * conv.F + f) * plane + p % plane] = relu && sum <= 0 ? 0 : sum;
    }
};

struct InputGradient {
    const real *dy, *w;
    real *dx;
    Conv conv;
    int group;
    int M, P, first, last;

    __device__ InputGradient(const real *dy, const real *w, real *dx, const Conv &conv, int group)
        : dy(dy), w(w), dx(dx), conv(conv), group(group), M(conv.C / conv.G), P(conv.N * conv.H * conv.W),
          first(0), last(conv.F / conv.G * conv.KH * conv.KW) {}

    __device__ real a(int m, int k) const {
        const int taps = conv.KH * conv.KW, f = group * (conv.F / conv.G) + k / taps;
        return w[(f * M + m) * taps + k % taps];
    }
    __device__ Place column(int p) const { return place(p, conv.H, conv.W); }
    // dy of the output that read the pixel (n, h, w) at offset (kh, kw): oh = (h + PT - kh*DH) / SH; 0 if there is none
    __device__ real b(int k, Place pixel) const {
        const Place tap = place(k, conv.KH, conv.KW);
        const int f = group * (conv.F / conv.G) + tap.plane;
        const int u = pixel.row + conv.PT - tap.row * conv.DH, v = pixel.column + conv.PL - tap.column * conv.DW;
        const int oh = u / conv.SH, ow = v / conv.SW;
        if (u < 0 || v < 0 || oh * conv.SH != u || ow * conv.SW != v || oh >= conv.OH || ow >= conv.OW) return 0;
        return dy[((pixel.plane * conv.F + f) * conv.OH + oh) * conv.OW + ow];
    }
    __device__ void store(int m, int p, real sum) const {
        const int plane = conv.H * conv.W;
        dx[(p / plane * conv.C + group * M + m) * plane + p % plane] = sum;
    }
};

struct WeightGradient {
    const real *dy, *x;
    real *parts;                                               // (splits, F, C/G*KH*KW): one sum of each weight for each part
    Conv conv;
    int group, split;
    int M, P, first, last;

    __device__ WeightGradient(const real *dy, const real *x, real *parts, const Conv &conv, int group, int split, int splits)
        : dy(dy), x(x), parts(parts), conv(conv), group(group), split(split), M(conv.F / conv.G),
          P(conv.C / conv.G * conv.KH * conv.KW) {
        const int pixels = conv.N * conv.OH * conv.OW, share = (pixels + splits - 1) / splits;
        first = min(split * share, pixels);
        last = min(first + share, pixels);
    }
    __device__ real a(int m, int k) const {
        const int plane = conv.OH * conv.OW;
        return dy[(k / plane * conv.F + group * M + m) * plane + k % plane];
    }
    __device__ Place column(int p) const { return place(p, conv.KH, conv.KW); }
    __device__ real b(int k, Place tap) const { return patch(x, conv, group * (conv.C / conv.G), tap, place(k, conv.OH, conv.OW)); }
    __device__ void store(int m, int p, real sum) const { parts[(split * conv.F + group * M + m) * P + p] = sum; }
};
