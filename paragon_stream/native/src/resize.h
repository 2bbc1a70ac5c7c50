// From the network's scale to another size, one component at a time, by the tables of framejob/resample.py.
//
// L rows of the result at a time: their vertical sums are transposed while they are in registers, so that the
// horizontal sums, too, read whole vectors: a lane is a row there.
#pragma once

#include "planes.h"
#include "strip.h"

struct Resizer {
    const Resize *resize;
    const Plane *from;
    int64_t pitch;          // of the rows of the result
    float *across, *rows;   // vertical sums, [column][row]; the result, row by row

    void make(Scratch &memory, const Resize *r, const Plane *source) {
        resize = r;
        from = source;
        pitch = (r->columns.size + L - 1) / L * L;
        across = memory.floats((int64_t)(source->columns + L) * L);
        rows = memory.floats(pitch * L);
    }

    // Rows [top, bottom) of the result, into the plane `to`.
    void run(const Plane &to, int top, int bottom) {
        for (int row = top; row < bottom; row += L) {
            for (int x = 0; x < from->columns; x += L) vertically(row, x);
            for (int i = 0; i < resize->columns.size; i += L) horizontally(i);
            for (int r = 0; r < L && row + r < bottom; r++) {
                write_row(rows + r * pitch, to, row + r, 0, resize->columns.size, resize->peak);
            }
        }
    }

    // Columns x ... x + L - 1 of L rows' vertical sums. Rows of `from` have room for whole vectors.
    void vertically(int row, int x) {
        const Table &table = resize->rows;
        V sum[L];
        UNROLL for (int r = 0; r < L; r++) {
            const int at = clamped(row + r, table.size) * table.taps;
            sum[r] = V{};
            for (int k = 0; k < table.taps; k++) {
                const uint8_t *line = from->samples + table.places[at + k] * from->row_bytes;
                sum[r] += table.weights[at + k] * load((const float *)line + x);
            }
        }
        transpose(sum);
        UNROLL for (int l = 0; l < L; l++) store(across + (int64_t)(x + l) * L, sum[l]);
    }

    // Samples i ... i + L - 1 of L rows.
    void horizontally(int i) {
        const Table &table = resize->columns;
        V sum[L];
        UNROLL for (int l = 0; l < L; l++) {
            const int at = clamped(i + l, table.size) * table.taps;
            sum[l] = V{};
            for (int k = 0; k < table.taps; k++) {
                sum[l] += table.weights[at + k] * load(across + (int64_t)table.places[at + k] * L);
            }
        }
        transpose(sum);
        UNROLL for (int r = 0; r < L; r++) store(rows + r * pitch + i, sum[r]);
    }
};
