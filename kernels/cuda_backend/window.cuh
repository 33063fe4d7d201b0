// A window that slides over images, as kernels/window.py's Window2d, with the sizes it meets; Python's layout.py fills it in.
// Images are planes = N*C planes of (H, W), what comes of them are as many of (OH, OW), and element counts fit in an int.
// Output i reads input i*S + k*D - P on each axis, k = 0..K-1, where that is inside.
#include "divide.cuh"
#include "place.cuh"

struct Window {
    int planes, H, W, OH, OW;
    int KH, KW, SH, SW, DH, DW, PT, PB, PL, PR;
};

// Multipliers and shifts for `divided`. columns, rows: of the planes that have a thread for each element, (H, W) or (OH, OW).
struct Divisors {
    int columns, columns_shift, rows, rows_shift;
    int SH, SH_shift, SW, SW_shift, DH, DH_shift, DW, DW_shift;
};

__device__ inline Place place(int i, int rows, int columns, const Divisors &by) {
    const int line = divided(i, by.columns, by.columns_shift), plane = divided(line, by.rows, by.rows_shift);
    return {plane, line - plane * rows, i - line * columns};
}

// The gradients gather: a thread an input pixel, which looks at the outputs whose window spans it, and a sum is one thread's, always in
// the same order. (A scatter, where outputs add to the pixels that they read, needs atomic additions, in any order.)
// Input i lies within the windows of outputs first..last: those o with o*S <= i + P <= o*S + (K-1)*D; and one of their taps is on it where
// i + P - o*S divides by D.
struct Outputs { int first, last; };

__device__ inline Outputs spanning(int at, int reach, int s, int multiplier, int shift, int outputs) {     // at = i + P, reach = (K-1)*D
    const int last = divided(at, multiplier, shift), left = reach - (at - last * s);
    return {max(0, left < 0 ? last + 1 : last - divided(left, multiplier, shift)), min(last, outputs - 1)};
}

__device__ inline Outputs rows_spanning(int h, const Window &g, const Divisors &by) {
    return spanning(h + g.PT, (g.KH - 1) * g.DH, g.SH, by.SH, by.SH_shift, g.OH);
}

__device__ inline Outputs columns_spanning(int w, const Window &g, const Divisors &by) {
    return spanning(w + g.PL, (g.KW - 1) * g.DW, g.SW, by.SW, by.SW_shift, g.OW);
}
