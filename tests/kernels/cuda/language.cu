// Kernels of all kinds that are right: what the simulator must run as CUDA C++ means it. t: the thread's number in the grid.
#define KERNEL(name, ...) extern "C" __global__ void name(int *result, ##__VA_ARGS__)
#define THREAD int t = blockIdx.x * blockDim.x + threadIdx.x

// Control flow

KERNEL(collatz) {                                              // loops of different lengths, with branches inside
    THREAD;
    unsigned n = t + 1;
    int steps = 0;
    while (n != 1) {
        if (n & 1) {
            n = 3 * n + 1;
            if (n % 3 == 1) steps += 100 * (n % 7);
        } else {
            n /= 2;
        }
        steps++;
    }
    result[t] = steps;
}

KERNEL(early_return) {
    THREAD;
    result[t] = 1;
    if (t % 7 == 3) return;
    result[t] = 2;
    if (t >= 40) {
        result[t] = 3;
        return;
    }
    result[t] += 10;
}

KERNEL(jump_table, const int *x) {
    THREAD;
    int r;
    switch (x[t]) {
        case 0: r = 5; break;
        case 1: r = x[t + 32] / 3; break;
        case 2: r = 17 - t; break;
        case 3: r = t * t; break;
        case 4: r = x[t + 31] - 1;
        case 5: r = 1000; break;
        case 6: r = t ^ 21; break;
        default: r = 9;
    }
    result[t] = r;
}

KERNEL(special_registers) {
    int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    int i = block * blockDim.x * blockDim.y * blockDim.z + thread;
    unsigned lane, warp;
    asm("mov.u32 %0, %%laneid;" : "=r"(lane));
    asm("mov.u32 %0, %%warpid;" : "=r"(warp));
    result[i] = i * 1000 + warp * 100 + lane;
}

KERNEL(block_numbers) {
    THREAD;
    result[t] = blockIdx.x;
}

// Memory

extern "C" __global__ void widths(int4 *out, const int4 *x, const signed char *bytes, const unsigned short *halves, const double2 *pairs) {
    THREAD;
    int4 v = x[t];
    v.x += bytes[t];
    v.y += halves[t];
    v.z = (int)(pairs[t].x - pairs[t].y);
    out[t] = v;
}

struct Numbers { int a, b; float c; };
__constant__ int table[5] = {3, 1, 4, 1, 5};
__device__ const int tens[] = {10, 20, 30};

KERNEL(other_memories, const int *x, Numbers numbers) {        // an array that is indexed by a variable lies in local memory
    THREAD;
    int multiples[8];
    for (int i = 0; i < 8; i++) multiples[i] = i * t;
    result[t] = multiples[x[t] & 7] + table[x[t] % 5] + tens[x[t] % 3] + numbers.b + (int)numbers.c;
}

KERNEL(generic_pointer, const int *x, int shared) {            // to shared or to global memory, nobody knows before
    THREAD;
    __shared__ int s[32];
    s[t] = 2 * t;
    __syncthreads();
    const int *p = shared ? s : x;
    result[t] = p[31 - t];
}

extern __shared__ int dynamic[];
__shared__ int of_the_file[32];

KERNEL(static_and_dynamic) {
    THREAD;
    __shared__ int fixed[33];
    fixed[t] = t;
    of_the_file[t] = 2 * t;
    dynamic[t] = 100 + t;
    __syncthreads();
    result[t] = fixed[31 - t] * 100000 + of_the_file[31 - t] * 1000 + dynamic[t ^ 1];
}

KERNEL(atomics, float *sum, unsigned *extremes, unsigned long long *wide, int *old) {
    THREAD;
    __shared__ int bits;
    if (threadIdx.x == 0) bits = 0;
    __syncthreads();
    old[t] = atomicAdd(result, 1);
    atomicAdd(sum, 0.5f * t);
    atomicAdd(wide, 1ull << 33);
    atomicMax(extremes, t * 7u % 61u);
    atomicCAS(extremes + 1, t, 99u);
    atomicMin((int *)extremes + 2, t - 5);
    atomicOr(&bits, 1 << threadIdx.x);
    __syncthreads();
    result[t + 1] = bits;
}

// Warps

#define SHUFFLE(name, exchanged) KERNEL(name) { THREAD; int lane = t & 31, x = 1000 * t; (void)lane; result[t] = exchanged; }
SHUFFLE(shuffle_xor, __shfl_xor_sync(~0u, x, 5))
SHUFFLE(shuffle_up, __shfl_up_sync(~0u, x, 3))
SHUFFLE(shuffle_down, __shfl_down_sync(~0u, x, 9))
SHUFFLE(shuffle_from_one, __shfl_sync(~0u, x, 40))
SHUFFLE(shuffle_from_each, __shfl_sync(~0u, x, lane % 5))
SHUFFLE(shuffle_xor_eighths, __shfl_xor_sync(~0u, x, 1, 8))
SHUFFLE(shuffle_down_eighths, __shfl_down_sync(~0u, x, 2, 8))
SHUFFLE(shuffle_halves, __shfl_sync(~0u, x, 3, 16))

KERNEL(votes) {
    THREAD;
    int inside;                                                // whether there is a thread 4 further on
    asm("{.reg .pred p; .reg .b32 v; shfl.sync.down.b32 v|p, %1, 4, 31, -1; selp.s32 %0, 1, 0, p;}" : "=r"(inside) : "r"(t));
    unsigned ballot = __ballot_sync(~0u, t % 3 == 0);
    int all = __all_sync(~0u, t < 32), any = __any_sync(~0u, t == 40), sum = __reduce_add_sync(~0u, t), most = __reduce_max_sync(~0u, t);
    result[t] = inside + 2 * all + 4 * any + 8 * (ballot >> (t & 31) & 1) + 16 * (__activemask() == ~0u) + 32 * sum + (most << 20);
}

KERNEL(within_a_warp) {                                        // __syncwarp() orders what the threads of a warp do
    THREAD;
    __shared__ int s[64];
    for (int i = 0; i < 3; i++) {
        s[t] = 10 * t + i;
        __syncwarp();
        result[t] = s[(t & 32) + (t + 1) % 32];
        __syncwarp();
    }
}

// Asynchronous copies and tensor cores

__device__ inline unsigned in_shared(void *p) { return (unsigned)__cvta_generic_to_shared(p); }

extern "C" __global__ void async_copies(float *out, const float *x, int n) {    // 4, 8 and 16 bytes a thread; from thread n on some are zeros
    extern __shared__ float s[];
    int t = threadIdx.x;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"(in_shared(s + t)), "l"(x + t) : "memory");
    asm volatile("cp.async.commit_group;" ::: "memory");
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;"
                 :: "r"(in_shared(s + 32 + 2 * t)), "l"(x + 2 * t), "r"(t < n ? 8 : 0) : "memory");
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"(in_shared(s + 96 + 4 * t)), "l"(x + 4 * t), "r"(t < n ? 16 : 4) : "memory");
    asm volatile("cp.async.commit_group;" ::: "memory");
    asm volatile("cp.async.wait_group 1;" ::: "memory");       // the newest group may still be under way
    __syncthreads();
    out[t] = s[31 - t];
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();
    for (int i = 1; i < 7; i++) out[32 * i + t] = s[32 * i + t];
}

__device__ inline void multiply(float *out, const float *a, const float *b, int first, int second) {
    int lane = threadIdx.x, g = lane / 4, q = lane % 4;
    unsigned x[4], y[2];
    float d[4] = {1, 1, 1, 1};
    for (int i = 0; i < 4; i++) x[i] = __float_as_uint(a[(g + i % 2 * 8) * 8 + q + i / 2 * 4]);
    for (int i = 0; i < 2; i++) y[i] = __float_as_uint(b[(q + i * 4) * 8 + g]);
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(x[0]), "r"(x[first]), "r"(x[second]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
    for (int i = 0; i < 4; i++) out[(g + i / 2 * 8) * 8 + 2 * q + i % 2] = d[i];
}

// out (16, 8) = a (16, 8) . b (8, 8) + 1, by one warp
extern "C" __global__ void tensor_core(float *out, const float *a, const float *b) { multiply(out, a, b, 1, 2); }
extern "C" __global__ void tensor_core_swapped(float *out, const float *a, const float *b) { multiply(out, a, b, 2, 1); }    // wrong

#define LDMATRIX(name, opcode, registers, address, ...)                                                      \
    extern "C" __global__ void name(unsigned *out, const uint4 *rows) {                                      \
        __shared__ uint4 s[32];                                                                              \
        unsigned r[4] = {};                                                                                  \
        int t = threadIdx.x;                                                                                 \
        s[t ^ 3] = rows[t];                                                                                  \
        __syncthreads();                                                                                     \
        asm volatile(opcode " " registers ", [" address "];" : __VA_ARGS__ : "r"(in_shared(s + (t ^ 3))));   \
        for (int i = 0; i < 4; i++) out[i * 32 + t] = r[i];                                                  \
    }
#define X1 "{%0}", "%1", "=r"(r[0])
#define X2 "{%0, %1}", "%2", "=r"(r[0]), "=r"(r[1])
#define X4 "{%0, %1, %2, %3}", "%4", "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
#define EXPANDED(...) LDMATRIX(__VA_ARGS__)
EXPANDED(ldmatrix_1, "ldmatrix.sync.aligned.m8n8.x1.shared.b16", X1)
EXPANDED(ldmatrix_2, "ldmatrix.sync.aligned.m8n8.x2.shared.b16", X2)
EXPANDED(ldmatrix_4, "ldmatrix.sync.aligned.m8n8.x4.shared.b16", X4)
EXPANDED(ldmatrix_1_transposed, "ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16", X1)
EXPANDED(ldmatrix_2_transposed, "ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16", X2)
EXPANDED(ldmatrix_4_transposed, "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16", X4)
