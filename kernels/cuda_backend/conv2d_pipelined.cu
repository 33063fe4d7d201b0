// Rung 4, pipelined: 128 x 128 outputs a block, 8 x 8 a thread; the next tile is on its way while this one is multiplied.
#include "real.cuh"
#include "geometry.cuh"
#include "gather.cuh"
#include "tile8x8.cuh"

const int TILE = 128, DEPTH = 8;

// w (F, C/G, KH, KW) -> weights (G, K, M), transposed, and zero where whole tiles go beyond what there is.
// k = (c, th, tw) over the taps of this part. A block turns over 32 m x 32 k in shared memory, so that a warp reads along k, as the weights
// lie, and writes along m. Grid: x tiles of k, y tiles of m, z groups; 32 x 8 threads.
extern "C" __global__ void pack_weights(const float *w, float *weights, Gather g, int K, int M) {
    __shared__ float tile[32][33];                             // 33: a column meets 32 banks
    const int k0 = blockIdx.x * 32, m0 = blockIdx.y * 32, group = blockIdx.z;
    const int channels = g.source_channels / g.G, rows = g.result_channels / g.G;          // of a group: what k and m count
    const int k = k0 + threadIdx.x, tw = k % g.taps_w, th = k / g.taps_w % g.taps_h, c = k / (g.taps_w * g.taps_h);
    const int kh = g.tap_h + th * g.tap_step_h, kw = g.tap_w + tw * g.tap_step_w;
    for (int i = threadIdx.y; i < 32; i += 8)
        tile[i][threadIdx.x] = c < channels && m0 + i < rows
            ? w[group * rows * channels * g.KH * g.KW + (m0 + i) * g.stride_m + c * g.stride_c + kh * g.KW + kw] : 0;
    __syncthreads();
    for (int i = threadIdx.y; i < 32; i += 8)
        if (k0 + i < K) weights[((long long)group * K + k0 + i) * M + m0 + threadIdx.x] = tile[threadIdx.x][i];
}

// table (K): where k = (c, th, tw) reads. A thread an entry; those beyond the last channel read nowhere.
extern "C" __global__ void tabulate(int *table, Gather g, int K) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= K) return;
    const int tw = k % g.taps_w, th = k / g.taps_w % g.taps_h, c = k / (g.taps_w * g.taps_h);
    const int dh = g.start_h + th * g.reach_h, dw = g.start_w + tw * g.reach_w;
    ((int4 *)table)[k] = c < g.source_channels / g.G ? make_int4((c * g.source_h + dh) * g.source_w + dw, dh, dw, 0)
                                                     : make_int4(0, NOWHERE, 0, 0);
}

// result[n, group*rows + m, first + i*step] = sum over k of weights[k, m] * source[n, i*move + table[k]]    (+ bias, relu)
//
// Two tiles of each matrix lie in shared memory. While one is multiplied, every thread holds its part of the next in registers, where
// the loads put it when they arrive; one barrier a tile is enough. 256 threads, at least two blocks a multiprocessor: at most 128 registers.
extern "C" __global__ void __launch_bounds__(256, 2) conv2d_pipelined(const float *weights, const int *table, const float *source,
                                                                      const float *bias, float *result, Gather g, int K, int M, int relu) {
    __shared__ __align__(16) float a[2][DEPTH][TILE], b[2][DEPTH][TILE];
    const int t = threadIdx.x, m0 = blockIdx.y * TILE, p0 = blockIdx.x * TILE, group = blockIdx.z;
    const int pixels = g.N * g.rows * g.columns, plane = g.rows * g.columns;

    // This thread loads four weights of row t/32, and of column p of the patches the rows k..k+3, the same for a whole warp.
    const int p = p0 + t % TILE, k = t / TILE * 4, i = p % plane / g.columns, j = p % g.columns;
    const int h = p < pixels ? i * g.move_h : NOWHERE, w = j * g.move_w;
    const int channel = p / plane * g.source_channels + group * (g.source_channels / g.G);
    const unsigned patch = p < pixels ? (channel * g.source_h + h) * g.source_w + w : 0;   // unsigned: 32 bits are enough, for it may wrap
    const unsigned row = (group * K + t / 32) * M + m0 + t % 32 * 4;

    float4 next_a;
    float next_b[4];
    auto load = [&](int k0) {                                  // no branches, so & and not &&: then loads are not put off until the store
        next_a = *(const float4 *)(weights + (row + k0 * M));
        const int4 *taps = (const int4 *)table + (unsigned)(k0 + k);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int4 tap = __ldg(taps + i);                  // offset, dh, dw
            const bool inside = (unsigned)(h + tap.y) < (unsigned)g.source_h & (unsigned)(w + tap.z) < (unsigned)g.source_w;
            next_b[i] = inside ? source[patch + tap.x] : 0;
        }
    };
    auto store = [&](int buffer) {
        *(float4 *)&a[buffer][t / 32][t % 32 * 4] = next_a;
#pragma unroll
        for (int i = 0; i < 4; i++) b[buffer][k + i][t % TILE] = next_b[i];
    };

    float sums[8][8] = {};
    load(0);
    store(0);
    for (int k0 = 0, buffer = 0; k0 < K; k0 += DEPTH, buffer ^= 1) {
        __syncthreads();                                       // this tile is whole, and everyone is done with the one before
        load(min(k0 + DEPTH, K - DEPTH));                      // the last one once more, for nothing: cheaper than a branch
        multiply(a[buffer], b[buffer], t, sums);
        store(buffer ^ 1);
    }

    // Where each column's output stands in channel 0. Four columns are one 16-byte store, where this part of the result is all of it and
    // the four lie in one image.
    const int rows = g.result_channels / g.G, whole = g.result_h * g.result_w;
    const bool together = plane == whole && whole % 4 == 0;
    int place[8];
#pragma unroll
    for (int j = 0; j < 8; j++) {
        const int p = p0 + tile_column(t, j), h = g.first_h + p % plane / g.columns * g.step_h, w = g.first_w + p % g.columns * g.step_w;
        place[j] = p < pixels ? (p / plane * g.result_channels * g.result_h + h) * g.result_w + w : -1;
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int m = m0 + tile_row(t, i), channel = group * rows + m;
        if (m >= rows) continue;
        float *y = result + (long long)channel * whole;
        const float added = bias ? bias[channel] : 0;
#pragma unroll
        for (int j = 0; j < 8; j++) {
            sums[i][j] += added;
            if (relu && sums[i][j] <= 0) sums[i][j] = 0;       // NaN stays NaN
            if (!together && place[j] >= 0) y[place[j]] = sums[i][j];
        }
#pragma unroll
        for (int j = 0; j < 8; j += 4)
            if (together && place[j] >= 0)
                *(float4 *)(y + place[j]) = make_float4(sums[i][j], sums[i][j + 1], sums[i][j + 2], sums[i][j + 3]);
    }
}

// parts[split, f, q] = sum over the images and outputs p of this split of dy[p, f] * x[p, q],  q = (c, kh, kw)
//
// rows, columns: F/G and C/G*KH*KW. Grid: z = split * G + group. The sum runs along pixels here, which lie side by side in both arrays:
// eight neighbouring lanes load eight neighbours. Rows of shared memory are 4 longer than a tile: a warp fills 8 p x 4 rows at a time, and
// (4 p + row) mod 32 is another bank for each.
extern "C" __global__ void __launch_bounds__(256, 2) conv2d_pipelined_grad_weight(const float *dy, const float *x, const int *table,
                                                                                  float *parts, Conv conv, Divisors d, int rows,
                                                                                  int columns, int splits) {
    __shared__ __align__(16) float a[2][DEPTH][TILE + 4], b[2][DEPTH][TILE + 4];
    __shared__ int4 taps[TILE];
    const int t = threadIdx.x, m0 = blockIdx.y * TILE, q0 = blockIdx.x * TILE, group = blockIdx.z % conv.G, split = blockIdx.z / conv.G;
    const int plane = conv.OH * conv.OW, pixels = conv.N * plane, share = ((pixels + splits - 1) / splits + DEPTH - 1) / DEPTH * DEPTH;
    const int first = split * share, last = min(first + share, pixels);

    // This thread loads pixel t%8 of each tile: of the rows t/8 + 0, 32, 64, 96 of dy, and of as many columns of the patches.
    const int p = t % DEPTH, line = t / DEPTH;
    if (t < TILE) {                                            // offset, dh, dw of a column, and the offset of a row of dy, or -1
        const int4 tap = ((const int4 *)table)[q0 + t];
        taps[t] = make_int4(tap.x + group * (conv.C / conv.G) * conv.H * conv.W, tap.y, tap.z,
                            m0 + t < rows ? (group * rows + m0 + t) * plane : -1);
    }
    __syncthreads();

    float next_a[4], next_b[4];
    auto load = [&](int p0) {
        const int n = divided(p0 + p, d.plane_multiplier, d.plane_shift), r = p0 + p - n * plane;
        const int oh = divided(r, d.row_multiplier, d.row_shift), ow = r - oh * conv.OW;
        const int h = oh * conv.SH, w = ow * conv.SW, here = p0 + p < last ? h : NOWHERE;
        const unsigned gradient = n * conv.F * plane + r;
        const unsigned patch = (n * conv.C * conv.H + h) * conv.W + w;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int4 tap = taps[line + i * 32];
            next_a[i] = p0 + p < last & tap.w >= 0 ? dy[gradient + tap.w] : 0;
            const bool inside = (unsigned)(here + tap.y) < (unsigned)conv.H & (unsigned)(w + tap.z) < (unsigned)conv.W;
            next_b[i] = inside ? x[patch + tap.x] : 0;
        }
    };
    auto store = [&](int buffer) {
#pragma unroll
        for (int i = 0; i < 4; i++) a[buffer][p][line + i * 32] = next_a[i], b[buffer][p][line + i * 32] = next_b[i];
    };

    float sums[8][8] = {};
    load(first);
    store(0);
    for (int p0 = first, buffer = 0; p0 < last; p0 += DEPTH, buffer ^= 1) {
        __syncthreads();
        load(p0 + DEPTH);                                      // beyond the last tile: zeros, from nowhere
        multiply(a[buffer], b[buffer], t, sums);
        store(buffer ^ 1);
    }

    // Four columns are one 16-byte store, where rows begin at multiples of 16 bytes.
    const bool together = columns % 4 == 0;
#pragma unroll
    for (int j = 0; j < 8; j += 4) {
        const int q = q0 + tile_column(t, j);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const int m = m0 + tile_row(t, i);
            float *place = parts + (unsigned)((blockIdx.z * rows + m) * columns + q);
            if (together && m < rows && q < columns)
                *(float4 *)place = make_float4(sums[i][j], sums[i][j + 1], sums[i][j + 2], sums[i][j + 3]);
#pragma unroll
            for (int e = 0; e < 4; e++)
                if (!together && m < rows && q + e < columns) place[e] = sums[i][j + e];
        }
    }
}
