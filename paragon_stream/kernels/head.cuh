// The end of the network and the way back to planes: features → conv_mid → tail → + base path → codes. The tail's
// outputs are samples of the target in cells: for every source pixel a block of samples of each component.
//
// A block of threads makes CELLS_X × CELLS_Y cells. Each warp owns 16 columns and goes down the rows; every row of
// features is read once and multiplied into all output rows that it is part of.

constexpr int HEAD_WARPS = 4;
constexpr int MID_WIDTH = 16 * HEAD_WARPS;
constexpr int CELLS_X = MID_WIDTH - TAIL_COLUMNS + 1;
constexpr int MID_ROWS = CELLS_Y + TAIL_ROWS - 1;
constexpr int CELL_PITCH = 8 * TAIL_TILES + 1;  // odd: no two cells in one bank

// Offsets into the weights, in uint4.
constexpr int MID_BIAS = 288;   // [t]: channels 2t, 2t+1, 2t+8, 2t+9 in fp32
constexpr int TAIL_BIAS = 292;  // [tile][t]: 2 channels in fp32
constexpr int TAIL = TAIL_BIAS + 2 * TAIL_TILES;  // [row][column][tile][lane]: uint2

DEVICE int clamp_index(int value, int last) { return value < 0 ? 0 : value > last ? last : value; }

// 16 channels of two pixels, this lane's share of the left operand: its upper and its lower row.
DEVICE void load_pixels(half2 (&a)[4], const uint2* upper, const uint2* lower) {
    uint2 first = *upper, second = *lower;
    a[0] = first.x;
    a[1] = second.x;
    a[2] = first.y;
    a[3] = second.y;
}

// conv_mid for the columns of this warp: `rows` rows of `mid`, [row][MID_WIDTH][t].
DEVICE void run_mid(uint2* mid, const uint2* features, const uint4* weights, int columns, int first_column, int rows,
                    int warp, int lane) {
    const int t = lane % 4, group = lane / 4;
    uint4 taps[9];
#pragma unroll
    for (int i = 0; i < 9; ++i) taps[i] = weights[32 * i + lane];
    const float* bias = reinterpret_cast<const float*>(weights + MID_BIAS + t);
    int offsets[2][3];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
#pragma unroll
        for (int dx = 0; dx < 3; ++dx)
            offsets[h][dx] = clamp_index(first_column + 16 * warp + group + 8 * h + dx, columns - 1) * 4 + t;
    }
    float sums[3][2][4];  // [rows below this one that it still lacks]
#pragma unroll
    for (int i = 0; i < 24; ++i) sums[i / 8][i / 4 % 2][i % 4] = 0.f;
    for (int row = 0; row < rows + 2; ++row) {
        const uint2* pixels = features + static_cast<long long>(row) * columns * 4;
#pragma unroll
        for (int n = 0; n < 2; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                sums[0][n][i] = sums[1][n][i];
                sums[1][n][i] = sums[2][n][i];
                sums[2][n][i] = bias[2 * n + i % 2];
            }
        }
#pragma unroll
        for (int dx = 0; dx < 3; ++dx) {
            half2 a[4];
            load_pixels(a, pixels + offsets[0][dx], pixels + offsets[1][dx]);
#pragma unroll
            for (int dy = 0; dy < 3; ++dy) {
                uint4 tap = taps[3 * dy + dx];
                multiply_add(sums[2 - dy][0], a, make_uint2(tap.x, tap.y));
                multiply_add(sums[2 - dy][1], a, make_uint2(tap.z, tap.w));
            }
        }
        if (row < 2) continue;
        uint2* out = mid + ((row - 2) * MID_WIDTH + 16 * warp + group) * 4 + t;
        out[0] = make_uint2(pack(sums[0][0][0], sums[0][0][1]), pack(sums[0][1][0], sums[0][1][1]));
        out[8 * 4] = make_uint2(pack(sums[0][0][2], sums[0][0][3]), pack(sums[0][1][2], sums[0][1][3]));
    }
}

// One column of samples of the target, of the components that group G stands for (they share size and filters):
// where its detail is, and the base path's horizontal filter over the source.
template <class G>
struct Column {
    // Where cells and filters move on together, each row of the source is filtered once and kept.
    static constexpr bool KEEPS = G::PHASES_Y == G::BLOCK_Y && G::STEP_Y == 1;
    static constexpr int KEPT = KEEPS ? G::ROW_TAPS + 1 : 1;
    const u8* plane;
    int pitch, last_row;
    int offsets[G::COLUMN_TAPS];  // bytes from the start of a row
    int weights[G::FILTERS][G::COLUMN_TAPS];
    u8* out;  // null: no sample of the picture
    int out_pitch;
    int detail;  // index into the warp's cells
    bool pads;   // also writes the byte of the pixel that carries nothing
    float kept[G::FILTERS][KEPT];
};

DEVICE int floor_divide(int value, int by) { return (value >= 0 ? value : value - by + 1) / by; }

template <class G>
DEVICE void start_column(Column<G>& column, int number, const u8* const (&planes)[3], const int (&pitches)[3],
                         u8* const (&outs)[3], const int (&out_pitches)[3], int width, int height, int first_cell, int cells) {
    constexpr int count = G::COMPONENTS * 16 * G::BLOCK_X;
    const int index = number < count ? number : count - 1;
    const int component = G::COMPONENT + index / (16 * G::BLOCK_X);
    const int place = index % (16 * G::BLOCK_X), cell = place / G::BLOCK_X;
    const int x = (first_cell + cell) * G::BLOCK_X + place % G::BLOCK_X - G::LEAD_X;
    const int size = (width * SCALE + G::FACTOR_X - 1) / G::FACTOR_X;
    const int base = floor_divide(x, G::PHASES_X), phase = x - base * G::PHASES_X;
#pragma unroll
    for (int c = G::COMPONENT; c < G::COMPONENT + G::COMPONENTS; ++c) {
        if (c != component) continue;
        const int bytes = sizeof(SourceSample), last = (width - 1) >> source_log_x(c);
        column.plane = planes[source_array(c)] + source_offset(c) * bytes;
        column.pitch = pitches[source_array(c)];
        column.last_row = (height - 1) >> source_log_y(c);
#pragma unroll
        for (int k = 0; k < G::COLUMN_TAPS; ++k)
            column.offsets[k] = clamp_index(base * G::STEP_X + G::FIRST_COLUMN + k, last) * source_stride(c) * bytes;
        const int out_bytes = sizeof(TargetSample);
        column.out = outs[target_array(c)] + (x * target_stride(c) + target_offset(c)) * out_bytes;
        column.out_pitch = out_pitches[target_array(c)];
    }
#pragma unroll
    for (int f = 0; f < G::FILTERS; ++f) {
#pragma unroll
        for (int k = 0; k < G::COLUMN_TAPS; ++k) column.weights[f][k] = G::column_weight(f, phase, k);
    }
    if (number >= count || cell >= cells || x < 0 || x >= size) column.out = nullptr;
    column.detail = cell * CELL_PITCH + G::CHANNEL + (component - G::COMPONENT) * G::BLOCK_Y * G::BLOCK_X + place % G::BLOCK_X;
    column.pads = TARGET_PADDING >= 0 && component == 0;
}

// The base path's horizontal filters at this column, over a row of the source.
template <class G>
DEVICE void filter_row(float (&result)[G::FILTERS], const Column<G>& column, int row) {
    const u8* samples = column.plane + static_cast<long long>(clamp_index(row, column.last_row)) * column.pitch;
    int sums[G::FILTERS];
#pragma unroll
    for (int f = 0; f < G::FILTERS; ++f) sums[f] = 0;
#pragma unroll
    for (int k = 0; k < G::COLUMN_TAPS; ++k) {
        int code = *reinterpret_cast<const SourceSample*>(samples + column.offsets[k]) >> SOURCE_SHIFT;
#pragma unroll
        for (int f = 0; f < G::FILTERS; ++f) sums[f] += code * column.weights[f][k];
    }
#pragma unroll
    for (int f = 0; f < G::FILTERS; ++f) result[f] = static_cast<float>(sums[f]);
}

template <class G>
DEVICE void keep_row(Column<G>& column, int row) {
    float filtered[G::FILTERS];
    filter_row(filtered, column, row);
#pragma unroll
    for (int f = 0; f < G::FILTERS; ++f) {
#pragma unroll
        for (int i = 0; i + 1 < Column<G>::KEPT; ++i) column.kept[f][i] = column.kept[f][i + 1];
        column.kept[f][Column<G>::KEPT - 1] = filtered[f];
    }
}

template <class G>
DEVICE void store_sample(const Column<G>& column, int y, float value, unsigned* status) {
    if (!(value > -1e9f && value < 1e9f)) raise_flag(status);  // not a number, or far from any code
    int code = clamp(round_even(value), 0, TARGET_PEAK) << TARGET_SHIFT;
    TargetSample* pixel = reinterpret_cast<TargetSample*>(column.out + static_cast<long long>(y) * column.out_pitch);
    *pixel = static_cast<TargetSample>(code);
    if (TARGET_PADDING >= 0 && column.pads) pixel[TARGET_PADDING - target_offset(0)] = TARGET_PEAK;
}

// Base + detail → codes, for the samples of one row of cells.
template <class G>
DEVICE void finish_cells(Column<G>& column, const float* cells, int row, int height, unsigned* status) {
    const int size = (height * SCALE + G::FACTOR_Y - 1) / G::FACTOR_Y;
    if (Column<G>::KEEPS) keep_row(column, row + G::FIRST_ROW + G::ROW_TAPS - 1);
#pragma unroll
    for (int a = 0; a < G::BLOCK_Y; ++a) {
        const int y = row * G::BLOCK_Y + a - G::LEAD_Y;
        float value = cells[column.detail + a * G::BLOCK_X] + G::OFFSET;
        if (Column<G>::KEEPS) {
            const int before = a < G::LEAD_Y ? 1 : 0, phase = a - G::LEAD_Y + before * G::BLOCK_Y;
#pragma unroll
            for (int f = 0; f < G::FILTERS; ++f) {
#pragma unroll
                for (int k = 0; k < G::ROW_TAPS; ++k)
                    value += G::row_weight(f, phase, k) * column.kept[f][(1 - before + k) % Column<G>::KEPT];
            }
        } else {
            const int base = floor_divide(y, G::PHASES_Y), phase = y - base * G::PHASES_Y;
#pragma unroll
            for (int k = 0; k < G::ROW_TAPS; ++k) {
                float filtered[G::FILTERS];
                filter_row(filtered, column, base * G::STEP_Y + G::FIRST_ROW + k);
#pragma unroll
                for (int f = 0; f < G::FILTERS; ++f) value += G::row_weight(f, phase, k) * filtered[f];
            }
        }
        if (column.out != nullptr && y >= 0 && y < size) store_sample(column, y, value, status);
    }
}

// All columns of group G that this lane makes.
template <class G>
struct Columns {
    static constexpr int COUNT = (G::COMPONENTS * 16 * G::BLOCK_X + 31) / 32;
    Column<G> column[COUNT];

    DEVICE_METHOD void start(const u8* const (&planes)[3], const int (&pitches)[3], u8* const (&outs)[3],
                             const int (&out_pitches)[3], int width, int height, int first_cell, int cells, int first_row, int lane) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            start_column(column[i], 32 * i + lane, planes, pitches, outs, out_pitches, width, height, first_cell, cells);
            if (Column<G>::KEEPS) {
                for (int k = 0; k < G::ROW_TAPS; ++k) keep_row(column[i], first_row - 1 + G::FIRST_ROW + k);
            }
        }
    }

    DEVICE_METHOD void finish(const float* cells, int row, int height, unsigned* status) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) finish_cells(column[i], cells, row, height, status);
    }
};

KERNEL(head, 32 * HEAD_WARPS, 2)
(const u8* plane0, const u8* plane1, const u8* plane2, u8* out0, u8* out1, u8* out2, const uint2* features,
 const uint4* weights, unsigned* status, int pitch0, int pitch1, int pitch2, int out_pitch0, int out_pitch1,
 int out_pitch2, int width, int height, int columns, int cells_x, int cells_y) {
    SHARED_MEMORY(shared);
    uint2* mid = reinterpret_cast<uint2*>(shared);
    const int lane = thread_index() % 32, warp = thread_index() / 32, t = lane % 4, group = lane / 4;
    float* cells = reinterpret_cast<float*>(mid + MID_ROWS * MID_WIDTH * 4) + warp * 16 * CELL_PITCH;
    const int first_x = block_x() * CELLS_X, first_y = block_y() * CELLS_Y;
    const int count_y = cells_y - first_y < CELLS_Y ? cells_y - first_y : CELLS_Y;
    const int count_x = cells_x - first_x < CELLS_X ? cells_x - first_x : CELLS_X;
    if (16 * warp < count_x + TAIL_COLUMNS - 1) {
        const uint2* above = features + static_cast<long long>(first_y) * columns * 4;
        run_mid(mid, above, weights, columns, first_x, count_y + TAIL_ROWS - 1, warp, lane);
    }
    sync_block();
    if (16 * warp >= count_x) return;

    const u8* planes[3] = {plane0, plane1, plane2};
    const int pitches[3] = {pitch0, pitch1, pitch2};
    u8* outs[3] = {out0, out1, out2};
    const int out_pitches[3] = {out_pitch0, out_pitch1, out_pitch2};
    // Cells beyond the last repeat it, and are not stored.
    const int upper = clamp_index(16 * warp + group, count_x - 1), lower = clamp_index(16 * warp + group + 8, count_x - 1);
#define EACH_GROUP(G) Columns<G> columns_##G; \
    columns_##G.start(planes, pitches, outs, out_pitches, width, height, first_x + 16 * warp, count_x - 16 * warp, first_y, lane);
    EACH_GROUP_OF_PLANES
#undef EACH_GROUP
    const uint2* tail = reinterpret_cast<const uint2*>(weights + TAIL);
    uint2 taps[TAIL_ROWS][TAIL_COLUMNS][TAIL_TILES];
#pragma unroll
    for (int i = 0; i < TAIL_ROWS * TAIL_COLUMNS * TAIL_TILES; ++i)
        taps[i / (TAIL_COLUMNS * TAIL_TILES)][i / TAIL_TILES % TAIL_COLUMNS][i % TAIL_TILES] = tail[32 * i + lane];
    const float* bias = reinterpret_cast<const float*>(weights + TAIL_BIAS);
    float sums[TAIL_ROWS][TAIL_TILES][4];  // [rows below this one that it still lacks]
#pragma unroll
    for (int i = 0; i < TAIL_ROWS * TAIL_TILES * 4; ++i) sums[i / (4 * TAIL_TILES)][i / 4 % TAIL_TILES][i % 4] = 0.f;
    for (int row = 0; row < count_y + TAIL_ROWS - 1; ++row) {
#pragma unroll
        for (int n = 0; n < TAIL_TILES; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
#pragma unroll
                for (int lacks = 0; lacks + 1 < TAIL_ROWS; ++lacks) sums[lacks][n][i] = sums[lacks + 1][n][i];
                sums[TAIL_ROWS - 1][n][i] = bias[8 * n + 2 * t + i % 2];
            }
        }
        const uint2* pixels = mid + row * MID_WIDTH * 4 + t;
#pragma unroll
        for (int dx = 0; dx < TAIL_COLUMNS; ++dx) {
            half2 a[4];
            load_pixels(a, pixels + (upper + dx) * 4, pixels + (lower + dx) * 4);
#pragma unroll
            for (int dy = 0; dy < TAIL_ROWS; ++dy) {
#pragma unroll
                for (int n = 0; n < TAIL_TILES; ++n) multiply_add(sums[TAIL_ROWS - 1 - dy][n], a, taps[dy][dx][n]);
            }
        }
        if (row < TAIL_ROWS - 1) continue;
#pragma unroll
        for (int n = 0; n < TAIL_TILES; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) cells[(group + i / 2 * 8) * CELL_PITCH + 8 * n + 2 * t + i % 2] = sums[0][n][i];
        }
        sync_warp();
#define EACH_GROUP(G) columns_##G.finish(cells, first_y + row - (TAIL_ROWS - 1), height, status);
        EACH_GROUP_OF_PLANES
#undef EACH_GROUP
        sync_warp();
    }
}
