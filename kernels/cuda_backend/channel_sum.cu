// The gradient of a bias: dy summed over all axes but the channels'. No atomics: parts are summed first, then their sums.
#include "real.cuh"
#include "reduce.cuh"
#include "channel.cuh"

// sums (parts, C) of dy (N, C, HW)
//
// A block a part of a channel. Fast because a warp reads runs of 32 neighbours, and all of a thread's values are on their way at once.
// Memory: N*C*HW numbers read.
extern "C" __global__ void __launch_bounds__(THREADS) channel_parts(const real *__restrict__ dy, real *__restrict__ sums, Images g) {
    __shared__ real of_warp[THREADS / 32];
    const int c = blockIdx.x / g.parts, part = blockIdx.x % g.parts, start = part * PART;
    const int n = min(PART, g.N * g.HW - start);
    real sum = 0;
    Walk at = walk(g, c, start + threadIdx.x);
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        const unsigned here = next(g, at);
        sum += i * THREADS + threadIdx.x < n ? dy[here] : 0;
    }
    sum = block_sum(sum, of_warp);
    if (threadIdx.x == 0) sums[part * g.C + c] = sum;
}

// sums (blocks, C) of the matrix x (M, C): block (i, j) sums up the rows j*ROWS to (j+1)*ROWS - 1 of columns 32*i to 32*i + 31.
//
// A block of 32 x 8 threads: a warp a row, 8 rows at a time. Fast because a warp reads 32 neighbours of a row (coalesced).
// Memory: M*C numbers read.
const int ROWS = 512, WARPS = 8;                               // as in channel_sum.py

extern "C" __global__ void __launch_bounds__(32 * WARPS) column_sums(const real *__restrict__ x, real *__restrict__ sums, int M, int C) {
    __shared__ real of_warp[WARPS][32];
    const int c = blockIdx.x * 32 + threadIdx.x, first = blockIdx.y * ROWS, end = min(M, first + ROWS);
    real sum = 0;
    if (c < C)
#pragma unroll 8
        for (int m = first + threadIdx.y; m < end; m += WARPS) sum += x[(size_t)m * C + c];
    of_warp[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y || c >= C) return;
    for (int warp = 1; warp < WARPS; warp++) sum += of_warp[warp][threadIdx.x];
    sums[blockIdx.y * C + c] = sum;
}
