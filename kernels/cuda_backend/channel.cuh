// One channel of x (N, C, HW): its M = N*HW values in the order of n and p, cut into parts of PART, a block each. Cut by the shape alone, so
// that a rerun gives the same bits. Thread t of a block takes the values t, t + THREADS, t + 2*THREADS, ... of its part: a warp reads runs of
// 32 neighbours (coalesced), and all of a thread's EACH values are on their way at the same time.
#include "divide.cuh"

const int THREADS = 256, EACH = 16, PART = THREADS * EACH;     // as in channel.py

struct Images { int N, C, HW, parts, C_multiplier, C_shift, HW_multiplier, HW_shift; };        // parts = ceil(N*HW / PART)

// The channel of the value at x[i]
__device__ inline int channel_of(int i, const Images &x) {
    const int plane = divided(i, x.HW_multiplier, x.HW_shift);
    return plane - divided(plane, x.C_multiplier, x.C_shift) * x.C;
}

// Value m of a channel lies at x[(n*C + c)*HW + p] with n = m / HW, p = m % HW; to go on by THREADS takes no division.
struct Walk { int c, n, p, images, pixels; };

__device__ inline Walk walk(const Images &x, int c, int m) {
    return {c, m / x.HW, m % x.HW, THREADS / x.HW, THREADS % x.HW};
}

__device__ inline unsigned next(const Images &x, Walk &at) {
    const unsigned here = (unsigned(at.n) * x.C + at.c) * x.HW + at.p;
    at.n += at.images;
    at.p += at.pixels;
    if (at.p >= x.HW) {
        at.p -= x.HW;
        at.n++;
    }
    return here;
}
