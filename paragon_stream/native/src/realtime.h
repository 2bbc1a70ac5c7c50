// Realtime: everything in one go over a strip, row by row. Each row of the source completes one row of every stage,
// a little further up each time; only the rows that are still needed are kept. Features are fp32 in every form.
#pragma once

#include "pointwise.h"
#include "strip.h"

enum { MOST_BLOCKS = 8 };

template <class P, int F> struct Realtime {
    typedef typename P::Maps Maps;
    enum { wide = 2 * F };

    const Program *program;
    const Frame *frame;
    Strip strip;
    Reader reader;
    Writer<F> writer;
    Middle<F> middle;
    int vectors;    // of a row of `expanded`
    int64_t apart;  // words from features to those of the same vector's second half, in fp16
    Ring codes, features[MOST_BLOCKS + 1], expanded[MOST_BLOCKS];
    float *activated, *operands;

    void make(Scratch &memory, const Program *p, const Frame *f, const Task *task) {
        program = p;
        frame = f;
        strip.make(p, task, p->blocks + 2, Maps::vectors);
        vectors = strip.vectors / Maps::vectors;
        apart = (int64_t)vectors * F * L;
        reader.make(memory, p, f, strip);
        codes.make(memory, 3, strip.vectors, p->seen, 1);
        for (int b = 0; b < p->blocks; b++) {
            features[b].make(memory, 2, strip.vectors, F, 0);
            expanded[b].make(memory, 3, vectors, wide, 1);
        }
        features[p->blocks].make(memory, 1, strip.vectors, F, 1);
        middle.make(memory, p, strip.vectors);
        activated = memory.floats(WIDE * wide * L);
        operands = memory.floats(WIDE * F * L);
        // Every number of it has to be finite, as tile registers read beyond what was written.
        if (memory.base) memset(operands, 0, WIDE * F * L * sizeof(float));
        writer.make(memory, p, f, task, strip);
    }

    void run() {
        const int blocks = program->blocks;
        writer.plain_samples();
        // Block b needs `blocks + 1 - b` rows more on either side than conv_mid's results have.
        const int end = strip.bottom + blocks + 2;
        for (int y = strip.top - blocks - 2; y < end; y++) {
            reader.read(y, codes.row(y));
            wrap_ends<Exact>(codes.row(y), strip.vectors, program->seen, 1);
            for (int b = 0; b <= blocks; b++) {
                const int at = y - 1 - b, margin = blocks + 1 - b;
                if (at >= strip.top - margin && at < strip.bottom + margin) body_row(b, at);
            }
            const int at = y - 2 - blocks;
            if (at < strip.top) continue;
            middle.compute(at, writer.mid.row(at));
            writer.after(at);
        }
    }

    // Row y of the features that enter block b, or conv_mid, and what the block expands them to.
    void body_row(int b, int y) {
#define WORK(n) some<n>(b, y, j)
        IN_GROUPS(WIDE, 0, vectors, WORK);
#undef WORK
        if (b < program->blocks) {
            wrap_ends<Maps>(expanded[b].row(y), vectors, wide, 1);
        } else {
            wrap_ends<Exact>(features[b].row(y), strip.vectors, F, 1);
            middle.take(y, features[b].row(y));
        }
    }

    template <int NV> __attribute__((noinline)) void some(int b, int y, int j) {
        float *to = features[b].row(y) + (int64_t)j * F * L;
        if (b == 0) {
            UNROLL for (int part = 0; part < Maps::vectors; part++) {
                first_features<F, NV>(program, frame, codes, y, j + part * vectors, to + part * apart);
            }
        } else if (is_last(b - 1)) {
            branch<Maps, NV>(to, b - 1, y, j);
        } else {
            branch<P, NV>(to, b - 1, y, j);
        }
        if (b == program->blocks) return;
        if (is_last(b)) {
            expand<Maps, NV>(to, b, y, j);
        } else {
            expand<P, NV>(to, b, y, j);
        }
    }

    // The errors of the last block pass to the result undamped: in bf16 it alone would cost most of the precision. So
    // its operands are as precise as the maps.
    bool is_last(int b) const { return b == program->blocks - 1; }

    template <class Q, int NV> METHOD void expand(const float *x, int b, int y, int j) {
        enum { operands_of = F / Q::channels };
        if (Q::channels > 1 || Maps::vectors > 1) {
            convert<Q>(operands, x, apart, F, NV);
            x = operands;
        }
        mix<Q, Maps, NV>(expanded[b].row(y) + (int64_t)j * wide * L, wide * L, x, operands_of * L, operands_of,
                          (const float *)program->block[b].expand, wide);
    }

    // to = x + project(GELU(depthwise(expanded)))
    template <class Q, int NV> METHOD void branch(float *to, int b, int y, int j) {
        const Block &block = program->block[b];
        const float *rows[3];
        for (int r = 0; r < 3; r++) rows[r] = expanded[b].row(y - 1 + r) + (int64_t)j * wide * L;
        const float *w = block.depthwise;
        for (int c = 0; c < wide; c += 2, w += 20) {
            V sum[2][NV];
            depthwise<Maps, NV, 1, true>(sum[0], rows, wide, c, w);
            depthwise<Maps, NV, 1, true>(sum[1], rows, wide, c + 1, w + 10);
            UNROLL for (int v = 0; v < NV; v++) {
                UNROLL for (int k = 0; k < 2; k++) sum[k][v] = activated_by<Q>(sum[k][v], program->gelu);
                Q::put(activated + v * wide / Q::channels * L, c, sum[0][v], sum[1][v]);
            }
        }
        const float *from = features[b].row(y) + (int64_t)j * F * L, *project = (const float *)block.project;
        enum { operands_of = wide / Q::channels };
        if constexpr (Maps::vectors == 1) {
            add_to<Q, NV>(to, from, activated, operands_of * L, operands_of, project, F);
        } else {
            mix<Q, Maps, NV>(operands, F * L, activated, operands_of * L, operands_of, project, F);
            Maps::add_widened(to, from, apart, operands, NV * F);
        }
    }
};
