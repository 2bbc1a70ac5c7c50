// The base path: mixes of source components, enlarged by filters.
#pragma once

#include "planes.h"

// Rows of a mix, centred, as they are asked for: the latest KEPT of them, so that a filter's next row reads one new.
struct MixedRows {
    enum { KEPT = 16, SPARE = 16, FEW = 8 };  // columns on each side beyond the task's; mixes of a program

    const Program *program;
    const Frame *frame;
    const Mix *mix;
    int first, count;  // columns, on the components' grid
    int64_t pitch;
    float *rows, *scratch;
    int held[KEPT];

    // Columns that source pixels left ... right - 1 are made of. `memory` has room for `floats` of this.
    void make(const Program *p, const Frame *f, const Mix &which, int left, int right, float *memory) {
        program = p;
        frame = f;
        mix = &which;
        const int factor = p->input[which.input[0]].columns.phases;
        first = floor_div(left, factor) - SPARE;
        count = floor_div(right, factor) + 1 + SPARE - first;
        pitch = row_floats(left, right);
        rows = memory;
        scratch = memory + KEPT * pitch;
        for (int n = 0; n < KEPT; n++) held[n] = -1;
    }
    static int64_t row_floats(int left, int right) { return right - left + 2 * SPARE + 16; }
    static int64_t floats(int left, int right) { return (KEPT + 1) * row_floats(left, right); }

    // Row `number`, from column `column` on; beyond the picture the row at its edge.
    const float *row(int number, int column) {
        number = clamped(number, frame->inputs[mix->input[0]].rows);
        float *to = rows + number % KEPT * pitch;
        if (held[number % KEPT] != number) {
            held[number % KEPT] = number;
            for (int n = 0; n < mix->inputs; n++) add(n, number, to);
        }
        return to + column - first;
    }

    void add(int n, int number, float *to) const {
        const float gain = mix->gain[n];
        read_row(frame->inputs[mix->input[n]], number, first, count, program->centre, n == 0 ? to : scratch);
        if (n > 0) {
            for (int i = 0; i < count; i++) to[i] += gain * scratch[i];
        } else if (gain != 1) {
            for (int i = 0; i < count; i++) to[i] *= gain;
        }
    }
};

// Row `row` of the filter's result, vertically: columns first ... first + count - 1 of the mix, into `to`.
static void filter_rows(MixedRows &mixed, const Bank &bank, int row, int first, int count, float *to) {
    const int cell = floor_div(row, bank.phases);
    const float *weights = bank.weights + (row - cell * bank.phases) * bank.taps;
    const int start = cell * bank.step + bank.first;
    bool begun = false;
    for (int k = 0; k < bank.taps; k++) {
        const float weight = weights[k];
        if (weight == 0) continue;
        const float *x = mixed.row(start + k, first);
        if (begun) {
            for (int i = 0; i < count; i++) to[i] += weight * x[i];
        } else {
            for (int i = 0; i < count; i++) to[i] = weight * x[i];
        }
        begun = true;
    }
}

// Adds the base path of row `row`, columns first ... end - 1, to `to`. scratch: three rows of `pitch`.
static void add_base(const Output &output, MixedRows *mixed, int row, int first, int end, float *scratch,
                     int64_t pitch, float *to) {
    for (int t = 0; t < output.terms; t++) {
        const Term &term = output.term[t];
        int from, stop;
        columns_read(term.columns, first, end, &from, &stop);
        filter_rows(mixed[term.mix], term.rows, row, from, stop - from, scratch);
        filter_columns(scratch, term.columns, first, end, true, scratch + pitch, to);
    }
}
