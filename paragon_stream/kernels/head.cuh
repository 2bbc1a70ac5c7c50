// The end of the network and the way back to planes: features → conv_mid → tail → + base path → codes. The tail's
// outputs are samples of the target in cells: for every source pixel a block of samples of each component.
//
// A block of threads makes CELLS_X × CELLS_Y cells; there is memory for the features of all, also beyond the picture.
// Each warp owns 16 columns and goes down the rows; every row of features is read once and multiplied into all
// output rows that it is part of. Where a thread lacks the registers for all components of the target, it goes down
// the rows of conv_mid's results several times, once for each pass (framejob/cuda/passes.py).

constexpr int HEAD_WARPS = 4;
constexpr int MID_WIDTH = 16 * HEAD_WARPS;
constexpr int CELLS_X = MID_WIDTH - TAIL_COLUMNS + 1;
constexpr int MID_ROWS = CELLS_Y + TAIL_ROWS - 1;
constexpr int CELL_PITCH = 8 * PASS_TILES + 1;  // of the largest pass; odd: no two cells in one bank

// Offsets into the weights, in uint4.
// conv_mid's taps are [row][column][inputs / 16][outputs / 16][lane].
constexpr int MID_BIAS = 288 * STEPS * STEPS;     // [outputs / 16][t]: channels 2t, 2t+1, 2t+8, 2t+9 in fp32
constexpr int TAIL_BIAS = MID_BIAS + 4 * STEPS;   // [tile][t]: 2 channels in fp32
constexpr int TAIL = TAIL_BIAS + 2 * TAIL_TILES;  // [row][column][inputs / 16][tile][lane]: uint2

DEVICE int clamp_index(int value, int last) { return value < 0 ? 0 : value > last ? last : value; }

// Where pixel x of a row of conv_mid's results has its channels 8·n …, in 16 bytes: laid out so that eight
// neighbouring pixels lie in 32 banks.
DEVICE int place_in_mid(int x, int n) { return PAIRS * x + (n ^ (x * PAIRS / 8 & (PAIRS - 1))); }

// 16 of conv_mid's outputs, from 16·o on, for the columns of this warp: `rows` rows of `mid`, [row][MID_WIDTH] pixels.
// `features` begins at this block's first row, its first pixel is in `first_column`.
DEVICE void run_mid(uint4* mid, const Pairs* features, const uint4* weights, int first_column, int columns, int rows,
                    int o, int warp, int lane) {
    const int t = lane % 4, group = lane / 4;
    uint4 taps[9][STEPS];
#pragma unroll
    for (int i = 0; i < 9 * STEPS; ++i) taps[i / STEPS][i % STEPS] = weights[32 * (STEPS * i + o) + lane];
    const uint4 bias_bits = weights[MID_BIAS + 4 * o + t];
    const float bias[4] = {as_float(bias_bits.x), as_float(bias_bits.y), as_float(bias_bits.z), as_float(bias_bits.w)};
    int at[3];  // where the pixels are that the taps of a column multiply; eight pixels on it is the same
#pragma unroll
    for (int dx = 0; dx < 3; ++dx) at[dx] = 4 * place_of(first_column + 16 * warp + group + dx) + t;
    unsigned* out[2];
#pragma unroll
    for (int n = 0; n < 2; ++n)
        out[n] = reinterpret_cast<unsigned*>(mid + place_in_mid(16 * warp + group, 2 * o + n)) + t;
    float sums[3][2][4];  // [rows below this one that it still lacks]
#pragma unroll
    for (int i = 0; i < 24; ++i) sums[i / 8][i / 4 % 2][i % 4] = 0.f;
#pragma unroll(STEPS == 1 ? 4 : 1)
    for (int row = 0; row < rows + 2; ++row) {
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
            half2 near[PAIRS], far[PAIRS];  // rows group and group + 8 of the left operand
            take(near, features[at[dx]]);
            take(far, features[at[dx] + 32]);
#pragma unroll
            for (int k = 0; k < STEPS; ++k) {
                half2 a[4] = {near[2 * k], far[2 * k], near[2 * k + 1], far[2 * k + 1]};
#pragma unroll
                for (int dy = 2; dy >= 0; --dy) {  // then sums move on where they are added to
                    uint4 tap = taps[3 * dy + dx][k];
                    multiply_add(sums[2 - dy][0], a, make_uint2(tap.x, tap.y));
                    multiply_add(sums[2 - dy][1], a, make_uint2(tap.z, tap.w));
                }
            }
        }
        features += columns * 4;
        if (row < 2) continue;
#pragma unroll
        for (int n = 0; n < 2; ++n) {
#pragma unroll
            for (int h = 0; h < 2; ++h)
                out[n][((row - 2) * MID_WIDTH + 8 * h) * 4 * PAIRS] = pack(sums[0][n][2 * h], sums[0][n][2 * h + 1]);
        }
    }
}

// The planes, by array.
struct Frame {
    const u8* planes[3];
    int pitches[3];
    u8* outs[3];
    int out_pitches[3];
    int width, height;  // of the source
};

// The cells of a warp.
struct Cells {
    int first_x, count_x, first_y, count_y;
};

// One column of samples of the target, of the components that group G stands for (they share size and filters):
// where its detail is, and where the base path's horizontal filter reads the source.
template <class G>
struct Column {
    const u8* plane;
    int pitch, last_row;
    int offsets[G::COLUMN_TAPS];  // bytes from the start of a row
    u8* out;  // null: no sample of the picture
    int out_pitch, last_y;
    int detail;  // index into the warp's cells
    bool pads;   // also writes the sample of the pixel that carries nothing
    const u8* mixed[G::MIXES ? SOURCE_COMPONENTS : 1];  // the planes of all components, where filters mix them
    int mixed_pitches[G::MIXES ? SOURCE_COMPONENTS : 1];
    float kept[G::FILTERS][G::ROW_TAPS];  // rows of the source that the next sample needs, filtered
};

DEVICE int floor_divide(int value, int by) { return (value >= 0 ? value : value - by + 1) / by; }

// The base path's horizontal filters at one phase.
template <class G>
struct RowFilter {
    int weights[G::FILTERS][G::COLUMN_TAPS];
};

template <class G>
DEVICE void start_column(Column<G>& column, RowFilter<G>& filter, int component, int place, bool used,
                         const Frame& frame, const Cells& own) {
    const int cell = place / G::BLOCK_X;
    const int x = (own.first_x + cell) * G::BLOCK_X + place % G::BLOCK_X - G::LEAD_X;
    const int size = (frame.width * SCALE + G::FACTOR_X - 1) / G::FACTOR_X;
    const int base = floor_divide(x, G::PHASES_X), phase = x - base * G::PHASES_X;
#pragma unroll
    for (int c = G::COMPONENT; c < G::COMPONENT + G::COMPONENTS; ++c) {
        if (c != component) continue;
        const int bytes = sizeof(SourceSample), last = (frame.width - 1) >> source_log_x(c);
        column.plane = frame.planes[source_array(c)] + source_offset(c) * bytes;
        column.pitch = frame.pitches[source_array(c)];
        column.last_row = (frame.height - 1) >> source_log_y(c);
#pragma unroll
        for (int k = 0; k < G::COLUMN_TAPS; ++k)
            column.offsets[k] = clamp_index(base * G::STEP_X + G::FIRST_COLUMN + k, last) * source_stride(c) * bytes;
        const int out_bytes = sizeof(TargetSample);
        column.out = frame.outs[target_array(c)] + (x * target_stride(c) + target_offset(c)) * out_bytes;
        column.out_pitch = frame.out_pitches[target_array(c)];
        column.last_y = (frame.height * SCALE + G::FACTOR_Y - 1) / G::FACTOR_Y - 1;
    }
    if (G::MIXES) {
#pragma unroll
        for (int c = 0; c < SOURCE_COMPONENTS; ++c) {
            column.mixed[c] = frame.planes[source_array(c)] + source_offset(c) * sizeof(SourceSample);
            column.mixed_pitches[c] = frame.pitches[source_array(c)];
        }
    }
#pragma unroll
    for (int f = 0; f < G::FILTERS; ++f) {
#pragma unroll
        for (int k = 0; k < G::COLUMN_TAPS; ++k) filter.weights[f][k] = G::column_weight(f, phase, k);
    }
    if (!used || cell >= own.count_x || x < 0 || x >= size) column.out = nullptr;
    const int channel = G::CHANNEL + (component - G::COMPONENT) * G::BLOCK_Y * G::BLOCK_X;
    column.detail = cell * CELL_PITCH + channel + place % G::BLOCK_X;
    column.pads = TARGET_PADDING >= 0 && component == 0;
}

DEVICE int sample_at(const u8* samples) { return *reinterpret_cast<const SourceSample*>(samples) >> SOURCE_SHIFT; }

// The base path's horizontal filters at this column, over a row of the source. Components that are mixed have one
// grid and one stride.
template <class G>
DEVICE void filter_row(float (&result)[G::FILTERS], const Column<G>& column, const RowFilter<G>& filter, int row) {
    const int at = clamp_index(row, column.last_row);
    const unsigned start = at * column.pitch;
    if constexpr (G::MIXES) {
#pragma unroll
        for (int f = 0; f < G::FILTERS; ++f) result[f] = 0.f;
#pragma unroll
        for (int k = 0; k < G::COLUMN_TAPS; ++k) {
            const float own = static_cast<float>(sample_at(column.plane + (start + column.offsets[k])));
            float codes[SOURCE_COMPONENTS];
#pragma unroll
            for (int c = 0; c < SOURCE_COMPONENTS; ++c) {
                const unsigned place = at * column.mixed_pitches[c] + column.offsets[k];
                codes[c] = static_cast<float>(sample_at(column.mixed[c] + place));
            }
#pragma unroll
            for (int f = 0; f < G::FILTERS; ++f) {
                float mixed = G::own(f) * own;
#pragma unroll
                for (int c = 0; c < SOURCE_COMPONENTS; ++c) mixed += G::shared(f, c) * codes[c];
                result[f] += mixed * static_cast<float>(filter.weights[f][k]);
            }
        }
    } else {
        int sums[G::FILTERS];
#pragma unroll
        for (int f = 0; f < G::FILTERS; ++f) sums[f] = 0;
#pragma unroll
        for (int k = 0; k < G::COLUMN_TAPS; ++k) {
            const int code = sample_at(column.plane + (start + column.offsets[k]));
#pragma unroll
            for (int f = 0; f < G::FILTERS; ++f) sums[f] += code * filter.weights[f][k];
        }
#pragma unroll
        for (int f = 0; f < G::FILTERS; ++f) result[f] = static_cast<float>(sums[f]);
    }
}

template <class G>
DEVICE void keep_row(Column<G>& column, const RowFilter<G>& filter, int row) {
    float filtered[G::FILTERS];
    filter_row(filtered, column, filter, row);
#pragma unroll
    for (int f = 0; f < G::FILTERS; ++f) {
#pragma unroll
        for (int i = 0; i + 1 < G::ROW_TAPS; ++i) column.kept[f][i] = column.kept[f][i + 1];
        column.kept[f][G::ROW_TAPS - 1] = filtered[f];
    }
}

// Where sample y's filter begins, in whole cells of the filter, and which of the filter's phases it is.
template <class G>
DEVICE int phase_of(int y) {
    return y - floor_divide(y, G::PHASES_Y) * G::PHASES_Y;
}

template <class G>
DEVICE void keep_first_rows(Column<G>& column, const RowFilter<G>& filter, int first_cell) {
    const int y = first_cell * G::BLOCK_Y - G::LEAD_Y;
    // Phase 0 is where finish_cells takes a row more.
    const int base = floor_divide(y, G::PHASES_Y) - (phase_of<G>(y) == 0 ? 1 : 0);
    for (int k = 0; k < G::ROW_TAPS; ++k) keep_row(column, filter, base + G::FIRST_ROW + k);
}

// Base + detail → codes, for the samples of one row of cells. True if all of them were numbers.
template <class G>
DEVICE bool finish_cells(Column<G>& column, const RowFilter<G>& filter, const float* cells, int row) {
    constexpr bool even = G::BLOCK_Y % G::PHASES_Y == 0;  // then the phases are known here
    bool good = true;
#pragma unroll
    for (int a = 0; a < G::BLOCK_Y; ++a) {
        const int y = row * G::BLOCK_Y + a - G::LEAD_Y;
        const int phase = even ? (a - G::LEAD_Y + G::BLOCK_Y) % G::PHASES_Y : phase_of<G>(y);
        if (phase == 0) keep_row(column, filter, floor_divide(y, G::PHASES_Y) + G::FIRST_ROW + G::ROW_TAPS - 1);
        float value = cells[column.detail + a * G::BLOCK_X] + G::OFFSET;
#pragma unroll
        for (int f = 0; f < G::FILTERS; ++f) {
#pragma unroll
            for (int k = 0; k < G::ROW_TAPS; ++k) value += G::row_weight(f, phase, k) * column.kept[f][k];
        }
        good = good && value > -1e9f && value < 1e9f;  // no code is anywhere near
        if (column.out != nullptr && y >= 0 && y <= column.last_y) {
            const int code = clamp(round_even(value), 0, TARGET_PEAK) << TARGET_SHIFT;
            TargetSample* pixel = reinterpret_cast<TargetSample*>(column.out + static_cast<unsigned>(y * column.out_pitch));
            *pixel = static_cast<TargetSample>(code);
            if (TARGET_PADDING >= 0 && column.pads) pixel[TARGET_PADDING - target_offset(0)] = TARGET_PEAK;
        }
    }
    return good;
}

// All columns of group G that this lane makes.
template <class G>
struct Columns {
    static constexpr int EACH = 16 * G::BLOCK_X, NUMBER = G::COMPONENTS * EACH;  // of a component, of the warp
    static constexpr int COUNT = (NUMBER + 31) / 32;
    // A lane's columns are 32 apart: where phases repeat that often, one filter does for all of them.
    static constexpr bool ONE_PHASE = 32 % G::PHASES_X == 0 && EACH % G::PHASES_X == 0;
    Column<G> column[COUNT];
    RowFilter<G> filter[ONE_PHASE ? 1 : COUNT];

    DEVICE_METHOD void start(const Frame& frame, const Cells& own, int lane) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            // Where a lane's column is of one component whatever the lane, that is a constant here.
            const int number = 32 * i + lane, index = number < NUMBER ? number : NUMBER - 1;
            const int component = EACH % 32 == 0 ? 32 * i / EACH : index / EACH;
            const int place = EACH % 32 == 0 ? 32 * i % EACH + lane : index % EACH;
            RowFilter<G> its_filter;
            start_column(column[i], its_filter, G::COMPONENT + component, place, number < NUMBER, frame, own);
            if (!ONE_PHASE || i == 0) filter[i] = its_filter;
            keep_first_rows(column[i], filter[ONE_PHASE ? 0 : i], own.first_y);
        }
    }

    DEVICE_METHOD bool finish(const float* cells, int row) {
        bool good = true;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) good = finish_cells(column[i], filter[ONE_PHASE ? 0 : i], cells, row) && good;
        return good;
    }
};

// Those of all groups of a pass.
template <class... Groups>
struct AllColumns : Columns<Groups>... {};

// A pass: the samples of the planes that the Groups stand for. It computes TILES of the tail's tiles. `cells` is
// memory of this warp for a row of cells; `good` becomes false where a sample was no number.
template <int FIRST_TILE, int TILES, bool HOLDS_TAPS, class... Groups>
DEVICE void run_tail(bool& good, const Frame& frame, const Cells& own, const uint4* mid, float* cells,
                     const uint4* weights, int pointed, int lane) {
    constexpr int TAPS = TAIL_ROWS * TAIL_COLUMNS * STEPS * TILES;
    const int t = lane % 4, group = lane / 4;
    AllColumns<Groups...> columns;
    (columns.Columns<Groups>::start(frame, own, lane), ...);
    const float* its_bias = reinterpret_cast<const float*>(weights + TAIL_BIAS) + 8 * FIRST_TILE + 2 * t;
    float bias[TILES][2];
#pragma unroll
    for (int i = 0; i < 2 * TILES; ++i) bias[i / 2][i % 2] = its_bias[8 * (i / 2) + i % 2];
    const uint2* tail = reinterpret_cast<const uint2*>(weights + TAIL) + 32 * FIRST_TILE + lane;
    uint2 held[HOLDS_TAPS ? TAPS : 1];
#pragma unroll
    for (int i = 0; HOLDS_TAPS && i < TAPS; ++i) held[i] = tail[32 * (i / TILES * TAIL_TILES + i % TILES)];
    // Where in a row the pixels are that the taps of a column multiply, in bytes.
    const auto place = [=](int dx, int k) { return 16 * place_in_mid(pointed + dx, 2 * k + lane / 16); };
    int places[TAIL_COLUMNS][STEPS];
#pragma unroll
    for (int i = 0; i < TAIL_COLUMNS * STEPS; ++i) places[i / STEPS][i % STEPS] = place(i / STEPS, i % STEPS);
    float sums[TAIL_ROWS][TILES][4];  // [rows below this one that it still lacks]
#pragma unroll
    for (int i = 0; i < TAIL_ROWS * TILES * 4; ++i) sums[i / (4 * TILES)][i / 4 % TILES][i % 4] = 0.f;
#pragma unroll 1
    for (int row = 0; row < own.count_y + TAIL_ROWS - 1; ++row) {
#pragma unroll
        for (int n = 0; n < TILES; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
#pragma unroll
                for (int lacks = 0; lacks + 1 < TAIL_ROWS; ++lacks) sums[lacks][n][i] = sums[lacks + 1][n][i];
                sums[TAIL_ROWS - 1][n][i] = bias[n][i % 2];
            }
        }
        const u8* pixels = reinterpret_cast<const u8*>(mid + row * MID_WIDTH * PAIRS);
        // Taps that are not held come a column at a time: else the compiler reads ahead more than it has room for.
#pragma unroll(HOLDS_TAPS ? TAIL_COLUMNS : 1)
        for (int dx = 0; dx < TAIL_COLUMNS; ++dx) {
#pragma unroll
            for (int k = 0; k < STEPS; ++k) {
                half2 a[4];
                load_matrices(a, pixels + (HOLDS_TAPS ? places[dx][k] : place(dx, k)));
#pragma unroll
                for (int dy = TAIL_ROWS - 1; dy >= 0; --dy) {  // then sums move on where they are added to
#pragma unroll
                    for (int n = 0; n < TILES; ++n) {
                        const int step = (dy * TAIL_COLUMNS + dx) * STEPS + k;
                        multiply_add(sums[TAIL_ROWS - 1 - dy][n], a,
                                     HOLDS_TAPS ? held[step * TILES + n] : tail[32 * (step * TAIL_TILES + n)]);
                    }
                }
            }
        }
        if (row < TAIL_ROWS - 1) continue;
#pragma unroll
        for (int n = 0; n < TILES; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) cells[(group + i / 2 * 8) * CELL_PITCH + 8 * n + 2 * t + i % 2] = sums[0][n][i];
        }
        sync_warp();
        const int made = own.first_y + row - (TAIL_ROWS - 1);
        ((good = columns.Columns<Groups>::finish(cells, made) && good), ...);
        sync_warp();
    }
}

KERNEL(head, 32 * HEAD_WARPS, 2)
(const u8* plane0, const u8* plane1, const u8* plane2, u8* out0, u8* out1, u8* out2, const Pairs* features,
 const uint4* weights, unsigned* status, int pitch0, int pitch1, int pitch2, int out_pitch0, int out_pitch1,
 int out_pitch2, int width, int height, int columns, int cells_x, int cells_y) {
    SHARED_MEMORY(shared);
    uint4* mid = shared;
    const int lane = thread_index() % 32, warp = thread_index() / 32;
    float* cells = reinterpret_cast<float*>(mid + MID_ROWS * MID_WIDTH * PAIRS) + warp * 16 * CELL_PITCH;
    const int first_x = block_x() * CELLS_X, first_y = block_y() * CELLS_Y;
    const int count_y = cells_y - first_y < CELLS_Y ? cells_y - first_y : CELLS_Y;
    const int count_x = cells_x - first_x < CELLS_X ? cells_x - first_x : CELLS_X;
    if (16 * warp < count_x + TAIL_COLUMNS - 1) {
        const Pairs* first = features + first_y * columns * 4;
        for (int o = 0; o < STEPS; ++o)
            run_mid(mid, first, weights, LEAD + first_x, columns, count_y + TAIL_ROWS - 1, o, warp, lane);
    }
    sync_block();
    if (16 * warp >= count_x) return;

    const Frame frame = {{plane0, plane1, plane2}, {pitch0, pitch1, pitch2}, {out0, out1, out2},
                         {out_pitch0, out_pitch1, out_pitch2}, width, height};
    const Cells own = {first_x + 16 * warp, count_x - 16 * warp, first_y, count_y};
    // The row of the left operand that this lane points at; cells beyond the last repeat it, and are not stored.
    const int pointed = clamp_index(16 * warp + lane % 16, count_x - 1);
    bool good = true;
    // What passes compute alike is not kept from one to the next: that would take the registers again.
#define PASS(...) run_tail<__VA_ARGS__>(good, frame, own, mid, cells, weights, pointed, renewed(lane));
    EACH_PASS
#undef PASS
    if (!good) raise_flag(status);
}
