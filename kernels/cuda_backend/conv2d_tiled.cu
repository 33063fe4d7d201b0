// Rung 2, tiled: 16 x 16 threads make 16 x 16 outputs, and share what they load.
#include "real.cuh"
#include "matrices.cuh"

// Each thread loads one element of either matrix into shared memory and multiplies 16 pairs from it: every value that comes from global
// memory is used 16 times. What bounds it now is shared memory: two loads from it for every product.
template <class Matrices> __device__ void product(const Matrices &matrices) {
    __shared__ real a[16][16], b[16][16];
    const int tx = threadIdx.x, ty = threadIdx.y, p = blockIdx.x * 16 + tx, m = blockIdx.y * 16 + ty;

    const auto column = matrices.column(p);
    real sum = 0;
    for (int k = matrices.first; k < matrices.last; k += 16) {
        a[ty][tx] = m < matrices.M && k + tx < matrices.last ? matrices.a(m, k + tx) : 0;
        b[ty][tx] = p < matrices.P && k + ty < matrices.last ? matrices.b(k + ty, column) : 0;
        __syncthreads();                                       // the tiles are whole
        for (int i = 0; i < 16; i++) sum += a[ty][i] * b[i][tx];
        __syncthreads();                                       // everyone has used them: they may be written over
    }
    if (m < matrices.M && p < matrices.P) matrices.store(m, p, sum);
}

extern "C" __global__ void conv2d_tiled(const real *x, const real *w, const real *b, real *y, Conv conv, int relu) {
    product(Forward(x, w, b, y, conv, blockIdx.z, relu));
}

extern "C" __global__ void conv2d_tiled_grad_input(const real *dy, const real *w, real *dx, Conv conv) {
    product(InputGradient(dy, w, dx, conv, blockIdx.z));
}

extern "C" __global__ void conv2d_tiled_grad_weight(const real *dy, const real *x, real *parts, Conv conv, int splits) {
    product(WeightGradient(dy, x, parts, conv, blockIdx.z / splits, blockIdx.z % splits, splits));
}
