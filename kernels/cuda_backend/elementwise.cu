// relu, its gradient, and sums of two arrays: a few bytes in, a few out, and hardly any arithmetic. n: how many numbers.
//
// A thread four neighbours at a time, in grid strides. Fast because it loads and stores 16 bytes at once, next to its neighbours', where the
// arrays begin at a multiple of 16 bytes; the last numbers, or all if they do not, are taken one by one.
#include "real.cuh"
#include "vector.cuh"

__device__ inline real rectified(real x) { return x <= 0 ? 0 : x; }              // NaN stays NaN

// y = max(x, 0). Memory: n numbers read, n written.
extern "C" __global__ void relu(const real *__restrict__ x, real *__restrict__ y, int n) {
    const unsigned threads = gridDim.x * blockDim.x, first = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned fours = aligned(x) && aligned(y) ? n / 4 : 0;
    for (unsigned i = first; i < fours; i += threads) {
        Four v = four(x, i);
        for (real &value : v.at) value = rectified(value);
        four(y, i) = v;
    }
    for (unsigned i = 4 * fours + first; i < n; i += threads) y[i] = rectified(x[i]);
}

// dx = dy where y > 0, else 0: relu'(0) = 0. Memory: 2n numbers read, n written.
extern "C" __global__ void relu_grad(const real *__restrict__ dy, const real *__restrict__ y, real *__restrict__ dx, int n) {
    const unsigned threads = gridDim.x * blockDim.x, first = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned fours = aligned(dy) && aligned(y) && aligned(dx) ? n / 4 : 0;
    for (unsigned i = first; i < fours; i += threads) {
        Four v = four(dy, i);
        const Four gate = four(y, i);
        for (int k = 0; k < 4; k++) v.at[k] = gate.at[k] > 0 ? v.at[k] : 0;
        four(dx, i) = v;
    }
    for (unsigned i = 4 * fours + first; i < n; i += threads) dx[i] = y[i] > 0 ? dy[i] : 0;
}

// y = a + b; with relu max(a + b, 0). Memory: 2n numbers read, n written.
extern "C" __global__ void add(const real *__restrict__ a, const real *__restrict__ b, real *__restrict__ y, int n, int relu) {
    const unsigned threads = gridDim.x * blockDim.x, first = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned fours = aligned(a) && aligned(b) && aligned(y) ? n / 4 : 0;
    for (unsigned i = first; i < fours; i += threads) {
        Four v = four(a, i);
        const Four other = four(b, i);
        for (int k = 0; k < 4; k++) v.at[k] = relu ? rectified(v.at[k] + other.at[k]) : v.at[k] + other.at[k];
        four(y, i) = v;
    }
    for (unsigned i = 4 * fours + first; i < n; i += threads) y[i] = relu ? rectified(a[i] + b[i]) : a[i] + b[i];
}
