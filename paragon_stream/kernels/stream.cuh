// The blocks of Stream, x + project(a ⊙ b): a and b are each gate(expand(u)), u = from_near(near(x)) +
// from_far(far(x)), where near and gate are depthwise 3×3 and far is that with gaps of three. `body` makes the
// features of conv_in; then every block is one launch, from features to features.
//
// Each warp goes down a strip of its own and waits for nobody. Its rows are 32 pixels as in body.cuh, of which
// the gate spoils one at each end; 28 in between are stored, so that strips begin where places repeat. The 128
// expanded channels are eight chunks, 8 of `a` with the 8 of `b` that they are multiplied by, so that nothing but
// the gate's open sums is kept for all of them. x comes through the cache, which holds the seven rows of it.

constexpr int STRIP_WARPS = 4;
constexpr int STRIP = 28;
constexpr int CHUNKS = 8;

// Offsets into a block's weights, in uint4.
constexpr int NEAR = 0;         // [tap][t]: channel pairs 2t, 2t+8, 2t+16, 2t+24
constexpr int FAR = 36;         // the same
constexpr int FUSE = 72;        // [inputs / 16: near, near, far, far][outputs / 16][lane]
constexpr int EXPAND = 328;     // [chunk][inputs / 16][lane]: outputs of a, then of b
constexpr int PROJECT = 840;    // [inputs / 16][outputs / 16][lane]
constexpr int GATE = 1096;      // [chunk][tap][t], uint2: pair 2t of a, then of b
constexpr int GATE_BIAS = 1240; // [chunk][t], the same
constexpr int BLOCK_WEIGHTS = 1256;

// What a row goes through in `body`: nothing but the barrier that keeps its rows apart.
struct RowBlocks {
    static constexpr int WEIGHTS = 0;
    static constexpr int EXCHANGE = 0;
    DEVICE_METHOD void start() {}
    DEVICE_METHOD void run(half2 (&)[2][8], const uint4*, uint4*, int, int) { sync_block(); }
};

// A row of a map around a lane: pixels FROM … TO from a column on that is a multiple of 4. There, `place_of` is a
// step to one side in every other lane: what steps forward and what steps back have an address each.
struct Places {
    const uint4 *forward, *back;
};

template <int FROM, int TO>
DEVICE void read_pixels(half2 (&pixels)[TO - FROM + 1][4], const Places& row, int offset) {
#pragma unroll
    for (int i = FROM; i <= TO; ++i)
        take(pixels[i - FROM], (place_of(i) & 1 ? row.back : row.forward)[offset + 4 * place_of(i)]);
}

// u of the lane's four pixels, as left operands [matrix][step]; `row` is the first of the seven that it needs.
DEVICE void run_mix(half2 (&u)[2][2][4], const Places& row, int pitch, const uint4* weights, int lane) {
    const int t = lane % 4;
    half2 sums[2][4][4];  // [near, far][pixel][pair]
#pragma unroll
    for (int i = 0; i < 32; ++i) sums[i / 16][i / 4 % 4][i % 4] = 0u;
    // No unrolling: else the compiler reads so much ahead that it runs out of registers.
#pragma unroll 1
    for (int i = 0; i < 3; ++i) {
        const int dy = i == 2 ? 1 : 2 * i;  // the row in the middle last, as add_row does it
        half2 far[10][4], near[6][4];  // from three pixels before the four, and from one
        read_pixels<-1, 8>(far, row, 3 * dy * pitch);
        add_row<3>(sums[1], far, weights + FAR + 12 * dy + t);
        read_pixels<1, 6>(near, row, (2 + dy) * pitch);
        add_row<1>(sums[0], near, weights + NEAR + 12 * dy + t);
    }
#pragma unroll
    for (int o = 0; o < 2; ++o) {
        float mixed[2][2][4];
#pragma unroll
        for (int i = 0; i < 16; ++i) mixed[i / 8][i / 4 % 2][i % 4] = 0.f;
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            const half2 (&from)[4][4] = sums[k / 2];
            const int n = 2 * (k % 2);
            uint4 weight = weights[FUSE + 32 * (2 * k + o) + lane];
#pragma unroll
            for (int m = 0; m < 2; ++m) {
                half2 a[4] = {from[2 * m][n], from[2 * m + 1][n], from[2 * m][n + 1], from[2 * m + 1][n + 1]};
                multiply_add(mixed[m][0], a, make_uint2(weight.x, weight.y));
                multiply_add(mixed[m][1], a, make_uint2(weight.z, weight.w));
            }
        }
#pragma unroll
        for (int i = 0; i < 8; ++i)
            u[i / 4][o][i % 4] = pack(mixed[i / 4][i / 2 % 2][2 * (i % 2)], mixed[i / 4][i / 2 % 2][2 * (i % 2) + 1]);
    }
}

// a ⊙ b of the row above, for one chunk of the lane's four pixels. `weights` are the block's.
DEVICE void run_chunk(half2 (&gated)[4], half2 (&open)[2][4][2], const half2 (&u)[2][2][4], const uint4* weights,
                      int chunk, int lane) {
    const uint4 expand[2] = {weights[EXPAND + 64 * chunk + lane], weights[EXPAND + 64 * chunk + 32 + lane]};
    half2 wide[6][2];  // pixels -1 … 4 of this lane: a, b
#pragma unroll
    for (int m = 0; m < 2; ++m) {
        float sums[2][4] = {{0.f, 0.f, 0.f, 0.f}, {0.f, 0.f, 0.f, 0.f}};
#pragma unroll
        for (int k = 0; k < 2; ++k) {
            multiply_add(sums[0], u[m][k], make_uint2(expand[k].x, expand[k].y));
            multiply_add(sums[1], u[m][k], make_uint2(expand[k].z, expand[k].w));
        }
#pragma unroll
        for (int n = 0; n < 2; ++n) {
            wide[1 + 2 * m][n] = pack(sums[n][0], sums[n][1]);
            wide[2 + 2 * m][n] = pack(sums[n][2], sums[n][3]);
        }
    }
#pragma unroll
    for (int n = 0; n < 2; ++n) {
        wide[0][n] = from_below(wide[4][n], 4);
        wide[5][n] = from_above(wide[1][n], 4);
    }
    half2 done[4][2];
    const uint2* gate = reinterpret_cast<const uint2*>(weights + GATE) + 36 * chunk + lane % 4;
    const uint2* bias = reinterpret_cast<const uint2*>(weights + GATE_BIAS) + 4 * chunk + lane % 4;
    add_three_rows(done, open, wide, gate, *bias);
#pragma unroll
    for (int p = 0; p < 4; ++p)
        gated[p] = max2(MINUS_PRODUCT_LIMIT, min2(PRODUCT_LIMIT, fma2(done[p][0], done[p][1], 0u)));
}

// in, out: maps of `columns` columns; row 0 and column LEAD of `out` are row 4 and column LEAD + 4 of `in`, as the
// pixels in between are this block's context. Threads (x, y) compute STRIP_WARPS of `strips` and `segment` of `rows`.
KERNEL(block, 32 * STRIP_WARPS, 2)
(const uint4* in, uint4* out, const uint4* weights, int columns, int rows, int strips, int segment) {
    SHARED_MEMORY(shared);
    for (int i = thread_index(); i < BLOCK_WEIGHTS; i += 32 * STRIP_WARPS) shared[i] = weights[i];
    sync_block();
    const int lane = thread_index() % 32, strip = block_x() * STRIP_WARPS + thread_index() / 32;
    if (strip >= strips) return;

    // The lane's four pixels lie 2 … 5 columns after `corner` in `in`, and four columns before that in `out`.
    const int group = lane / 4, corner = LEAD + STRIP * strip + 4 * group, step = 4 * (corner >> 2 & 1);
    const int first_row = block_y() * segment, last_row = first_row + segment < rows ? first_row + segment : rows;
    const int pitch = 4 * columns;
    const uint4* from = in + first_row * pitch + 4 * corner + lane % 4;
    Places row_in = {from + step, from - step};
    uint4* to = out + first_row * pitch + 4 * corner + lane % 4;
    half2 open[CHUNKS][2][4][2];  // the gate's sums, still lacking 1 row, 2 rows
#pragma unroll
    for (int i = 0; i < 16 * CHUNKS; ++i) open[i / 16][i / 8 % 2][i / 2 % 4][i % 2] = 0u;
    for (int row = first_row - 2; row < last_row; ++row) {
        half2 u[2][2][4];
        run_mix(u, row_in, pitch, shared, lane);
        half2 gated[CHUNKS][4];  // [chunk][pixel]
#pragma unroll
        for (int chunk = 0; chunk < CHUNKS; ++chunk) run_chunk(gated[chunk], open[chunk], u, shared, chunk, lane);
        if (row >= first_row) {
            half2 detail[4][4];
#pragma unroll
            for (int o = 0; o < 2; ++o) {
                float sums[2][2][4];
#pragma unroll
                for (int i = 0; i < 16; ++i) sums[i / 8][i / 4 % 2][i % 4] = 0.f;
#pragma unroll
                for (int k = 0; k < CHUNKS / 2; ++k) {
                    const half2 (&low)[4] = gated[2 * k], (&high)[4] = gated[2 * k + 1];
                    uint4 weight = shared[PROJECT + 32 * (2 * k + o) + lane];
#pragma unroll
                    for (int m = 0; m < 2; ++m) {
                        half2 a[4] = {low[2 * m], low[2 * m + 1], high[2 * m], high[2 * m + 1]};
                        multiply_add(sums[m][0], a, make_uint2(weight.x, weight.y));
                        multiply_add(sums[m][1], a, make_uint2(weight.z, weight.w));
                    }
                }
#pragma unroll
                for (int p = 0; p < 4; ++p) {
#pragma unroll
                    for (int n = 0; n < 2; ++n) {
                        const float (&sum)[4] = sums[p / 2][n];
                        detail[p][2 * o + n] = pack(sum[2 * (p % 2)], sum[2 * (p % 2) + 1]);
                    }
                }
            }
            half2 x[4][4];
            read_pixels<2, 5>(x, row_in, 2 * pitch);
#pragma unroll
            for (int p = 0; p < 4; ++p) {
#pragma unroll
                for (int n = 0; n < 4; ++n) x[p][n] = add2(x[p][n], detail[p][n]);
                const int place = place_of(p - 2);
                if (p < 2 ? group > 0 : group < 7) to[(place & 1 ? -step : step) + 4 * place] = joined(x[p]);
            }
            to += pitch;
        }
        row_in.forward += pitch;
        row_in.back += pitch;
    }
}
