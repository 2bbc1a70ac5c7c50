// Maps of features in global memory, and what the kernels share that work on them.
//
// A map is [row][place_of(column)][t]: of every pixel the 4 lanes t = lane % 4 have PAIRS half2 each, the channels
// 8·n + 2·t, 8·n + 2·t + 1 of n = 0 … PAIRS-1. That is what tensor-core results and left operands have in common.

constexpr int PAIRS = FEATURES / 8;
constexpr int STEPS = FEATURES / 16;  // tensor-core products deep, and twice as many wide

DEVICE int clamp(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

// Two pixels of 32 features fill the banks of the cache. In every other four they trade places, so that both
// pixels four apart and neighbours are read at once.
DEVICE constexpr int place_of(int column) { return FEATURES == 16 ? column : column ^ (column >> 2 & 1); }

DEVICE void take(half2 (&pairs)[2], uint2 from) {
    pairs[0] = from.x;
    pairs[1] = from.y;
}

DEVICE void take(half2 (&pairs)[4], uint4 from) {
    pairs[0] = from.x;
    pairs[1] = from.y;
    pairs[2] = from.z;
    pairs[3] = from.w;
}

DEVICE uint2 joined(const half2 (&pairs)[2]) { return make_uint2(pairs[0], pairs[1]); }
DEVICE uint4 joined(const half2 (&pairs)[4]) { return make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]); }

// One row of a depthwise 3×3 convolution for the lane's four pixels and N pairs of channels. `pixels` begins
// DILATION pixels before the four; `weights` are [column][t], N half2 each. In Stream the column in the middle comes
// last: its tap is the largest mostly, and sums in fp16 are the more exact the longer they stay small.
template <int DILATION, int N, class Vector>
DEVICE void add_row(half2 (&sums)[4][N], half2 (*pixels)[N], const Vector* weights) {
#pragma unroll
    for (int i = 0; i < 3; ++i) {
        const int dx = FEATURES == 16 ? i : i == 2 ? 1 : 2 * i;
        half2 weight[N];
        take(weight, weights[4 * dx]);
#pragma unroll
        for (int p = 0; p < 4; ++p) {
#pragma unroll
            for (int n = 0; n < N; ++n) sums[p][n] = fma2(pixels[p + DILATION * dx][n], weight[n], sums[p][n]);
        }
    }
}

// The same for all three rows of a convolution whose rows come one after the other. `open` has the sums that
// still lack 1 row and 2 rows; `done` gets those that are complete with this row. `weights`: [row][column][t].
template <int N, class Vector>
DEVICE void add_three_rows(half2 (&done)[4][N], half2 (&open)[2][4][N], half2 (*pixels)[N], const Vector* weights,
                           Vector bias) {
#pragma unroll
    for (int p = 0; p < 4; ++p) {
#pragma unroll
        for (int n = 0; n < N; ++n) {
            done[p][n] = open[0][p][n];
            open[0][p][n] = open[1][p][n];
        }
        take(open[1][p], bias);
    }
    add_row<1>(done, pixels, weights + 4 * 6);
    add_row<1>(open[0], pixels, weights + 4 * 3);
    add_row<1>(open[1], pixels, weights);
}
