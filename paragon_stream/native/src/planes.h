// Planes in and planes out: samples as floats, chroma to the luma grid, rounding. Rows here are plain:
// sample after sample.
#pragma once

#include "abi.h"
#include "simd.h"

INLINE int clamped(int value, int size) { return value < 0 ? 0 : value >= size ? size - 1 : value; }
INLINE int floor_div(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

// Samples of a component that shares its rows with `n` - 1 others are copied through this many at a time: arithmetic
// on neighbours is several times as fast as on samples apart.
enum { APART = 256 };

template <typename T, int n> static void gather(const T *row, int count, T *to) {
    for (int i = 0; i < count; i++) to[i] = row[i * n];
}
template <typename T, int n> static void scatter(const T *from, int count, T *row) {
    for (int i = 0; i < count; i++) row[i * n] = from[i];
}

template <typename T>
static void read_samples(const uint8_t *row, const Plane &plane, int first, int count, float centre, float *to) {
    const int inside_first = clamped(-first, count + 1);
    const int inside_end = clamped(plane.columns - first, count + 1);
    const int step = plane.step, shift = plane.shift;
    const auto some = [=](const T *from, int begin, int end) {
        for (int i = begin; i < end; i++) to[i] = (float)(from[i - begin] >> shift) - centre;
    };
    if (step == sizeof(T)) {
        some((const T *)row + first + inside_first, inside_first, inside_end);
    } else {
        T near[APART];
        for (int i = inside_first; i < inside_end; i += APART) {
            const int end = inside_end - i < APART ? inside_end : i + APART;
            const T *from = (const T *)(row + (int64_t)(first + i) * step);
            switch (step / sizeof(T)) {
                case 2: gather<T, 2>(from, end - i, near); break;
                case 3: gather<T, 3>(from, end - i, near); break;
                default: gather<T, 4>(from, end - i, near);
            }
            some(near, i, end);
        }
    }
    const auto edge = [=](int at, int begin, int end) {
        const float value = (float)(*(const T *)(row + (int64_t)at * step) >> shift) - centre;
        for (int i = begin; i < end; i++) to[i] = value;
    };
    edge(0, 0, inside_first);
    edge(plane.columns - 1, inside_end > inside_first ? inside_end : inside_first, count);
}

// Samples first ... first + count - 1 of a row, centred; beyond the plane's edges the samples there.
static void read_row(const Plane &plane, int row, int first, int count, float centre, float *to) {
    const uint8_t *from = plane.samples + clamped(row, plane.rows) * plane.row_bytes;
    if (plane.bytes == 1) {
        read_samples<uint8_t>(from, plane, first, count, centre, to);
    } else {
        read_samples<uint16_t>(from, plane, first, count, centre, to);
    }
}

// Row `row` of the filter's result, vertically: `count` of the plane's columns from `first` on, into `to`.
static void filter_rows(const Plane &plane, const Bank &bank, int row, int first, int count, float centre,
                        float *scratch, float *to) {
    const int cell = floor_div(row, bank.phases);
    const float *weights = bank.weights + (row - cell * bank.phases) * bank.taps;
    const int start = cell * bank.step + bank.first;
    if (bank.taps == 1 && weights[0] == 1) {
        read_row(plane, start, first, count, centre, to);
        return;
    }
    memset(to, 0, count * sizeof(float));
    for (int k = 0; k < bank.taps; k++) {
        const float weight = weights[k];
        if (weight == 0) continue;
        read_row(plane, start + k, first, count, centre, scratch);
        for (int i = 0; i < count; i++) to[i] += weight * scratch[i];
    }
}

// Where the input of columns first ... end - 1 of a filter's result begins and ends.
INLINE void columns_read(const Bank &bank, int first, int end, int *from, int *to) {
    *from = floor_div(first, bank.phases) * bank.step + bank.first;
    *to = floor_div(end - 1, bank.phases) * bank.step + bank.first + bank.taps;
}

// to[i * phases + p] = from[p * pitch + i]
static void interleave(float *to, const float *from, int64_t pitch, int phases, int count) {
    switch (phases) {
        case 1:
            memcpy(to, from, count * sizeof(float));
            break;
        case 2:
            for (int i = 0; i < count; i++) {
                to[2 * i] = from[i];
                to[2 * i + 1] = from[pitch + i];
            }
            break;
        default:
            for (int p = 0; p < phases; p++) {
                for (int i = 0; i < count; i++) to[i * phases + p] = from[p * pitch + i];
            }
    }
}

// Columns first ... end - 1 of the filter's result, horizontally; `from` begins where columns_read says.
// scratch: as many floats as whole cells make.
static void filter_columns(const float *from, const Bank &bank, int first, int end, bool add, float *scratch,
                           float *to) {
    const int cell = floor_div(first, bank.phases);
    const int count = floor_div(end - 1, bank.phases) + 1 - cell;
    float *phases = scratch, *whole = scratch + (int64_t)count * bank.phases;
    for (int p = 0; p < bank.phases; p++) {
        float *sum = phases + (int64_t)p * count;
        for (int k = 0; k < bank.taps; k++) {
            const float weight = bank.weights[p * bank.taps + k];
            const float *x = from + k;
            if (k == 0) {
                if (bank.step == 1) {
                    for (int i = 0; i < count; i++) sum[i] = weight * x[i];
                } else {
                    for (int i = 0; i < count; i++) sum[i] = weight * x[(int64_t)i * bank.step];
                }
            } else if (weight != 0) {
                if (bank.step == 1) {
                    for (int i = 0; i < count; i++) sum[i] += weight * x[i];
                } else {
                    for (int i = 0; i < count; i++) sum[i] += weight * x[(int64_t)i * bank.step];
                }
            }
        }
    }
    interleave(whole, phases, count, bank.phases, count);
    const float *at = whole + first - cell * bank.phases;
    if (add) {
        for (int i = 0; i < end - first; i++) to[i] += at[i];
    } else {
        memcpy(to, at, (end - first) * sizeof(float));
    }
}

// Row `row` of the luma grid, columns first ... first + count - 1, of one component.
// scratch: two rows of `pitch`, and two more.
static void input_row(const Plane &plane, const Input &input, int row, int first, int count, float centre,
                      float *scratch, int64_t pitch, float *to) {
    if (input.rows.phases == 1 && input.columns.phases == 1) {
        read_row(plane, row, first, count, centre, to);
        return;
    }
    int from, end;
    columns_read(input.columns, first, first + count, &from, &end);
    filter_rows(plane, input.rows, row, from, end - from, centre, scratch, scratch + pitch);
    filter_columns(scratch + pitch, input.columns, first, first + count, false, scratch + 2 * pitch, to);
}

// The nearest integer, half to even, of 0 ... peak; 0 for what is no number.
INLINE int32_t rounded(float value, float peak) {
    const float held = value > 0 ? (value < peak ? value : peak) : 0;
    const float moved = held + 8388608.0f;  // 2^23: no room is left for fractions
    int32_t bits;
    memcpy(&bits, &moved, 4);
    return bits & 0x7fffff;
}

// Codes of `count` values, one beside the other.
template <typename T> static void to_codes(const float *from, int shift, int count, float peak, T *to) {
    typedef T Narrow __attribute__((vector_size(sizeof(T) * L)));
    int i = 0;
    for (; i + L <= count; i += L) {
        const V held = smaller(larger(load_loose(from + i), V{}), splat(peak));
        const Narrow codes = __builtin_convertvector(((VI)(held + 8388608.0f) & 0x7fffff) << shift, Narrow);
        memcpy(to + i, &codes, sizeof(codes));
    }
    for (; i < count; i++) to[i] = (T)(rounded(from[i], peak) << shift);
}

template <typename T>
static void write_samples(const float *from, const Plane &plane, uint8_t *row, int first, int count, float peak) {
    const int step = plane.step, shift = plane.shift;
    if (step == sizeof(T)) return to_codes(from, shift, count, peak, (T *)row + first);
    T near[APART];
    for (int i = 0; i < count; i += APART) {
        const int some = count - i < APART ? count - i : APART;
        to_codes(from + i, shift, some, peak, near);
        T *to = (T *)(row + (int64_t)(first + i) * step);
        switch (step / sizeof(T)) {
            case 2: scatter<T, 2>(near, some, to); break;
            case 3: scatter<T, 3>(near, some, to); break;
            default: scatter<T, 4>(near, some, to);
        }
    }
}

// The samples first ... first + count - 1 of row `row` of a component, rounded and clipped.
static void write_row(const float *from, const Plane &plane, int row, int first, int count, float peak) {
    uint8_t *to = plane.samples + row * plane.row_bytes;
    if (plane.bytes == 4) {
        for (int i = 0; i < count; i++) memcpy(to + (int64_t)(first + i) * plane.step, from + i, 4);
    } else if (plane.bytes == 1) {
        write_samples<uint8_t>(from, plane, to, first, count, peak);
    } else {
        write_samples<uint16_t>(from, plane, to, first, count, peak);
    }
}
