#include "divide.cuh"

// A convolution without divisions: what depends on k alone stands in a table, what depends on the output alone is found once a thread.
//
// Forward, output (i, j) reads the source at (i*move_h + dh, j*move_w + dw), where (dh, dw) belongs to the tap. The input gradient has the
// same form, by parts: of the pixels h that leave the same remainder (h + PT) mod SH, all are reached by the same taps, and of their
// neighbours' dy they read neighbours. So it is SH*SW convolutions with stride 1, each over some of the pixels and some of the taps.
// Python's gather.py fills this in for each part.
struct Gather {
    int N, G;                                                  // images, groups
    int source_channels, source_h, source_w;                   // source (N, source_channels, source_h, source_w): x, or dy
    int result_channels, result_h, result_w;                   // result (N, result_channels, ...): y, or dx
    int first_h, first_w, step_h, step_w, rows, columns;       // the pixels of this part: first + i*step, i < rows
    int move_h, move_w;                                        // how far the source moves for each i
    int taps_h, taps_w, start_h, start_w, reach_h, reach_w;    // taps of this part; tap t reads at start + t*reach
    int tap_h, tap_w, tap_step_h, tap_step_w;                  // tap t is the kernel's offset kh = tap + t*tap_step
    int KH, KW, stride_m, stride_c;                            // w at (group, m, c, kh, kw): group*M*K + m*stride_m + c*stride_c + kh*KW + kw
};

// The table has an int4 for each tap, one load of 16 bytes: how far it reads from an output's own place, in elements, then dh and dw.
// A weight gradient goes through all outputs of all images, and so divides by the outputs of an image and of a row: see divide.cuh.
struct Divisors {
    int plane_multiplier, plane_shift, row_multiplier, row_shift;
};

const int NOWHERE = -(1 << 30);                                // a dh or h that is outside of every image
