// A window that slides over images, as kernels/window.py's Window2d, with the sizes it meets; Python's layout.py fills it in.
// Images are planes = N*C planes of (H, W), what comes of them are as many of (OH, OW), and element counts fit in an int.
// Output i reads input i*S + k*D - P on each axis, k = 0..K-1, where that is inside.
#include "place.cuh"

struct Window {
    int planes, H, W, OH, OW;
    int KH, KW, SH, SW, DH, DW, PT, PB, PL, PR;
};

// The gradients gather: a thread an input pixel, which looks at the outputs whose window spans it, and a sum is one thread's, always in
// the same order. (A scatter, where outputs add to the pixels that they read, needs atomic additions, in any order.)
// Input i lies within the windows of outputs first_output..last_output: those o with o*S <= i + P <= o*S + (K-1)*D; and one of their taps
// is on it where i + P - o*S divides by D.
__device__ inline int first_output(int i, int p, int k, int s, int d) {
    const int beyond = i + p - (k - 1) * d;
    return beyond <= 0 ? 0 : (beyond - 1) / s + 1;
}

__device__ inline int last_output(int i, int p, int s, int outputs) {
    return min((i + p) / s, outputs - 1);
}
