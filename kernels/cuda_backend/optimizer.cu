// One step of an optimiser on n parameters p with gradients g, in place: p and the state change, g does not.
//
// A thread a number at a time, in grid strides. Fast because all of a step is one pass over memory, and neighbours read and write neighbours.
#include "real.cuh"

// g with weight decay. Without it an infinite p does not count: 0 * inf would be NaN.
__device__ inline real decayed(real g, real p, real weight_decay) { return weight_decay != 0 ? g + weight_decay * p : g; }

// p -= lr * g. Memory: 2n numbers read, n written.
extern "C" __global__ void sgd_step(real *__restrict__ p, const real *__restrict__ g, int n, real lr, real weight_decay) {
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        p[i] -= lr * decayed(g[i], p[i], weight_decay);
}

// v = momentum * v + fresh * g;   p -= lr * (g + momentum * v  if nesterov, else  v). Memory: 3n numbers read, 2n written.
extern "C" __global__ void momentum_step(real *__restrict__ p, const real *__restrict__ g, real *__restrict__ v, int n, real lr,
                                         real momentum, real fresh, real weight_decay, int nesterov) {
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        const real step = decayed(g[i], p[i], weight_decay), velocity = momentum * v[i] + fresh * step;
        v[i] = velocity;
        p[i] -= lr * (nesterov ? step + momentum * velocity : velocity);
    }
}

// m = beta1 * m + fresh1 * g;   v = beta2 * v + fresh2 * g²;   p = kept * p - lr * m / (sqrt(v) / root + eps)
// lr and root have the corrections of the means in them: lr / (1 - beta1^step) and sqrt(1 - beta2^step). Memory: 4n numbers read, 3n written.
extern "C" __global__ void adam_step(real *__restrict__ p, const real *__restrict__ g, real *__restrict__ m, real *__restrict__ v, int n,
                                     real lr, real beta1, real fresh1, real beta2, real fresh2, real root, real eps, real weight_decay,
                                     real kept) {
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        const real old = kept * p[i], step = decayed(g[i], old, weight_decay);
        const real first = beta1 * m[i] + fresh1 * step, second = beta2 * v[i] + fresh2 * (step * step);
        m[i] = first;
        v[i] = second;
        p[i] = old - lr * first / (sqrt(second) / root + eps);
    }
}
