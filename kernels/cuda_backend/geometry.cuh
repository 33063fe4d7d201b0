// The shape of a convolution, as Python's geometry.py fills it in.
//   x (N, C, H, W), w (F, C/G, KH, KW), y (N, F, OH, OW), all contiguous; output i reads input i*S + k*D - P on each axis.
struct Conv {
    int N, C, H, W, F, KH, KW, OH, OW;
    int SH, SW, PT, PL, DH, DW, G;
};
