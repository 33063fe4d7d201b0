// Rung 3, blocked: 256 threads make 64 x 64 outputs, 4 x 4 each, with their sums in registers.
#include "real.cuh"
#include "matrices.cuh"

const int TILE = 64, DEPTH = 16, THREADS = 256;
const int BLOCKS = sizeof(real) == 4 ? 4 : 2;                  // of a multiprocessor, at least: a thread may have 64 registers, or 128

// For every k a thread loads 4 + 4 values from shared memory and makes 16 products of them: half a load a product, where rung 2 needs two.
//
// The tile of a lies in shared memory as [k][m], so that a thread's four rows are one 16-byte load. Rows are 4 longer than the tile, and
// a warp fills 8 k x 4 m at a time: element (k, m) is in bank (4 k + m) mod 32, so the 32 stores meet 32 banks.
//
// What it wastes: between two tiles a thread finds out anew where its eight values lie; and it stores its four neighbouring outputs one by
// one, so that each store of a warp touches 16 sectors where 4 would do.
template <class Matrices> __device__ void product(const Matrices &matrices) {
    __shared__ __align__(16) real a[DEPTH][TILE + 4];
    __shared__ __align__(16) real b[DEPTH][TILE];
    const int t = threadIdx.x, tx = t % 16, ty = t / 16, m0 = blockIdx.y * TILE, p0 = blockIdx.x * TILE;

    const int p = t % TILE;                                    // the column of b that this thread loads
    const auto column = matrices.column(p0 + p);
    real sums[4][4] = {};
    for (int k0 = matrices.first; k0 < matrices.last; k0 += DEPTH) {
        for (int i = 0; i < TILE * DEPTH / THREADS; i++) {
            const int k = t % 8 + i % 2 * 8, m = t / 8 + i / 2 * 32;
            a[k][m] = m0 + m < matrices.M && k0 + k < matrices.last ? matrices.a(m0 + m, k0 + k) : 0;
        }
        for (int i = 0; i < TILE * DEPTH / THREADS; i++) {
            const int k = t / TILE + i * (THREADS / TILE);
            b[k][p] = p0 + p < matrices.P && k0 + k < matrices.last ? matrices.b(k0 + k, column) : 0;
        }
        __syncthreads();
        const real *columns = &a[0][ty * 4], *rows = &b[0][tx * 4];    // they move, so that the loop has two additions for addresses
#pragma unroll 8
        for (int k = 0; k < DEPTH; k++, columns += TILE + 4, rows += TILE) {
            real u[4], v[4];
            for (int i = 0; i < 4; i++) u[i] = columns[i], v[i] = rows[i];
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 4; j++) sums[i][j] += u[i] * v[j];
        }
        __syncthreads();
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            const int m = m0 + ty * 4 + i, p = p0 + tx * 4 + j;
            if (m < matrices.M && p < matrices.P) matrices.store(m, p, sums[i][j]);
        }
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) conv2d_blocked(const real *x, const real *w, const real *b,
                                                                            real *y, Conv conv, int relu) {
    product(Forward(x, w, b, y, conv, blockIdx.z, relu));
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) conv2d_blocked_grad_input(const real *dy, const real *w,
                                                                                       real *dx, Conv conv) {
    product(InputGradient(dy, w, dx, conv, blockIdx.z));
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) conv2d_blocked_grad_weight(const real *dy, const real *x,
                                                                                        real *parts, Conv conv, int splits) {
    product(WeightGradient(dy, x, parts, conv, blockIdx.z / splits, blockIdx.z % splits, splits));
}
