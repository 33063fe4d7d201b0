// Batch normalisation: one mean and variance a channel.
//   x, y, dy and dx (N, C, HW); gamma, beta, mean, var, dgamma and dbeta (C); gamma and beta may be null (1 and 0)
// Sums over a channel are made in two steps: each block sums a part of a channel, then a warp a channel sums the parts.
#include "real.cuh"
#include "reduce.cuh"
#include "channel.cuh"
#include "vector.cuh"

// moments (3, C, parts) = of each part a number `near` its mean, the rest of the mean, and the sum of squared deviations from the mean.
//
// A block a part. Fast because x is read once: its values stay in registers for the second pass, over their deviations. Those are small
// where the values are large and close together, so nothing cancels:   sum of (x - mean)² = sum of d² - (sum of d)² / n,   d = x - near.
// Memory: N*C*HW numbers read.
extern "C" __global__ void __launch_bounds__(THREADS) part_moments(const real *__restrict__ x, real *__restrict__ moments, Images g) {
    __shared__ real of_warp[THREADS / 32];
    const int c = blockIdx.x / g.parts, part = blockIdx.x % g.parts, start = part * PART;
    const int n = min(PART, g.N * g.HW - start);
    real value[EACH], sum = 0;
    Walk at = walk(g, c, start + threadIdx.x);
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        const unsigned here = next(g, at);
        value[i] = i * THREADS + threadIdx.x < n ? x[here] : 0;
        sum += value[i];
    }
    const real mean = block_sum(sum, of_warp) / n, near = isfinite(mean) ? mean : 0;       // inf - inf would be NaN where the mean is inf
    real rest = 0, square = 0;
#pragma unroll
    for (int i = 0; i < EACH; i++)
        if (i * THREADS + threadIdx.x < n) {
            const real d = value[i] - near;
            rest += d;
            square += d * d;
        }
    rest = block_sum(rest, of_warp);
    square = block_sum(square, of_warp);
    if (threadIdx.x) return;
    moments[blockIdx.x] = near;
    moments[gridDim.x + blockIdx.x] = rest / n;
    moments[2 * gridDim.x + blockIdx.x] = square - rest * rest / n;
}

// mean (C), var (C), the biased variance, of the parts' moments (3, C, parts)
//
// A warp a channel: the parts' means are taken from the first one's, for these differences are small, then put together.
extern "C" __global__ void merge_moments(const real *__restrict__ moments, real *__restrict__ mean, real *__restrict__ var, Images g) {
    const int c = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32, M = g.N * g.HW;
    if (c >= g.C) return;
    const real *near = moments + c * g.parts, *rest = near + g.C * g.parts, *square = rest + g.C * g.parts;
    real offset = 0, squares = 0;
    for (int part = lane; part < g.parts; part += 32)
        offset += min(PART, M - part * PART) * (near[part] - near[0] + rest[part]);
    offset = warp_sum(offset) / M;
    for (int part = lane; part < g.parts; part += 32) {
        const real d = near[part] - near[0] + rest[part] - offset;
        squares += square[part] + min(PART, M - part * PART) * (d * d);
    }
    squares = warp_sum(squares) / M;
    if (lane) return;
    mean[c] = near[0] + offset;
    var[c] = squares < 0 ? 0 : squares;                        // rounding can make a 0 negative; NaN stays
}

// What y needs of a channel.
struct Affine {
    real mean, inverse_std, scale, beta;
};

__device__ inline Affine affine(const real *gamma, const real *beta, const real *mean, const real *var, real eps, int c) {
    const real inverse_std = 1 / sqrt(var[c] + eps);
    return {mean[c], inverse_std, gamma ? gamma[c] * inverse_std : inverse_std, beta ? beta[c] : 0};
}

// One function for y and for the gate of relu's gradient, so that both round alike.
__device__ inline real normalised(real x, const Affine &a) { return fma(x - a.mean, a.scale, a.beta); }

__device__ inline real rectified(real y, int relu) { return relu && y <= 0 ? 0 : y; }      // NaN stays NaN

// y = (x - mean) * gamma / sqrt(var + eps) + beta; relu: max(y, 0)
//
// A thread four neighbours, which are of one channel if 4 divides HW; else a thread a value. In grid strides. Fast because a thread loads
// and stores 16 bytes at a time, next to its neighbours'. Memory: N*C*HW numbers read, and as many written.
extern "C" __global__ void batch_norm(const real *__restrict__ x, const real *__restrict__ gamma, const real *__restrict__ beta,
                                      const real *__restrict__ mean, const real *__restrict__ var, real *__restrict__ y, real eps,
                                      Images g, int relu) {
    const unsigned threads = gridDim.x * blockDim.x, first = blockIdx.x * blockDim.x + threadIdx.x, values = g.N * g.C * g.HW;
    const int width = g.HW % 4 == 0 && aligned(x) && aligned(y) ? 4 : 1;
    for (unsigned i = first; i < values / width; i += threads) {
        const Affine a = affine(gamma, beta, mean, var, eps, channel_of(i * width, g));
        if (width == 4) {
            Four v = four(x, i);
            for (real &value : v.at) value = rectified(normalised(value, a), relu);
            four(y, i) = v;
        } else {
            y[i] = rectified(normalised(x[i], a), relu);
        }
    }
}

// sums (2, C, parts) = of each part the sum of dy and that of dy * (x - mean); relu: dy counts only where y is positive
//
// A block a part, as in part_moments. Memory: 2*N*C*HW numbers read.
extern "C" __global__ void __launch_bounds__(THREADS) part_gradients(
    const real *__restrict__ dy, const real *__restrict__ x, const real *__restrict__ gamma, const real *__restrict__ beta,
    const real *__restrict__ mean, const real *__restrict__ var, real *__restrict__ sums, real eps, Images g, int relu) {
    __shared__ real of_warp[THREADS / 32];
    const int c = blockIdx.x / g.parts, part = blockIdx.x % g.parts, start = part * PART;
    const int n = min(PART, g.N * g.HW - start);
    const Affine a = affine(gamma, beta, mean, var, eps, c);
    real sum = 0, product = 0;
    Walk at = walk(g, c, start + threadIdx.x);
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        const unsigned here = next(g, at);
        const bool inside = i * THREADS + threadIdx.x < n;
        const real value = inside ? x[here] : 0, given = inside ? dy[here] : 0;
        const real gradient = relu && !(normalised(value, a) > 0) ? 0 : given;
        sum += gradient;
        if (inside) product += gradient * (value - a.mean);
    }
    sum = block_sum(sum, of_warp);
    product = block_sum(product, of_warp);
    if (threadIdx.x) return;
    sums[blockIdx.x] = sum;
    sums[gridDim.x + blockIdx.x] = product;
}

// dbeta (C), dgamma (C) of the parts' sums (2, C, parts); a warp a channel
extern "C" __global__ void merge_gradients(const real *__restrict__ sums, const real *__restrict__ var, real *__restrict__ dgamma,
                                           real *__restrict__ dbeta, real eps, Images g) {
    const int c = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (c >= g.C) return;
    const real *sum = sums + c * g.parts, *product = sum + g.C * g.parts;
    real s = 0, p = 0;
    for (int part = lane; part < g.parts; part += 32) {
        s += sum[part];
        p += product[part];
    }
    s = warp_sum(s);
    p = warp_sum(p);
    if (lane) return;
    dbeta[c] = s;
    dgamma[c] = p / sqrt(var[c] + eps);
}

// dx of a channel's value: constants (running statistics) leave only the scale.
struct Slope {
    real constant, slope;                                      // dbeta / M and dgamma / sqrt(var + eps) / M, or zeros
};

__device__ inline real gradient(real dy, real x, const Affine &a, const Slope &s, int of_batch, int relu) {
    if (relu && !(normalised(x, a) > 0)) dy = 0;
    return a.scale * (of_batch ? dy - s.constant - (x - a.mean) * s.slope : dy);
}

// dx = gamma / sqrt(var + eps) * (dy - dbeta / M - x_hat * dgamma / M), x_hat = (x - mean) / sqrt(var + eps); of_batch: mean and var are x's,
// else they are constants and the last two terms fall away. relu: dy counts only where y is positive.
//
// Threads as in batch_norm. Memory: 2*N*C*HW numbers read, N*C*HW written.
extern "C" __global__ void batch_norm_grad(const real *__restrict__ dy, const real *__restrict__ x, const real *__restrict__ gamma,
                                           const real *__restrict__ beta, const real *__restrict__ mean, const real *__restrict__ var,
                                           const real *__restrict__ dgamma, const real *__restrict__ dbeta, real *__restrict__ dx, real eps,
                                           Images g, int of_batch, int relu) {
    const unsigned threads = gridDim.x * blockDim.x, first = blockIdx.x * blockDim.x + threadIdx.x, values = g.N * g.C * g.HW;
    const int width = g.HW % 4 == 0 && aligned(x) && aligned(dy) && aligned(dx) ? 4 : 1, M = g.N * g.HW;
    for (unsigned i = first; i < values / width; i += threads) {
        const int c = channel_of(i * width, g);
        const Affine a = affine(gamma, beta, mean, var, eps, c);
        const Slope s = {dbeta[c] / M, dgamma[c] * a.inverse_std / M};
        if (width == 4) {
            Four v = four(dy, i);
            const Four u = four(x, i);
            for (int k = 0; k < 4; k++) v.at[k] = gradient(v.at[k], u.at[k], a, s, of_batch, relu);
            four(dx, i) = v;
        } else {
            dx[i] = gradient(dy[i], x[i], a, s, of_batch, relu);
        }
    }
}
