// Planes in and planes out: samples as floats, chroma to the luma grid, base path, rounding. Rows here are plain:
// sample after sample.
#pragma once

#include "abi.h"
#include "simd.h"

INLINE int clamped(int value, int size) { return value < 0 ? 0 : value >= size ? size - 1 : value; }
INLINE int floor_div(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

template <typename T>
static void read_samples(const uint8_t *row, const Plane &plane, int first, int count, float centre, float *to) {
    const int inside_first = clamped(-first, count + 1);
    const int inside_end = clamped(plane.columns - first, count + 1);
    const int step = plane.step, shift = plane.shift;
    const auto one = [=](int at) {
        T sample;
        memcpy(&sample, row + (int64_t)at * step, sizeof(T));
        return (float)(sample >> shift) - centre;
    };
    if (step == sizeof(T)) {
        const T *from = (const T *)row + first;
        for (int i = inside_first; i < inside_end; i++) to[i] = (float)(from[i] >> shift) - centre;
    } else {
        for (int i = inside_first; i < inside_end; i++) to[i] = one(first + i);
    }
    for (int i = 0; i < inside_first; i++) to[i] = one(0);
    for (int i = inside_end > inside_first ? inside_end : inside_first; i < count; i++) to[i] = one(plane.columns - 1);
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

// Columns first ... end - 1 of the filter's result, horizontally; `from` begins where columns_read says.
static void filter_columns(const float *from, const Bank &bank, int first, int end, bool add, float *to) {
    const int cell = floor_div(first, bank.phases);
    for (int p = 0; p < bank.phases; p++) {
        int column = cell * bank.phases + p;
        const float *x = from;
        if (column < first) {
            column += bank.phases;
            x += bank.step;
        }
        const float *weights = bank.weights + p * bank.taps;
        for (; column < end; column += bank.phases, x += bank.step) {
            float sum = add ? to[column - first] : 0;
            for (int k = 0; k < bank.taps; k++) sum += weights[k] * x[k];
            to[column - first] = sum;
        }
    }
}

// Row `row` of the luma grid, columns first ... first + count - 1, of one component.
// scratch: three rows of the widest that is read.
static void input_row(const Plane &plane, const Input &input, int row, int first, int count, float centre,
                      float *scratch, int64_t pitch, float *to) {
    if (input.rows.phases == 1 && input.columns.phases == 1) {
        read_row(plane, row, first, count, centre, to);
        return;
    }
    int from, end;
    columns_read(input.columns, first, first + count, &from, &end);
    filter_rows(plane, input.rows, row, from, end - from, centre, scratch, scratch + pitch);
    filter_columns(scratch + pitch, input.columns, first, first + count, false, to);
}

// Adds the base path of row `row`, columns first ... end - 1, to `to`.
static void add_base(const Program *program, const Frame *frame, const Output &output, int row, int first, int end,
                     float *scratch, int64_t pitch, float *to) {
    for (int t = 0; t < output.terms; t++) {
        const Term &term = output.term[t];
        int from, stop;
        columns_read(term.columns, first, end, &from, &stop);
        filter_rows(frame->inputs[term.input], term.rows, row, from, stop - from, program->centre, scratch,
                    scratch + pitch);
        filter_columns(scratch + pitch, term.columns, first, end, true, to);
    }
}

template <typename T>
static void write_samples(const float *from, const Plane &plane, uint8_t *row, int first, int count, float peak) {
    const int step = plane.step, shift = plane.shift;
    T *to = (T *)row + first;
    for (int i = 0; i < count; i++) {
        const float value = from[i] < 0 ? 0 : from[i] > peak ? peak : from[i];  // NaN stays: it becomes 0
        // Adding 2^23 leaves the integer, rounded half to even, in the low bits.
        const float moved = value + 8388608.0f;
        int32_t bits;
        memcpy(&bits, &moved, 4);
        const T sample = (T)((bits & 0x7fffff) << shift);
        if (step == sizeof(T)) {
            to[i] = sample;
        } else {
            memcpy(row + (int64_t)(first + i) * step, &sample, sizeof(T));
        }
    }
}

// The samples first ... first + count - 1 of row `row` of a component, rounded and clipped.
static void write_row(const float *from, const Plane &plane, int row, int first, int count, float peak) {
    uint8_t *to = plane.samples + row * plane.row_bytes;
    if (plane.bytes == 4) {
        memcpy(to + first * 4, from, count * 4);
    } else if (plane.bytes == 1) {
        write_samples<uint8_t>(from, plane, to, first, count, peak);
    } else {
        write_samples<uint16_t>(from, plane, to, first, count, peak);
    }
}
