// Four numbers that are loaded and stored together: 16 bytes of float in one instruction, 32 bytes of double in two.
struct __align__(16) Four {
    real at[4];
};

__device__ inline bool aligned(const void *p) { return size_t(p) % 16 == 0; }

__device__ inline Four &four(real *p, unsigned i) { return reinterpret_cast<Four *>(p)[i]; }
__device__ inline const Four &four(const real *p, unsigned i) { return reinterpret_cast<const Four *>(p)[i]; }
