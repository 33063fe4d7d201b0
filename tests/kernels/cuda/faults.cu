// Kernels with one fault each, seeded where FAULT is 1, and right where it is 0: what the simulator must catch, and must let pass.
#include "real.cuh"
#ifndef FAULT
#define FAULT 0
#endif

// Shared memory

// y[block, t] = x[block, 63 - t]
extern "C" __global__ void missing_barrier(const real *x, real *y) {
    __shared__ real s[64];
    int t = threadIdx.x;
    s[t] = x[blockIdx.x * 64 + t];
#if !FAULT
    __syncthreads();
#endif
    y[blockIdx.x * 64 + t] = s[63 - t];
}

// y = sum over tiles of x reversed within each; the tile is overwritten while others still read it
extern "C" __global__ void write_after_read(const real *x, real *y, int tiles) {
    __shared__ real s[64];
    int t = threadIdx.x;
    real sum = 0;
    for (int i = 0; i < tiles; i++) {
        s[t] = x[i * 64 + t];
        __syncthreads();
        sum += s[63 - t];
#if !FAULT
        __syncthreads();
#endif
    }
    y[t] = sum;
}

extern "C" __global__ void two_writers(const real *x, real *y) {
    __shared__ real s[64];
    int t = threadIdx.x;
    s[FAULT ? t / 2 : t] = x[t];
    __syncthreads();
    y[t] = s[FAULT ? t / 2 : t];
}

extern "C" __global__ void uninitialised(const real *x, real *y) {
    __shared__ real s[64];
    int t = threadIdx.x;
    if (t < 63 + !FAULT) s[t] = x[t];
    __syncthreads();
    y[t] = s[t];
}

extern "C" __global__ void shared_out_of_bounds(const real *x, real *y) {
    extern __shared__ real s[];                                // 64
    int t = threadIdx.x;
    s[t] = x[t];
    __syncthreads();
    y[t] = s[t + FAULT];
}

extern "C" __global__ void missing_warp_barrier(const real *x, real *y) {
    __shared__ real s[64];
    int t = threadIdx.x;
    s[t] = x[t];
#if !FAULT
    __syncwarp();
#endif
    y[t] = s[t ^ 1];
}

extern "C" __global__ void other_warp(const real *x, real *y) {     // __syncwarp() is not enough for threads of two warps
    __shared__ real s[64];
    int t = threadIdx.x;
    s[t] = x[t];
    __syncwarp();
    y[t] = s[FAULT ? t ^ 32 : t ^ 1];
}

// Barriers and warps

extern "C" __global__ void divergent_barrier(const real *x, real *y) {
    int t = threadIdx.x;
    real v = x[t];
    if (t < 40 || !FAULT) {
        __syncthreads();
        v += 1;
    } else {
        v += 2;
        __syncthreads();
        v *= 3;
    }
    y[t] = v;
}

extern "C" __global__ void return_before_barrier(const real *x, real *y) {
    int t = threadIdx.x;
#if FAULT
    if (t >= 60) return;
#endif
    y[t] = x[t];
    __syncthreads();
    y[t] += 1;
}

extern "C" __global__ void divergent_shuffle(const real *x, real *y) {
    int t = threadIdx.x;
    real v = x[t];
    if (t % 32 < 16 || !FAULT) v += __shfl_xor_sync(~0u, v, 1);
    y[t] = v;
}

extern "C" __global__ void unnamed_shuffle(const real *x, real *y) {
    y[threadIdx.x] = x[threadIdx.x] + __shfl_xor_sync(FAULT ? 0xffff : ~0u, x[threadIdx.x], 1);
}

extern "C" __global__ void divergent_mma(const real *x, real *y) {
    int t = threadIdx.x;
    float d[4] = {};
    unsigned a = __float_as_uint((float)x[t]);
    if (t % 32 != 5 || !FAULT)
        asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %4, %4, %4}, {%4, %4}, {%0, %1, %2, %3};"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a));
    y[t] = d[0];
}

// Global memory

// y[row] = sum of x[row, :]; the mask forgets the last columns
extern "C" __global__ void behind_a_mask(const real *x, real *y, int rows, int columns) {
    int row = threadIdx.x;
    if (row >= rows) return;
    real sum = 0;
    for (int i = 0; i < (FAULT ? (columns + 3) / 4 * 4 : columns); i++) sum += x[row * columns + i];
    y[row] = sum;
}

extern "C" __global__ void before_the_beginning(const real *x, real *y) {
    int t = threadIdx.x;
    y[t] = x[t - FAULT];
}

extern "C" __global__ void null_pointer(const real *x, real *y) {
    int t = threadIdx.x;
    y[t] = x || FAULT ? x[t] : 0;
}

extern "C" __global__ void writes_const(const real *x, real *y) {
    int t = threadIdx.x;
    (FAULT ? (real *)x : y)[t] = 1;
}

extern "C" __global__ void not_atomic(const real *x, real *y) {
    int t = blockIdx.x * blockDim.x + threadIdx.x;
#if FAULT
    y[t % 4] += x[t];
#else
    atomicAdd(&y[t % 4], x[t]);
#endif
}

extern "C" __global__ void between_blocks(const real *x, real *y) {     // each block writes one element, and reads its neighbour's
    int b = blockIdx.x;
    if (threadIdx.x == 0) y[b] = x[b];
    __syncthreads();
    if (threadIdx.x == 1) y[b] += y[b ^ FAULT];
}

extern "C" __global__ void after_an_atomic(const real *x, real *y) {     // the total is not there before all blocks are done
    atomicAdd(&y[0], x[blockIdx.x * 64 + threadIdx.x]);
    if (FAULT && threadIdx.x == 0) y[1 + blockIdx.x] = y[0];
}

extern "C" __global__ void misaligned(const float *x, float *y) {
    int t = threadIdx.x;
    float4 v = *(const float4 *)(x + 4 * t + FAULT);
    y[t] = v.x + v.y + v.z + v.w;
}

extern "C" __global__ void through_an_address(long long address, real *y) {
    y[threadIdx.x] = ((const real *)address)[threadIdx.x];
}

extern "C" __global__ void scaled(const real *x, real *y, real factor) { y[threadIdx.x] = x[threadIdx.x] * factor; }

// cp.async

extern "C" __global__ void missing_wait(const float *x, float *y) {
    __shared__ float s[64];
    int t = threadIdx.x;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"((unsigned)__cvta_generic_to_shared(s + t)), "l"(x + t) : "memory");
    asm volatile("cp.async.commit_group;" ::: "memory");
    asm volatile("cp.async.wait_group %0;" :: "n"(FAULT) : "memory");
    __syncthreads();
    y[t] = s[63 - t];
}

extern "C" __global__ void wait_without_barrier(const float *x, float *y) {
    __shared__ float s[64];
    int t = threadIdx.x;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"((unsigned)__cvta_generic_to_shared(s + t)), "l"(x + t) : "memory");
    asm volatile("cp.async.wait_all;" ::: "memory");
#if !FAULT
    __syncthreads();
#endif
    y[t] = s[63 - t];
}

extern "C" __global__ void copy_over_readers(const float *x, float *y) {
    __shared__ float s[64];
    int t = threadIdx.x;
    s[t] = x[t];
    __syncthreads();
    float v = s[63 - t];
#if !FAULT
    __syncthreads();
#endif
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"((unsigned)__cvta_generic_to_shared(s + t)), "l"(x + t) : "memory");
    asm volatile("cp.async.wait_all;" ::: "memory");
    y[t] = v + s[t];
}

extern "C" __global__ void copy_out_of_bounds(const float *x, float *y, int n) {
    __shared__ float s[256];
    int t = threadIdx.x;
    bool inside = 4 * t < n || FAULT;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"((unsigned)__cvta_generic_to_shared(s + 4 * t)), "l"(x + 4 * t), "r"(inside ? 16 : 0) : "memory");
    asm volatile("cp.async.wait_all;" ::: "memory");
    y[t] = s[4 * t];
}
