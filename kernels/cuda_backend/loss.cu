// Softmax and cross-entropy in one.
//   x, p and dx (N, K); labels, losses and dlosses (N)
#include "real.cuh"
#include "reduce.cuh"

// p[n, k] = exp(x[n, k] - largest) / total,   losses[n] = log(total) - (x[n, label] - largest);   NaN if the label is none of 0..K-1
//
// A warp a row, which is read three times: for the largest, the sum, and p. Fast because a warp reads 32 neighbours at a time, from memory
// once and then from the cache, and puts its results together by shuffles alone. Memory: N*K numbers read, N*K written.
extern "C" __global__ void softmax_cross_entropy(const real *__restrict__ x, const long long *__restrict__ labels, real *__restrict__ losses,
                                                 real *__restrict__ p, int N, int K) {
    const int n = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (n >= N) return;
    x += (size_t)n * K;
    p += (size_t)n * K;
    real largest = -infinity(), total = 0;
    for (int k = lane; k < K; k += 32) largest = fmax(largest, x[k]);            // passes over a NaN, which exp and the sum do not
    largest = warp_max(largest);
    for (int k = lane; k < K; k += 32) total += exp(x[k] - largest);
    total = warp_sum(total);
    for (int k = lane; k < K; k += 32) p[k] = exp(x[k] - largest) / total;
    if (lane) return;
    const long long label = labels[n];
    losses[n] = 0 <= label && label < K ? log(total) - (x[label] - largest) : not_a_number();
}

// dx[n, k] = dlosses[n] * (p[n, k] - [k == labels[n]])
//
// A thread an element. Fast because neighbours read and write neighbours; a row's label and dloss come from the cache.
// Memory: N*K numbers read, N*K written.
extern "C" __global__ void softmax_cross_entropy_grad(const real *__restrict__ dlosses, const real *__restrict__ p,
                                                      const long long *__restrict__ labels, real *__restrict__ dx, int N, int K) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= unsigned(N * K)) return;
    const int n = i / unsigned(K), k = i % unsigned(K);
    dx[i] = dlosses[n] * (p[i] - (k == labels[n] ? 1 : 0));
}
