// From planes of codes to conv_in: the source's samples, chroma interpolated, in a ring of rows in shared memory.

constexpr int BODY_WARPS = 4;
constexpr int ROW_PIXELS = 32 * BODY_WARPS;
// The source's pixels on the luma grid, in shared memory: [Y and U, V][row & 3][pixel + 1].
constexpr int RING_ROWS = 4;
constexpr int RING_PITCH = ROW_PIXELS + 3;  // so that what the lanes of a warp read lies in 32 banks
constexpr int RING_WORDS = 2 * RING_ROWS * RING_PITCH;

// Offsets into the weights of `body`, in uint4.
constexpr int FIRST_BIAS = 96 * STEPS;               // [outputs / 16][t]: channels 2t, 2t+1, 2t+8, 2t+9 in fp32
constexpr int FIRST_SLOPE = FIRST_BIAS + 4 * STEPS;  // the same, times the strength
constexpr int FIRST_WEIGHTS = FIRST_SLOPE + 4 * STEPS;

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

// The columns x of all components. `planes` and `pitches` are those of the source's arrays.
DEVICE void start_source(SourceColumn (&source)[SOURCE_COMPONENTS], const u8* const (&planes)[3],
                         const int (&pitches)[3], int x, int width, int height) {
#pragma unroll
    for (int c = 0; c < SOURCE_COMPONENTS; ++c) {
        const int last_column = (width - 1) >> source_log_x(c);
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
}

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

// Per lane: channels 16·o + 2t, 2t+1, 2t+8, 2t+9 at 4·o.
DEVICE void first_bias(float (&bias)[4 * STEPS], const uint4* weights, const float* strength, int t) {
#pragma unroll
    for (int i = 0; i < 4 * STEPS; ++i) {
        const float* start = reinterpret_cast<const float*>(weights + FIRST_BIAS + i / 4 * 4 + t);
        const float* slope = reinterpret_cast<const float*>(weights + FIRST_SLOPE + i / 4 * 4 + t);
        bias[i] = start[i % 4] + (CONDITIONED ? *strength * slope[i % 4] : 0.f);
    }
}

// conv_in of a row; `ring` begins at this warp's pixels. `weights`: [taps / 4][outputs / 16][lane].
DEVICE void run_first(half2 (&x)[2][2 * PAIRS], const unsigned* ring, int row, const uint4* weights,
                      const float (&bias)[4 * STEPS], int lane) {
    const int t = lane % 4, group = lane / 4;
    float sum[2][PAIRS][4];
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int n = 0; n < PAIRS; ++n) {
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
#pragma unroll
        for (int o = 0; o < STEPS; ++o) {
            uint4 weight = weights[32 * (STEPS * k + o) + lane];
#pragma unroll
            for (int m = 0; m < 2; ++m) {
                half2 a[4] = {pixels[2 * m], pixels[2 * m + 1], others[2 * m], others[2 * m + 1]};
                multiply_add(sum[m][2 * o], a, make_uint2(weight.x, weight.y));
                multiply_add(sum[m][2 * o + 1], a, make_uint2(weight.z, weight.w));
            }
        }
    }
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int i = 0; i < 2 * PAIRS; ++i)
            x[m][i] = pack(sum[m][i / 2][2 * (i % 2)], sum[m][i / 2][2 * (i % 2) + 1]);
    }
}

DEVICE void put_pixel(unsigned* ring, int y, uint2 pixel) {
    unsigned* at = ring + (y & (RING_ROWS - 1)) * RING_PITCH + 1 + thread_index();
    at[0] = pixel.x;
    at[RING_ROWS * RING_PITCH] = pixel.y;
}
