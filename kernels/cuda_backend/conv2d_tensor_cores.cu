// Rung 5, tensor cores: a warp multiplies 16 x 8 by 8 x 8 in one instruction, with factors rounded to TF32. Compute capability 8.0 and later.
#include "real.cuh"
#include "gather.cuh"
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#include "tensor_core.cuh"

const int TILE = 128, DEPTH = 16, STAGES = 3;

// x (N, G*channels, H*W) -> packed (N, H*W, G*C), rounded to TF32: channels side by side, and C, a multiple of 4, of them a group; those
// beyond `channels` are 0. So four channels are one copy of 16 bytes, and rounding, which takes two instructions, is done once a value
// and not again for every tap that reads it.
//
// A block turns over 32 pixels x 32 channels in shared memory, so that a warp reads pixels and writes channels side by side.
// Grid: x tiles of pixels, y tiles of packed channels, z images; 32 x 8 threads.
extern "C" __global__ void pack_channels_last(const float *x, float *packed, int channels, int C, int G, int plane) {
    __shared__ float tile[32][33];                             // 33: a column meets 32 banks
    const int n = blockIdx.z, p0 = blockIdx.x * 32, c0 = blockIdx.y * 32;
    for (int i = threadIdx.y; i < 32; i += 8) {
        const int c = (c0 + i) % C, group = (c0 + i) / C, p = p0 + threadIdx.x;
        tile[i][threadIdx.x] = group < G && c < channels && p < plane
            ? to_tf32(x[((long long)(n * G + group) * channels + c) * plane + p]) : 0;
    }
    __syncthreads();
    for (int i = threadIdx.y; i < 32; i += 8) {
        const int c = c0 + threadIdx.x, p = p0 + i;
        if (c < G * C && p < plane) packed[((long long)n * plane + p) * (G * C) + c] = tile[threadIdx.x][i];
    }
}

// w (F, C/G, KH, KW) -> weights (G, M, K), rounded to TF32; k = (th, tw, c) with C channels a tap, zero where nothing is.
// Grid: x and a block's threads are k, y is m, z a group.
extern "C" __global__ void pack_weights(const float *w, float *weights, Gather g, int K, int M, int C) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x, m = blockIdx.y, group = blockIdx.z;
    const int channels = g.source_channels / g.G, rows = g.result_channels / g.G;
    const int c = k % C, tw = k / C % g.taps_w, th = k / (C * g.taps_w);
    const int kh = g.tap_h + th * g.tap_step_h, kw = g.tap_w + tw * g.tap_step_w;
    if (k < K)
        weights[((long long)group * M + m) * K + k] = c < channels && th < g.taps_h && m < rows
            ? to_tf32(w[group * rows * channels * g.KH * g.KW + m * g.stride_m + c * g.stride_c + kh * g.KW + kw]) : 0;
}

// table (K/4): where the four channels k..k+3 = (th, tw, c..c+3) are read. A thread an entry.
extern "C" __global__ void tabulate(int *table, Gather g, int K, int C) {
    const int e = blockIdx.x * blockDim.x + threadIdx.x;
    if (e >= K / 4) return;
    const int c = e * 4 % C, tw = e * 4 / C % g.taps_w, th = e * 4 / (C * g.taps_w);
    const int dh = g.start_h + th * g.reach_h, dw = g.start_w + tw * g.reach_w;
    ((int4 *)table)[e] = th < g.taps_h ? make_int4((dh * g.source_w + dw) * g.G * C + c, dh, dw, 0) : make_int4(0, NOWHERE, 0, 0);
}

// Rows of 16 floats in shared memory are four chunks of 16 bytes; chunk c of row r stands at place c ^ (r / 2 % 4). Without that, the
// eight rows that one ldmatrix reads together would begin in two banks only; with it they meet all 32.
__device__ inline int swizzled(int row, int chunk) { return row * DEPTH + (chunk ^ row / 2 % 4) * 4; }

// result[n, group*rows + m, first + i*step] = sum over k of weights[m, k] * source[n, i*move + table[k / 4]]    (+ bias, relu)
//
// A block makes 128 x 128 outputs, a warp 64 x 32 of them: 4 x 4 products of 16 x 8 x 8 for every 8 k. Three tiles are on their way or in
// use: while one is multiplied, the copies of the next two run, and nobody's registers hold them. 48 KB of shared memory.
extern "C" __global__ void __launch_bounds__(256, 2) conv2d_tensor_cores(const float *weights, const int *table, const float *source,
                                                                      const float *bias, float *result, Gather g, int K, int M, int C,
                                                                      int relu) {
    extern __shared__ __align__(16) float memory[];
    float *const a = memory, *const b = memory + STAGES * TILE * DEPTH;                    // [stage][row][16]
    const int t = threadIdx.x, lane = t % 32, warp = t / 32, m0 = blockIdx.y * TILE, p0 = blockIdx.x * TILE, group = blockIdx.z;
    const int pixels = g.N * g.rows * g.columns, plane = g.rows * g.columns;

    // This thread copies chunk t%4 of rows t/4 and t/4 + 64, of the weights and of the patches.
    const int chunk = t % 4, row = t / 4;
    unsigned weight_row[2], patch[2];                          // where: unsigned, for it may wrap before a tap's offset is added
    int h[2], w[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const int p = p0 + row + i * 64;
        h[i] = p < pixels ? p % plane / g.columns * g.move_h : NOWHERE;
        w[i] = p % g.columns * g.move_w;
        patch[i] = p < pixels ? ((p / plane * g.source_h + h[i]) * g.source_w + w[i]) * g.G * C + group * C : 0;
        weight_row[i] = (group * M + m0 + row + i * 64) * K + chunk * 4;
    }
    const int4 *taps = (const int4 *)table + chunk;
    int4 tap = taps[0];                                                                    // offset, dh, dw
    auto copy = [&](int step) {
        if (step * DEPTH < K) {
            const int stage = step % STAGES * TILE * DEPTH;
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const bool inside = (unsigned)(h[i] + tap.y) < (unsigned)g.source_h & (unsigned)(w[i] + tap.z) < (unsigned)g.source_w;
                copy16(a + stage + swizzled(row, chunk) + i * 64 * DEPTH, weights + (weight_row[i] + step * DEPTH), true);
                copy16(b + stage + swizzled(row, chunk) + i * 64 * DEPTH, source + (inside ? patch[i] + tap.x : 0), inside);
            }
            tap = taps[min((step + 1) * (DEPTH / 4), (K - DEPTH) / 4)];                    // the next copy's: it is here by then
        }
        end_of_group();                                        // an empty one at the end, so that the count stays right
    };

    // Where this lane points ldmatrix: of a 16 x 8 piece of weights at rows 0-7, 8-15 (chunk 0), 0-7, 8-15 (chunk 1); of two 8 x 8 pieces
    // of patches at rows 0-7 (chunks 0, 1), 8-15 (chunks 0, 1).
    const int warp_m = warp % 2 * 64, warp_p = warp / 2 * 32;
    const int a_row = warp_m + lane % 16, a_chunk = lane / 16, b_row = warp_p + lane / 16 * 8 + lane % 8, b_chunk = lane / 8 % 2;

    float sums[4][4][4] = {};                                  // [16 rows of m][8 columns of p][a lane's four]
    copy(0);
    copy(1);
    for (int step = 0; step * DEPTH < K; step++) {
        wait_for_groups<STAGES - 2>();                         // this step's tiles have arrived, those of this thread
        __syncthreads();                                       // and of all; and all are done with the step before
        copy(step + STAGES - 1);                               // into the stage that it used
        const float *a_tile = a + step % STAGES * TILE * DEPTH, *b_tile = b + step % STAGES * TILE * DEPTH;
#pragma unroll
        for (int k8 = 0; k8 < DEPTH / 8; k8++) {
            unsigned u[4][4], v[2][4];
#pragma unroll
            for (int i = 0; i < 4; i++) load_matrices(u[i], a_tile + swizzled(a_row, k8 * 2 + a_chunk) + i * 16 * DEPTH);
#pragma unroll
            for (int j = 0; j < 2; j++) load_matrices(v[j], b_tile + swizzled(b_row, k8 * 2 + b_chunk) + j * 16 * DEPTH);
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) multiply_add(sums[i][j], u[i], v[j / 2][j % 2 * 2], v[j / 2][j % 2 * 2 + 1]);
        }
    }

    // A lane has two neighbouring outputs of a row: 8 bytes, if this part is the whole result and an image is a whole number of pairs.
    const int rows = g.result_channels / g.G, whole = g.result_h * g.result_w;
    const bool together = plane == whole && whole % 2 == 0;
    int place[4][2];
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int p = p0 + warp_p + j * 8 + lane % 4 * 2 + e;
            const int h = g.first_h + p % plane / g.columns * g.step_h, w = g.first_w + p % g.columns * g.step_w;
            place[j][e] = p < pixels ? (p / plane * g.result_channels * g.result_h + h) * g.result_w + w : -1;
        }
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int m = m0 + warp_m + i * 16 + half * 8 + lane / 4, channel = group * rows + m;
            if (m >= rows) continue;
            float *y = result + (long long)channel * whole;
            const float added = bias ? bias[channel] : 0;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                float u = sums[i][j][half * 2] + added, v = sums[i][j][half * 2 + 1] + added;
                if (relu && u <= 0) u = 0;                     // NaN stays NaN
                if (relu && v <= 0) v = 0;
                if (together) {
                    if (place[j][0] >= 0) *(float2 *)(y + place[j][0]) = make_float2(u, v);
                } else {
                    if (place[j][0] >= 0) y[place[j][0]] = u;
                    if (place[j][1] >= 0) y[place[j][1]] = v;
                }
            }
        }
}

const int PIXELS = 16, PIXEL_STAGES = 2;

// parts[split, group*rows + m, q] = sum over the images and outputs p of this split of dy[p, m] * x[p, q],  q = (c, kh, kw)
//
// Both factors are packed with channels side by side, dy (N*OH*OW, G*M) and x (N, H*W, G*C), and lie in shared memory as they come: a row
// of 128 channels for each p. A product wants its factors the other way round, so lanes read single values; rows are 8 longer than a tile,
// so that the four p and eight channels of a request, (8 p + channel) mod 32, are in 32 banks.
// Grid: x tiles of (tap, channel) pairs, y tiles of m, z = split * G + group. K = taps * C.
extern "C" __global__ void __launch_bounds__(256, 2) conv2d_tensor_cores_grad_weight(const float *dy, const float *x, const int *table,
                                                                                     float *parts, Gather g, Divisors d, int K, int M,
                                                                                     int C, int splits) {
    __shared__ __align__(16) float a[PIXEL_STAGES][PIXELS][TILE + 8], b[PIXEL_STAGES][PIXELS][TILE + 8];
    const int t = threadIdx.x, lane = t % 32, warp = t / 32, m0 = blockIdx.y * TILE, q0 = blockIdx.x * TILE;
    const int group = blockIdx.z % g.G, split = blockIdx.z / g.G, plane = g.result_h * g.result_w, pixels = g.N * plane;
    const int share = ((pixels + splits - 1) / splits + PIXELS - 1) / PIXELS * PIXELS, first = split * share;
    const int last = min(first + share, pixels), steps = max((last - first + PIXELS - 1) / PIXELS, 0);

    // This thread copies four channels of pixels t/32 and t/32 + 8 of each tile, of dy and, where this tap reads, of x.
    const int chunk = t % 32, channel = m0 + chunk * 4;
    const int4 tap = ((const int4 *)table)[q0 / 4 + chunk];    // offset, dh, dw
    const unsigned of_group = group * C + tap.x;
    auto copy = [&](int step) {
        if (step < steps) {
#pragma unroll
            for (int row = 0; row < PIXELS; row += 8) {
                const int p = first + step * PIXELS + t / 32 + row;
                const int n = divided(p, d.plane_multiplier, d.plane_shift), r = p - n * plane;
                const int i = divided(r, d.row_multiplier, d.row_shift), h = i * g.move_h, w = (r - i * g.result_w) * g.move_w;
                const bool there = p < last & channel < M;
                const bool inside = p < last & (unsigned)(h + tap.y) < (unsigned)g.source_h & (unsigned)(w + tap.z) < (unsigned)g.source_w;
                copy16(&a[step % PIXEL_STAGES][t / 32 + row][chunk * 4], dy + (there ? (p * g.G + group) * M + channel : 0), there);
                copy16(&b[step % PIXEL_STAGES][t / 32 + row][chunk * 4],
                       x + (inside ? ((n * g.source_h + h) * g.source_w + w) * g.G * C + of_group : 0), inside);
            }
        }
        end_of_group();
    };

    const int warp_m = warp % 2 * 64, warp_q = warp / 2 * 32, across = lane / 4, down = lane % 4;
    float sums[4][4][4] = {};                                  // [16 rows of m][8 columns of q][a lane's four]
    for (int step = 0; step < PIXEL_STAGES - 1; step++) copy(step);
    for (int step = 0; step < steps; step++) {
        wait_for_groups<PIXEL_STAGES - 2>();
        __syncthreads();
        copy(step + PIXEL_STAGES - 1);
        const float *u_tile = &a[step % PIXEL_STAGES][down][warp_m + across], *v_tile = &b[step % PIXEL_STAGES][down][warp_q + across];
#pragma unroll
        for (int p8 = 0; p8 < PIXELS; p8 += 8) {
            unsigned u[4][4], v[4][2];
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int e = 0; e < 4; e++) u[i][e] = __float_as_uint(u_tile[(p8 + e / 2 * 4) * (TILE + 8) + i * 16 + e % 2 * 8]);
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int e = 0; e < 2; e++) v[j][e] = __float_as_uint(v_tile[(p8 + e * 4) * (TILE + 8) + j * 8]);
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) multiply_add(sums[i][j], u[i], v[j][0], v[j][1]);
        }
    }

    const int rows = g.result_channels / g.G, channels = g.source_channels / g.G, taps = g.taps_h * g.taps_w;
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int q = q0 + warp_q + j * 8 + down * 2 + e, c = q % C, place = c * taps + q / C;
            if (q >= K || c >= channels) continue;
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    const int m = m0 + warp_m + i * 16 + half * 8 + across;
                    if (m < rows) parts[((long long)blockIdx.z * rows + m) * channels * taps + place] = sums[i][j][half * 2 + e];
                }
        }
}
#endif
