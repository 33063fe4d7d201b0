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

// The sum of all the block's threads' values, in every one of them: all must take part. of_warp: shared memory for a number a warp.
template <int WARPS>
__device__ inline real block_sum(real value, real (&of_warp)[WARPS]) {
    value = warp_sum(value);
    __syncthreads();                                           // someone may still read the sums of the call before
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
    __syncthreads();
    value = 0;
    for (int warp = 0; warp < WARPS; warp++) value += of_warp[warp];
    return value;
}
