// 256 threads multiply 128 x 8 by 8 x 128, and each keeps 8 x 8 sums in registers: 16 values from shared memory, as four 16-byte loads,
// make 64 products.
//
// A warp has 32 x 64 of the outputs, its lanes lie 4 x 8, and a lane's outputs are four blocks of 4 x 4, 16 rows and 32 columns apart: so
// the eight lanes that are served together read 32 values side by side, from all 32 banks.

__device__ inline int tile_row(int t, int i) { return t / 64 * 32 + i / 4 * 16 + t % 32 / 8 * 4 + i % 4; }
__device__ inline int tile_column(int t, int j) { return t / 32 % 2 * 64 + j / 4 * 32 + t % 8 * 4 + j % 4; }

// a[k][row], b[k][column]: rows of LD floats
template <int LD> __device__ inline void multiply(const float (&a)[8][LD], const float (&b)[8][LD], int t, float (&sums)[8][8]) {
    const int row = tile_row(t, 0), column = tile_column(t, 0);
#pragma unroll
    for (int k = 0; k < 8; k++) {
        float u[8], v[8];
        *(float4 *)&u[0] = *(const float4 *)&a[k][row], *(float4 *)&u[4] = *(const float4 *)&a[k][row + 16];
        *(float4 *)&v[0] = *(const float4 *)&b[k][column], *(float4 *)&v[4] = *(const float4 *)&b[k][column + 32];
#pragma unroll
        for (int i = 0; i < 8; i++)
#pragma unroll
            for (int j = 0; j < 8; j++) sums[i][j] += u[i] * v[j];
    }
}
