// The blocks of Realtime, x + project(gelu(depthwise(expand(x)))), which `body` computes in registers, row by row.

// Offsets into a block's weights, in uint4.
constexpr int EXPAND = 0;       // [outputs / 16][lane]
constexpr int PROJECT = 64;     // [inputs / 16][lane]
constexpr int DEPTHWISE = 128;  // [tap][t]: channel pairs 2t, 2t+8, 2t+16, 2t+24
constexpr int DEPTHWISE_BIAS = 164;
constexpr int BLOCK_WEIGHTS = 168;

// What a block remembers from row to row.
struct Block {
    half2 open[2][4][4];   // sums of depthwise outputs [still lacking 1 row, 2 rows][pixel][channels]
    half2 before[2][4];    // the row of features above
};

constexpr int EDGE_SIDE = (BODY_WARPS + 2) * 4;
constexpr int EDGES = 2 * EDGE_SIDE;

// Takes a row, gives the row above it. All warps of the block come here together; `edges` are for them to exchange
// their first and last pixels, [side][warp + 1][t]. They are written again a row later: the barrier in another of
// the network's blocks is between that and who still reads.
DEVICE void run_block(Block& block, half2 (&x)[2][4], const uint4* weights, uint4* edges, int warp, int lane) {
    const int t = lane % 4, group = lane / 4;
    half2 wide[6][4];  // pixels -1 … 4 of this lane
    uint4 expand[2] = {weights[EXPAND + lane], weights[EXPAND + 32 + lane]};
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            float sum[4] = {0.f, 0.f, 0.f, 0.f};
            const uint4& pair = expand[n / 2];
            multiply_add(sum, x[m], n % 2 ? make_uint2(pair.z, pair.w) : make_uint2(pair.x, pair.y));
            wide[1 + 2 * m][n] = pack(sum[0], sum[1]);
            wide[2 + 2 * m][n] = pack(sum[2], sum[3]);
        }
    }
#pragma unroll
    for (int n = 0; n < 4; ++n) {
        wide[0][n] = from_below(wide[4][n], 4);
        wide[5][n] = from_above(wide[1][n], 4);
    }
    uint4* mine = edges + (warp + 1) * 4 + t;
    if (group == 0) mine[0] = joined(wide[1]);
    if (group == 7) mine[EDGE_SIDE] = joined(wide[4]);
    sync_block();
    if (group == 0) take(wide[0], mine[EDGE_SIDE - 4]);
    if (group == 7) take(wide[5], mine[4]);

    half2 done[4][4];
    add_three_rows(done, block.open, wide, weights + DEPTHWISE + t, weights[DEPTHWISE_BIAS + t]);
#pragma unroll
    for (int p = 0; p < 4; ++p) {
#pragma unroll
        for (int n = 0; n < 4; ++n) done[p][n] = gelu2(done[p][n]);
    }
    uint4 project[2] = {weights[PROJECT + lane], weights[PROJECT + 32 + lane]};
#pragma unroll
    for (int m = 0; m < 2; ++m) {
        float sum[2][4] = {{0.f, 0.f, 0.f, 0.f}, {0.f, 0.f, 0.f, 0.f}};
#pragma unroll
        for (int k = 0; k < 2; ++k) {
            half2 a[4] = {done[2 * m][2 * k], done[2 * m + 1][2 * k], done[2 * m][2 * k + 1], done[2 * m + 1][2 * k + 1]};
            multiply_add(sum[0], a, make_uint2(project[k].x, project[k].y));
            multiply_add(sum[1], a, make_uint2(project[k].z, project[k].w));
        }
        half2 detail[4] = {pack(sum[0][0], sum[0][1]), pack(sum[0][2], sum[0][3]),
                           pack(sum[1][0], sum[1][1]), pack(sum[1][2], sum[1][3])};
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            half2 above = block.before[m][i];
            block.before[m][i] = x[m][i];
            x[m][i] = add2(above, detail[i]);
        }
    }
}

// What a row goes through between conv_in and memory.
struct RowBlocks {
    static constexpr int WEIGHTS = BLOCKS * BLOCK_WEIGHTS;
    static constexpr int EXCHANGE = BLOCKS * EDGES;  // uint4 of shared memory, zeros at first
    Block blocks[BLOCKS];

    DEVICE_METHOD void start() {
#pragma unroll
        for (int b = 0; b < BLOCKS; ++b) {
#pragma unroll
            for (int i = 0; i < 16; ++i) blocks[b].open[0][i / 4][i % 4] = blocks[b].open[1][i / 4][i % 4] = 0u;
#pragma unroll
            for (int i = 0; i < 8; ++i) blocks[b].before[i / 4][i % 4] = 0u;
        }
    }

    // There is a barrier in each block.
    DEVICE_METHOD void run(half2 (&x)[2][4], const uint4* weights, uint4* exchange, int warp, int lane) {
#pragma unroll
        for (int b = 0; b < BLOCKS; ++b)
            run_block(blocks[b], x, weights + b * BLOCK_WEIGHTS, exchange + b * EDGES, warp, lane);
    }
};
