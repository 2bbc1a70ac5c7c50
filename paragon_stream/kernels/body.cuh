// The network's body: planes of codes → features. A block of threads computes a slice, SLICE columns wide, row by
// row from top to bottom, and keeps everything between conv_in and the last block in registers.
//
// A row of the slice is 32 pixels in each warp, as two 16-row matrices. Pixel 4·group + 2·m + h is row group + 8·h
// of matrix m, so a lane holds four neighbouring pixels of four channel pairs, and depthwise 3×3 convolutions need
// one pixel from the lane to either side; from the warp to either side at the ends. At the slice's ends each 3×3
// convolution spoils one pixel more; only the pixels in between are stored.
//
// Between blocks a row of features is what the tensor core's results and its left operand have in common:
// x[m][h] = channels 2t…2t+1, x[m][2 + h] = channels 2t+8…2t+9 of the pixel (t = lane % 4).

constexpr int BODY_WARPS = 4;
constexpr int ROW_PIXELS = 32 * BODY_WARPS;
// The source's pixels on the luma grid, in shared memory: [Y and U, V][row & 3][pixel + 1].
constexpr int RING_ROWS = 4;
constexpr int RING_PITCH = ROW_PIXELS + 3;  // so that what the lanes of a warp read lies in 32 banks
constexpr int RING_WORDS = 2 * RING_ROWS * RING_PITCH;

// Offsets into the weights, in uint4.
constexpr int FIRST_BIAS = 96;    // [t]: channels 2t, 2t+1, 2t+8, 2t+9 in fp32
constexpr int FIRST_SLOPE = 100;  // the same, times the strength
constexpr int BODY_BLOCKS = 104;
constexpr int EXPAND = 0;         // [outputs / 16][lane]
constexpr int PROJECT = 64;       // [inputs / 16][lane]
constexpr int DEPTHWISE = 128;    // [tap][t]: channel pairs 2t, 2t+8, 2t+16, 2t+24
constexpr int DEPTHWISE_BIAS = 164;
constexpr int BLOCK_WEIGHTS = 168;
constexpr int BODY_WEIGHTS = BODY_BLOCKS + BLOCKS * BLOCK_WEIGHTS;

DEVICE int clamp(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

// One component of the source at one column: where its samples are, and how those beside it are weighed.
struct SourceColumn {
    const u8* plane;
    int pitch, last_row;
    int near, far;  // bytes from the start of a row; both taps of the interpolation, edges repeated
    int near_weight, far_weight;
};

// The codes that one pixel is made of, on their way from memory.
struct Codes {
    int near[SOURCE_COMPONENTS][2], far[SOURCE_COMPONENTS][2];
};

DEVICE int code_at(const u8* row, int offset) {
    return *reinterpret_cast<const SourceSample*>(row + offset) >> SOURCE_SHIFT;
}

DEVICE void fetch(Codes& codes, const SourceColumn (&columns)[SOURCE_COMPONENTS], int y) {
#pragma unroll
    for (int c = 0; c < SOURCE_COMPONENTS; ++c) {
        const SourceColumn& column = columns[c];
#pragma unroll
        for (int tap = 0; tap < (source_log_y(c) ? 2 : 1); ++tap) {
            int row = clamp((y >> source_log_y(c)) + up_row(c, y, 0) + tap, 0, column.last_row);
            const u8* samples = column.plane + static_cast<long long>(row) * column.pitch;
            codes.near[c][tap] = code_at(samples, column.near);
            if (source_log_x(c)) codes.far[c][tap] = code_at(samples, column.far);
        }
    }
}

// Centred, in units of half the code range, on the luma grid.
DEVICE float centred(const Codes& codes, const SourceColumn& column, int c, int y) {
    int sum[2];
#pragma unroll
    for (int tap = 0; tap < (source_log_y(c) ? 2 : 1); ++tap) {
        sum[tap] = codes.near[c][tap];
        if (source_log_x(c)) sum[tap] = sum[tap] * column.near_weight + codes.far[c][tap] * column.far_weight;
    }
    int all = sum[0];
    if (source_log_y(c)) all = all * up_row(c, y, 1) + sum[1] * up_row(c, y, 2);
    const float unit = SOURCE_UNIT / ((source_log_x(c) ? UP_UNIT : 1) * (source_log_y(c) ? UP_UNIT : 1));
    return static_cast<float>(all) * unit - SOURCE_CENTRE * SOURCE_UNIT;
}

// Y and U, V and nothing.
DEVICE uint2 pixel_of(const Codes& codes, const SourceColumn (&columns)[SOURCE_COMPONENTS], int y) {
    float luma = centred(codes, columns[0], 0, y);
    if (SOURCE_COMPONENTS == 1) return make_uint2(pack(luma, 0.f), 0u);
    constexpr int one = SOURCE_COMPONENTS > 1 ? 1 : 0, two = SOURCE_COMPONENTS > 1 ? 2 : 0;
    return make_uint2(pack(luma, centred(codes, columns[one], one, y)), pack(centred(codes, columns[two], two, y), 0.f));
}

// What a block remembers from row to row.
struct Block {
    half2 open[2][4][4];   // sums of depthwise outputs [still lacking 1 row, 2 rows][pixel][channels]
    half2 before[2][4];    // the row of features above
};

constexpr int EDGE_SIDE = (BODY_WARPS + 2) * 4;
constexpr int EDGES = 2 * EDGE_SIDE;

DEVICE void take(half2 (&pixel)[4], uint4 from) {
    pixel[0] = from.x;
    pixel[1] = from.y;
    pixel[2] = from.z;
    pixel[3] = from.w;
}

DEVICE void add_row(half2 (&sums)[4][4], const half2 (&wide)[6][4], const uint4* weights) {
#pragma unroll
    for (int dx = 0; dx < 3; ++dx) {
        uint4 weight = weights[4 * dx];
#pragma unroll
        for (int p = 0; p < 4; ++p) {
            sums[p][0] = fma2(wide[p + dx][0], weight.x, sums[p][0]);
            sums[p][1] = fma2(wide[p + dx][1], weight.y, sums[p][1]);
            sums[p][2] = fma2(wide[p + dx][2], weight.z, sums[p][2]);
            sums[p][3] = fma2(wide[p + dx][3], weight.w, sums[p][3]);
        }
    }
}

// x + project(gelu(depthwise(expand(x)))): takes a row, gives the row above it. All warps of the block come here
// together; `edges` are for them to exchange their first and last pixels, [side][warp + 1][t]. They are written
// again a row later: the barrier in another of the network's blocks is between that and who still reads.
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
    if (group == 0) mine[0] = make_uint4(wide[1][0], wide[1][1], wide[1][2], wide[1][3]);
    if (group == 7) mine[EDGE_SIDE] = make_uint4(wide[4][0], wide[4][1], wide[4][2], wide[4][3]);
    sync_block();
    if (group == 0) take(wide[0], mine[EDGE_SIDE - 4]);
    if (group == 7) take(wide[5], mine[4]);

    half2 done[4][4];
    uint4 bias = weights[DEPTHWISE_BIAS + t];
#pragma unroll
    for (int p = 0; p < 4; ++p) {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            done[p][n] = block.open[0][p][n];
            block.open[0][p][n] = block.open[1][p][n];
        }
        block.open[1][p][0] = bias.x;
        block.open[1][p][1] = bias.y;
        block.open[1][p][2] = bias.z;
        block.open[1][p][3] = bias.w;
    }
    add_row(done, wide, weights + DEPTHWISE + 4 * 6 + t);
    add_row(block.open[0], wide, weights + DEPTHWISE + 4 * 3 + t);
    add_row(block.open[1], wide, weights + DEPTHWISE + t);

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

// conv_in of a row; `ring` begins at this warp's pixels.
DEVICE void run_first(half2 (&x)[2][4], const unsigned* ring, int row, const uint4* weights, const float (&bias)[4],
                      int lane) {
    const int t = lane % 4, group = lane / 4;
    float sum[2][2][4];
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int n = 0; n < 2; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) sum[m][n][i] = bias[2 * n + i % 2];
        }
    }
#pragma unroll
    for (int k = 0; k < 3; ++k) {
        // Each lane brings one tap of nine; in the last step only those of t = 0 have weights.
        int tap = k < 2 ? 4 * k + t : 8;
        const unsigned* pixels = ring + ((row - 1 + tap / 3) & (RING_ROWS - 1)) * RING_PITCH + tap % 3 + 4 * group;
        const unsigned* others = pixels + RING_ROWS * RING_PITCH;
        uint4 weight = weights[32 * k + lane];
#pragma unroll
        for (int m = 0; m < 2; ++m) {
            half2 a[4] = {pixels[2 * m], pixels[2 * m + 1], others[2 * m], others[2 * m + 1]};
            multiply_add(sum[m][0], a, make_uint2(weight.x, weight.y));
            multiply_add(sum[m][1], a, make_uint2(weight.z, weight.w));
        }
    }
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int i = 0; i < 4; ++i) x[m][i] = pack(sum[m][i / 2][2 * (i % 2)], sum[m][i / 2][2 * (i % 2) + 1]);
    }
}

DEVICE void put_pixel(unsigned* ring, int y, uint2 pixel) {
    unsigned* at = ring + (y & (RING_ROWS - 1)) * RING_PITCH + 1 + thread_index();
    at[0] = pixel.x;
    at[RING_ROWS * RING_PITCH] = pixel.y;
}

// features: [channels 0…7, 8…15][rows][columns][t]: 2 channels; (0, 0) is the picture's (-top, -left). Threads
// (x, y) compute slice x and `segment` rows.
KERNEL(body, 32 * BODY_WARPS, 2)
(const u8* plane0, const u8* plane1, const u8* plane2, const uint4* weights, unsigned* features, const float* strength,
 int pitch0, int pitch1, int pitch2, int width, int height, int columns, int rows, int left, int top, int segment) {
    SHARED_MEMORY(shared);
    const int lane = thread_index() % 32, warp = thread_index() / 32, t = lane % 4;
    uint4* edges = shared + BODY_WEIGHTS;
    unsigned* ring = reinterpret_cast<unsigned*>(edges + BLOCKS * EDGES);
    for (int i = thread_index(); i < BODY_WEIGHTS; i += ROW_PIXELS) shared[i] = weights[i];
    for (int i = thread_index(); i < BLOCKS * EDGES; i += ROW_PIXELS) edges[i] = make_uint4(0u, 0u, 0u, 0u);
    for (int i = thread_index(); i < RING_WORDS; i += ROW_PIXELS) ring[i] = 0u;
    sync_block();

    const u8* planes[3] = {plane0, plane1, plane2};
    const int pitches[3] = {pitch0, pitch1, pitch2};
    const int first_column = block_x() * SLICE - SPOILED;  // of the features, may be before the first
    const int x = first_column - left + thread_index();
    SourceColumn source[SOURCE_COMPONENTS];
#pragma unroll
    for (int c = 0; c < SOURCE_COMPONENTS; ++c) {
        const int last_column = ((width - 1) >> source_log_x(c));
        const int near = (x >> source_log_x(c)) + up_column(c, x, 0);
        const int stride = source_stride(c) * static_cast<int>(sizeof(SourceSample));
        source[c].plane = planes[source_array(c)] + source_offset(c) * sizeof(SourceSample);
        source[c].pitch = pitches[source_array(c)];
        source[c].last_row = (height - 1) >> source_log_y(c);
        source[c].near = clamp(near, 0, last_column) * stride;
        source[c].far = clamp(near + 1, 0, last_column) * stride;
        source[c].near_weight = up_column(c, x, 1);
        source[c].far_weight = up_column(c, x, 2);
    }
    float bias[4];
    {
        const float* start = reinterpret_cast<const float*>(shared + FIRST_BIAS + t);
        const float* slope = reinterpret_cast<const float*>(shared + FIRST_SLOPE + t);
#pragma unroll
        for (int i = 0; i < 4; ++i) bias[i] = start[i] + (CONDITIONED ? *strength * slope[i] : 0.f);
    }

    // Rows of the picture whose features this block stores, and the rows above and below that they depend on.
    const int first_row = block_y() * segment - top;
    const int last_row = (first_row + segment < rows - top ? first_row + segment : rows - top) - 1;
    Codes codes;
    for (int y = first_row - BLOCKS - 1; y < first_row - BLOCKS + 2; ++y) {
        fetch(codes, source, y);
        put_pixel(ring, y, pixel_of(codes, source, y));
    }
    fetch(codes, source, first_row - BLOCKS + 2);
    sync_block();
    Block blocks[BLOCKS];
#pragma unroll
    for (int b = 0; b < BLOCKS; ++b) {
#pragma unroll
        for (int i = 0; i < 16; ++i) blocks[b].open[0][i / 4][i % 4] = blocks[b].open[1][i / 4][i % 4] = 0u;
#pragma unroll
        for (int i = 0; i < 8; ++i) blocks[b].before[i / 4][i % 4] = 0u;
    }
    for (int y = first_row - BLOCKS; y <= last_row + BLOCKS; ++y) {
        half2 x[2][4];
        run_first(x, ring + 32 * warp, y, shared, bias, lane);
        // The row after the next; the barriers in the blocks are between this and those who read it.
        put_pixel(ring, y + 2, pixel_of(codes, source, y + 2));
        fetch(codes, source, y + 3);  // memory has all of this row's work to answer
#pragma unroll
        for (int b = 0; b < BLOCKS; ++b)
            run_block(blocks[b], x, shared + BODY_BLOCKS + b * BLOCK_WEIGHTS, edges + b * EDGES, warp, lane);
        const int row = y - BLOCKS;
        if (row < first_row) continue;
#pragma unroll
        for (int p = 0; p < 4; ++p) {
            const int pixel = 32 * warp + lane / 4 * 4 + p, column = first_column + pixel;
            if (pixel >= SPOILED && pixel < SPOILED + SLICE && column < columns) {
                unsigned* at = features + ((row + top) * columns + column) * 4 + t;
                at[0] = x[p / 2][p % 2];
                at[rows * columns * 4] = x[p / 2][2 + p % 2];
            }
        }
    }
}
