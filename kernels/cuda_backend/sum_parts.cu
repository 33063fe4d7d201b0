// The second half of a sum that was split among blocks: a thread an element adds up its parts, always in the same order.
#include "real.cuh"

// parts (splits, n), sum (n)
extern "C" __global__ void sum_parts(const real *parts, real *sum, int n, int splits) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    real total = 0;
    for (int split = 0; split < splits; split++) total += parts[(long long)split * n + i];
    sum[i] = total;
}
