// What C++ has no words for: copies that a thread does not wait for, and the tensor cores' products.

// Begin to copy 16 bytes from global to shared memory, past the registers; 16 zeros if not `inside`. Both addresses are multiples of 16.
__device__ inline void copy16(void *shared, const void *global, bool inside) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"((unsigned)__cvta_generic_to_shared(shared)), "l"(global), "r"(inside ? 16 : 0) : "memory");
}

// The copies begun since the last call are a group.
__device__ inline void end_of_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Wait until all but the newest N groups of this thread have arrived. The other threads' copies are there after a barrier.
template <int N> __device__ inline void wait_for_groups() { asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory"); }

// Four 8 x 4 matrices of floats: lane 8 i + r points to row r of matrix i, and gets of matrix i the element (lane / 4, lane % 4).
// (The instruction speaks of 8 x 8 halves; two halves are a float.)
__device__ inline void load_matrices(unsigned (&r)[4], const float *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"((unsigned)__cvta_generic_to_shared(row)) : "memory");
}

// d (16 x 8) += a (16 x 8) * b (8 x 8), by a whole warp. With g = lane / 4, q = lane % 4 a lane holds
//   a: (g, q), (g + 8, q), (g, q + 4), (g + 8, q + 4)      b: (q, g), (q + 4, g)      d: (g, 2q), (g, 2q + 1), (g + 8, 2q), (g + 8, 2q + 1)
__device__ inline void multiply_add(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Round to TF32, which is a float with 10 bits of fraction instead of 23: to nearest, ties away from zero.
__device__ inline float to_tf32(float x) {
    unsigned r;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
    return __uint_as_float(r);
}
