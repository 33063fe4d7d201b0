// n / d for 0 <= n < 2^31. A division takes some twenty instructions; by a number that is known before the kernel begins, a multiplication
// and a shift do, with what Python's divide.py finds for d (Granlund and Montgomery, 1994).
__device__ inline int divided(int n, int multiplier, int shift) { return __umulhi(2u * n, multiplier) >> shift; }
