// Kernels whose counts can be told by hand: one warp, one request of each kind.
extern "C" __global__ void global_pattern(const float *x, float *y, int stride, int offset, int active) {
    int t = threadIdx.x;
    if (t < active) y[t] = x[t * stride + offset];
}

extern "C" __global__ void global_vector(const float4 *x, float4 *y) { y[threadIdx.x] = x[threadIdx.x]; }

extern "C" __global__ void global_double(const double *x, double *y) { y[threadIdx.x] = x[threadIdx.x]; }

extern __shared__ float s[];

// Every thread writes its own elements, and reads those of another.
template <typename T> __device__ inline void shared_pattern(T *y, int stride) {
    T *words = (T *)s;
    int t = threadIdx.x;
    for (int i = t; i < 32 * 32; i += 32) words[i] = T();
    __syncthreads();
    y[t] = words[t * stride];
}
extern "C" __global__ void shared_float(float *y, int stride) { shared_pattern(y, stride); }
extern "C" __global__ void shared_double(double *y, int stride) { shared_pattern(y, stride); }
extern "C" __global__ void shared_float4(float4 *y, int stride) { shared_pattern(y, stride); }

// n rounds of two multiply-adds, with a barrier after each; warps 2 and 3 make twice as many multiply-adds
extern "C" __global__ void rounds(float *y, float a, int n) {
    int t = threadIdx.x;
    float v = t;
#pragma unroll 1
    for (int i = 0; i < n; i++) {
        v = fmaf(v, a, 1.0f);
        v = fmaf(v, a, 2.0f);
        if (t >= 64) {
            v = fmaf(v, a, 3.0f);
            v = fmaf(v, a, 4.0f);
        }
        __syncthreads();
    }
    y[t] = v;
}

extern "C" __global__ void product(float *y, const float *x) {
    int t = threadIdx.x;
    float d[4] = {};
    unsigned a = __float_as_uint(x[t]);
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %4, %4, %4}, {%4, %4}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a));
    y[t] = d[0];
}

extern "C" __global__ void copies(float *y, const float *x, int n) {     // threads from n on read nothing
    int t = threadIdx.x;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"((unsigned)__cvta_generic_to_shared(s + 4 * t)), "l"(x + 4 * t), "r"(t < n ? 16 : 0) : "memory");
    asm volatile("cp.async.wait_all;" ::: "memory");
    y[t] = s[4 * t];
}
