// What every network has around its body: a strip of source rows comes in, cells of target samples go out.
#pragma once

#include "base.h"
#include "winograd.h"

enum { LINE = 64 };  // bytes: everything begins on a cache line

// Hands out parts of the caller's scratch memory; from a null pointer it only counts.
struct Scratch {
    uint8_t *base;
    int64_t used;

    float *floats(int64_t count) {
        const int64_t start = used;
        // An odd number of lines between buffers, so that equal rows of several do not compete for one set.
        int64_t lines = (count * 4 + LINE - 1) / LINE;
        lines |= 1;
        used += lines * LINE;
        return (float *)(base + start);
    }
};

// Rows of a feature map that are alive: row y is at y modulo their number.
struct Ring {
    float *rows;
    int64_t pitch;  // words from row to row
    int count, lead;

    void make(Scratch &scratch, int number, int vectors, int width, int halo) {
        count = number;
        lead = halo * width * L;
        pitch = ((int64_t)(vectors + 2 * halo + WIDE) * width * L + 2 * L) | L;  // not a multiple of a page
        rows = scratch.floats(pitch * number);
    }
    float *row(int y) const { return rows + pitch * ((y + 1024 * count) % count) + lead; }
};

// Source pixels of the largest cell along one axis; those of the others divide it.
INLINE int tail_step(const Program *program, int axis) {
    int step = 1;
    for (int t = 0; t < program->tails; t++) {
        if (program->tail[t].step[axis] > step) step = program->tail[t].step[axis];
    }
    return step;
}
// The end of the cell in which a task ends; the frame's end may lie within one.
INLINE int whole_cells(const Program *program, int axis, int end) {
    const int step = tail_step(program, axis);
    return (end + step - 1) / step * step;
}

// The source pixels that a task needs for its target samples, and how they lie in vectors.
struct Strip {
    int first;    // pixel of lane 0 of vector 0
    int vectors;  // pixel of lane l, vector j: first + l * vectors + j
    int top, bottom;   // rows of conv_mid's results
    int left, right;   // columns of them

    // `ends`: pixels on either side that the network's body needs beyond conv_mid's results. `maps`: vectors that are
    // one of the body's.
    void make(const Program *program, const Task *task, int ends, int maps) {
        const int step = tail_step(program, 1);
        top = task->top - program->reach[0][0];
        bottom = whole_cells(program, 0, task->bottom) + program->reach[0][1];
        left = task->left - program->reach[1][0];
        right = whole_cells(program, 1, task->right) + program->reach[1][1];
        first = floor_div(left - ends, step) * step;
        vectors = (right + ends - first + L - 1) / L;
        const int unit = TILE * maps;  // steps are 1, 2 or 4
        vectors = (vectors + unit - 1) / unit * unit;
    }
};

// Reads rows of the source into vectors.
struct Reader {
    const Program *program;
    const Frame *frame;
    int first, vectors;
    float *plain, *scratch;
    int64_t pitch;

    void make(Scratch &memory, const Program *p, const Frame *f, const Strip &strip) {
        program = p;
        frame = f;
        first = strip.first;
        vectors = strip.vectors;
        pitch = (int64_t)vectors * L + 64;
        plain = memory.floats(pitch);
        scratch = memory.floats(4 * pitch);
    }
    // Row `row` of the luma grid, all components, as [vector][component][lane].
    void read(int row, float *to) const {
        const int width = program->seen;
        for (int c = 0; c < width; c++) {
            input_row(frame->inputs[c], program->input[c], row, first, vectors * L, program->centre, scratch, pitch,
                      plain);
            from_plain(to + c * L, width * L, plain, vectors);
        }
    }
};

enum { MOST_TAILS = 4 };

// Vectors on either side of conv_mid's results that the tails read.
INLINE int tail_halo(const Program *program) {
    int halo = 0;
    for (int t = 0; t < program->tails; t++) {
        const int left = -program->tail[t].first[1], right = program->tail[t].taps[1] - 1 - left;
        if (left > halo) halo = left;
        if (right > halo) halo = right;
    }
    return halo;
}

// The features of row y, vectors j ... from three rows of codes: conv_in.
template <int F, int NV, int seen>
INLINE void first_of(const float *bias, const float *w, const Ring &codes, int y, int j, float *to) {
    for (int o = 0; o < F; o += BLOCK) {
        V acc[BLOCK][NV];
        UNROLL for (int k = 0; k < BLOCK; k++) {
            UNROLL for (int v = 0; v < NV; v++) acc[k][v] = splat(bias[o + k]);
        }
        for (int r = 0; r < 3; r++) {
            w = accumulate<Exact, BLOCK, NV>(acc, codes.row(y - 1 + r) + (int64_t)(j - 1) * seen * L, seen * L,
                                             3 * seen, w);
        }
        UNROLL for (int k = 0; k < BLOCK; k++) {
            UNROLL for (int v = 0; v < NV; v++) store(to + (v * F + o + k) * L, acc[k][v]);
        }
    }
}
template <int F, int NV>
INLINE void first_features(const Program *program, const Frame *frame, const Ring &codes, int y, int j, float *to) {
    if constexpr (NV > DENSE) {
        first_features<F, DENSE>(program, frame, codes, y, j, to);
        first_features<F, NV - DENSE>(program, frame, codes, y, j + DENSE, to + DENSE * F * L);
    } else if (program->seen == 1) {
        first_of<F, NV, 1>(frame->first_bias, program->first, codes, y, j, to);
    } else {
        first_of<F, NV, 3>(frame->first_bias, program->first, codes, y, j, to);
    }
}

// conv_mid: takes rows of features, makes rows of results. Its bias is in the tails'. Exact in every form: in tiles,
// fp32 costs what bf16 or fp16 would cost without, and smooth areas stay smooth.
template <int F> struct Middle {
    const Program *program;
    int vectors;
    Ring products;  // of the latest three rows

    void make(Scratch &memory, const Program *p, int count) {
        program = p;
        vectors = count;
        products.make(memory, 3, vectors / TILE, MID_PRODUCTS * F, 0);
    }

    // `row`: in fp32, with a vector beyond each end.
    void take(int y, const float *row) { to_products<MID_PRODUCTS, F>(products.row(y), row, 1, vectors / TILE); }

    void compute(int y, float *to) const {
        const float *rows[3];
        for (int r = 0; r < 3; r++) rows[r] = products.row(y - 1 + r);
#define WORK(n) some<n>(rows, to, j)
        IN_GROUPS(DENSE, 0, vectors / TILE, WORK);
#undef WORK
        wrap_ends<Exact>(to, vectors, F, tail_halo(program));
    }

    template <int NV> __attribute__((noinline)) void some(const float *const *rows, float *to, int tile) const {
        const float *w = program->mid;
        for (int o = 0; o < F; o += BLOCK) {
            w = tiles_of<MID_PRODUCTS, F, BLOCK, NV>(to + o * L, F * L, nullptr, rows, 3, tile, w);
        }
    }
};

// The tail's convolutions and what follows: rows of conv_mid's results in, rows of the target out.
template <int F> struct Writer {
    const Program *program;
    const Frame *frame;
    const Task *task;
    Ring mid;                   // conv_mid's results
    Ring products[MOST_TAILS];  // of them, for tails that are computed in tiles
    int first, vectors;
    float *cells, *plain, *line, *scratch;
    int64_t plain_pitch, pitch;
    MixedRows mixed[MixedRows::FEW];

    void make(Scratch &memory, const Program *p, const Frame *f, const Task *t, const Strip &strip) {
        program = p;
        frame = f;
        task = t;
        first = strip.first;
        vectors = strip.vectors;
        int rows = 1;
        for (int i = 0; i < p->tails; i++) {
            const Tail &tail = p->tail[i];
            if (tail.products) {
                products[i].make(memory, tail.taps[0], vectors / TILE, tail.products * F, 0);
            } else if (tail.taps[0] > rows) {
                rows = tail.taps[0];
            }
        }
        mid.make(memory, rows, vectors, F, tail_halo(p));
        int outputs = 1, most = 1;
        for (int i = 0; i < p->tails; i++) {
            if (p->tail[i].outputs > outputs) outputs = p->tail[i].outputs;
        }
        for (int i = 0; i < p->outputs; i++) {
            const int cell = p->output[i].cell[1];
            if (cell > most) most = cell;
        }
        plain_pitch = (int64_t)vectors * L + 16;
        cells = memory.floats((int64_t)(vectors + 16) * outputs * L);
        plain = memory.floats(plain_pitch * most);
        pitch = (int64_t)vectors * L * most + 64;
        line = memory.floats(pitch * most);
        scratch = memory.floats(3 * pitch);
        for (int i = 0; i < p->mixes; i++) {
            float *rows = memory.floats(MixedRows::floats(t->left, t->right));
            mixed[i].make(p, f, p->mix[i], t->left, t->right, rows);
        }
    }

    // After row y of conv_mid's results is there: every row of cells that it completes, and its samples.
    void after(int y) {
        for (int t = 0; t < program->tails; t++) {
            const Tail &tail = program->tail[t];
            if (tail.products) take(tail, products[t].row(y), mid.row(y));
            const int end = y - (tail.first[0] + tail.taps[0] - 1);  // source row of the last cell that is complete
            if (end % tail.step[0] == 0 && end >= task->top) cells_of(t, end / tail.step[0]);
        }
    }

    void take(const Tail &tail, float *to, const float *row) const {
        const int lead = -tail.first[1], tiles = vectors / TILE;
        switch (tail.products) {
            case 7: return to_products<7, F>(to, row, lead, tiles);
            case 8: return to_products<8, F>(to, row, lead, tiles);
        }
    }

    void cells_of(int t, int cell) {
        const Tail &tail = program->tail[t];
        const float *rows[16];
        for (int r = 0; r < tail.taps[0]; r++) {
            const int row = cell * tail.step[0] + tail.first[0] + r;
            rows[r] = tail.products ? products[t].row(row) : mid.row(row) + (int64_t)tail.first[1] * F * L;
        }
        convolve(tail, rows);
        for (int i = 0; i < program->outputs; i++) {
            if (program->output[i].tail == t) samples(tail, i, cell);
        }
    }

    void convolve(const Tail &tail, const float *const *rows) {
        const float *weights = tail.weights;
        for (int o = 0; o < tail.outputs;) {
            const int left = tail.outputs - o;
            if (left >= BLOCK) {
                weights = columns<BLOCK>(tail, rows, o, weights);
                o += BLOCK;
            } else if (BLOCK > 4 && left >= 4) {
                weights = columns<4>(tail, rows, o, weights);
                o += 4;
            } else if (left >= 2) {
                weights = columns<2>(tail, rows, o, weights);
                o += 2;
            } else {
                weights = columns<1>(tail, rows, o, weights);
                o += 1;
            }
        }
    }

    template <int OB> const float *columns(const Tail &tail, const float *const *rows, int o, const float *weights) {
        switch (tail.products) {
            case 7: return tiles<7, OB>(tail, rows, o, weights);
            case 8: return tiles<8, OB>(tail, rows, o, weights);
        }
        const int step = tail.step[1];
        const float *end = weights;
        int j = 0;
        if (step == 1) {
            enum { NV = vectors_beside(OB) };
            for (; j + NV <= vectors; j += NV) end = some<OB, NV>(tail, rows, o, weights, j);
        }
        for (; j < vectors; j += step) end = some<OB, 1>(tail, rows, o, weights, j);
        return end;
    }

    template <int n, int OB>
    const float *tiles(const Tail &tail, const float *const *rows, int o, const float *weights) {
        const float *end = weights;
#define WORK(NV)                                                                                                   \
    end = tiles_of<n, F, OB, NV>(cells + o * L, tail.outputs * L, tail.bias + o, rows, tail.taps[0], j, weights)
        IN_GROUPS(DENSE, 0, vectors / TILE, WORK);
#undef WORK
        return end;
    }

    template <int OB, int NV>
    METHOD const float *some(const Tail &tail, const float *const *rows, int o, const float *w, int j) {
        V acc[OB][NV];
        UNROLL for (int k = 0; k < OB; k++) {
            UNROLL for (int v = 0; v < NV; v++) acc[k][v] = splat(tail.bias[o + k]);
        }
        for (int r = 0; r < tail.taps[0]; r++) {
            w = accumulate<Exact, OB, NV>(acc, rows[r] + (int64_t)j * F * L, F * L, tail.taps[1] * F, w);
        }
        float *to = cells + ((int64_t)j / tail.step[1] * tail.outputs + o) * L;
        UNROLL for (int k = 0; k < OB; k++) {
            UNROLL for (int v = 0; v < NV; v++) store(to + ((int64_t)v * tail.outputs + k) * L, acc[k][v]);
        }
        return w;
    }

    // Target samples of the task along one axis: [begin, end).
    static void span(const Output &output, int axis, int step, int first, int last, int whole, int *begin, int *end) {
        const int size = axis ? output.columns : output.rows;
        *begin = first * output.cell[axis] / step;
        *end = last >= whole ? size : last * output.cell[axis] / step;
        if (*end > size) *end = size;
    }

    void samples(const Tail &tail, int index, int cell) {
        const Output &output = program->output[index];
        int top, bottom, left, right;
        span(output, 0, output.step[0], task->top, task->bottom, program->height, &top, &bottom);
        span(output, 1, output.step[1], task->left, task->right, program->width, &left, &right);
        const int across = output.cell[1], down = output.cell[0];
        const int per_lane = vectors / tail.step[1];
        // Cells of the strip: cell 0 of lane 0 is cell `origin` of the frame.
        const int origin = first / tail.step[1];
        const int first_cell = floor_div(left + output.lead[1], across);
        const int end_cell = floor_div(right - 1 + output.lead[1], across) + 1;
        for (int r = 0; r < down; r++) {
            const int row = cell * down - output.lead[0] + r;
            if (row < top || row >= bottom) continue;
            const int begin = first_cell * across - output.lead[1];  // sample of the first cell
            for (int q = 0; q < across; q++) {
                const int channel = output.channel + r * across + q;
                to_plain(plain + q * plain_pitch, cells + (int64_t)channel * L, tail.outputs * L, per_lane);
            }
            interleave(line, plain + first_cell - origin, plain_pitch, across, end_cell - first_cell);
            float *at = line + left - begin;
            for (int c = 0; c < right - left; c++) at[c] += output.offset;
            add_base(output, mixed, row, left, right, scratch, pitch, at);
            write_row(at, frame->outputs[index], row, left, right - left, output.peak);
        }
    }

    // Components that have the base path alone (alpha, chroma that a filter makes): every row of the task.
    void plain_samples() {
        for (int i = 0; i < program->outputs; i++) {
            const Output &output = program->output[i];
            if (output.tail >= 0) continue;
            int top, bottom, left, right;
            span(output, 0, output.step[0], task->top, task->bottom, program->height, &top, &bottom);
            span(output, 1, output.step[1], task->left, task->right, program->width, &left, &right);
            for (int row = top; row < bottom; row++) {
                for (int c = 0; c < right - left; c++) line[c] = output.offset;
                add_base(output, mixed, row, left, right, scratch, pitch, line);
                write_row(line, frame->outputs[i], row, left, right - left, output.peak);
            }
        }
    }
};
