// Sums of a warp and of a block, in an order that is always the same: no atomics, so a rerun gives the same bits.

// The sum of all 32 threads' values, in every one of them: five exchanges of registers, no memory.
__device__ inline real warp_sum(real value) {
    for (int distance = 16; distance; distance /= 2) value += __shfl_xor_sync(0xffffffff, value, distance);
    return value;
}

__device__ inline real warp_max(real value) {
    for (int distance = 16; distance; distance /= 2) value = fmax(value, __shfl_xor_sync(0xffffffff, value, distance));
    return value;
}

// The sum of all THREADS threads' values, in every one of them. All of the block's threads must take part.
template <int THREADS>
__device__ inline real block_sum(real value) {
    __shared__ real of_warp[THREADS / 32];
    value = warp_sum(value);
    __syncthreads();                                           // whoever still reads the sums of the call before
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
    __syncthreads();
    value = 0;
    for (int warp = 0; warp < THREADS / 32; warp++) value += of_warp[warp];
    return value;
}
