// Stream: a pass over the frame for each block, from one map of features into another, because six blocks in a row
// would need 28 rows of context at every edge of a strip. Within a pass, rows roll as in Realtime.
#pragma once

#include "pointwise.h"
#include "strip.h"

template <class P, int F> struct Stream {
    typedef typename P::Maps Maps;
    enum {
        width = F / P::channels,
        gated = 2 * F,   // products of the gate
        wide = 4 * F,    // what they are made of
        reach = 4,       // pixels on either side that a block depends on: 3 of `far`, 1 of the gate
    };

    const Program *program;
    const Frame *frame;
    Strip strip;  // of the whole frame
    int vectors;  // of a row of a feature map

    void make(const Program *p, const Frame *f) {
        const Task whole = {0, p->width, 0, p->height};
        program = p;
        frame = f;
        strip.make(p, &whole, reach * p->blocks + 2, Maps::vectors);
        vectors = strip.vectors / Maps::vectors;
    }

    // The features of the whole frame, and of the rows around it that the first block needs.
    Ring map(void *memory) const {
        Scratch all = {(uint8_t *)memory, 0};
        Ring ring;
        ring.make(all, strip.bottom - strip.top + 2 * margin(0), vectors, F, reach);
        return ring;
    }
    int64_t map_bytes() const {
        const Ring ring = map(nullptr);
        return ring.pitch * ring.count * 4 + 2 * LINE;
    }
    // Rows beyond conv_mid's results that `pass` has to make.
    int margin(int pass) const { return reach * (program->blocks - pass) + 1; }

    // Rows of a pass: [first, end).
    int first_row(int pass) const { return pass > program->blocks ? 0 : strip.top - margin(pass); }
    int end_row(int pass) const {
        return pass > program->blocks ? program->height : strip.bottom + margin(pass);
    }

    // conv_in, rows top ... bottom - 1.
    void first_pass(Scratch &memory, const Task *task, const Ring &to) {
        Reader reader;
        Ring codes;
        reader.make(memory, program, frame, strip);
        codes.make(memory, 3, strip.vectors, program->seen, 1);
        float *scratch = memory.floats(2 * DENSE * F * L);
        if (!memory.base) return;
        for (int y = task->top - 1; y <= task->bottom; y++) {
            reader.read(y, codes.row(y));
            wrap_ends<Exact>(codes.row(y), strip.vectors, program->seen, 1);
            const int at = y - 1;
            if (at < task->top) continue;
#define WORK(n) some_first<n>(codes, to, at, j, scratch)
            IN_GROUPS(DENSE, 0, vectors, WORK);
#undef WORK
            wrap_ends<Maps>(to.row(at), vectors, F, reach);
        }
    }
    template <int NV>
    __attribute__((noinline)) void some_first(const Ring &codes, const Ring &to, int y, int j, float *scratch) {
        float *features = to.row(y) + (int64_t)j * F * L;
        if constexpr (Maps::vectors == 1) {
            first_features<F, NV>(program, frame, codes, y, j, features);
        } else {
            enum { apart = NV * F * L };
            first_features<F, NV>(program, frame, codes, y, j, scratch);
            first_features<F, NV>(program, frame, codes, y, j + vectors, scratch + apart);
            Maps::narrow(features, scratch, apart, NV * F);
        }
    }

    // One block: rows top ... bottom - 1, vectors left ... right - 1. The ends of a row are made by `close_rows`.
    void block_pass(Scratch &memory, int b, const Task *task, const Ring &from, const Ring &to) {
        Ring expanded;
        expanded.make(memory, 3, task->right - task->left, wide, 1);
        float *filtered = memory.floats(WIDE * wide * L);
        float *mixed = memory.floats(WIDE * F * L);
        if (!memory.base) return;
        const Block &block = program->block[b];
        for (int y = task->top - 1; y <= task->bottom; y++) {
            float *row = expanded.row(y) - (int64_t)task->left * wide * L;
#define WORK(n) some_expanded<n>(block, from, y, j, filtered, mixed, row)
            IN_GROUPS(WIDE, task->left - 1, task->right + 1, WORK);
#undef WORK
            const int at = y - 1;
            if (at < task->top) continue;
            const float *rows[3];
            for (int r = 0; r < 3; r++) rows[r] = expanded.row(at - 1 + r) - (int64_t)task->left * wide * L;
#define WORK(n) some_gated<n>(block, from, to, at, j, rows, filtered)
            IN_GROUPS(WIDE, task->left, task->right, WORK);
#undef WORK
        }
    }

    // row = expand(from_near(near(x)) + from_far(far(x)))
    template <int NV>
    __attribute__((noinline)) void some_expanded(const Block &block, const Ring &from, int y, int j, float *filtered,
                                                 float *mixed, float *row) {
        enum { pitch = gated / P::channels * L };
        const float *near[3], *far[3];
        for (int r = 0; r < 3; r++) {
            near[r] = from.row(y - 1 + r) + (int64_t)j * F * L;
            far[r] = from.row(y - 3 + 3 * r) + (int64_t)j * F * L;
        }
        const float *w = block.near_far;
        for (int c = 0; c < F; c += 2, w += 18) {
            V sum[2][NV];
            depthwise<Maps, NV, 1, false>(sum[0], near, F, c, w);
            depthwise<Maps, NV, 1, false>(sum[1], near, F, c + 1, w + 9);
            UNROLL for (int v = 0; v < NV; v++) P::put(filtered + v * pitch, c, sum[0][v], sum[1][v]);
        }
        for (int c = 0; c < F; c += 2, w += 18) {
            V sum[2][NV];
            depthwise<Maps, NV, 3, false>(sum[0], far, F, c, w);
            depthwise<Maps, NV, 3, false>(sum[1], far, F, c + 1, w + 9);
            UNROLL for (int v = 0; v < NV; v++) P::put(filtered + v * pitch, F + c, sum[0][v], sum[1][v]);
        }
        mix<P, P, NV>(mixed, width * L, filtered, pitch, gated / P::channels, (const float *)block.fuse, F);
        mix<P, Maps, NV>(row + (int64_t)j * wide * L, wide * L, mixed, width * L, width,
                          (const float *)block.expand, wide);
    }

    // to = x + project(a * b), a and b from the two halves of the expanded channels
    template <int NV>
    __attribute__((noinline)) void some_gated(const Block &block, const Ring &from, const Ring &to, int y, int j,
                                              const float *const *expanded, float *products) {
        enum { pitch = gated / P::channels * L };
        const float *rows[3];
        for (int r = 0; r < 3; r++) rows[r] = expanded[r] + (int64_t)j * wide * L;
        const V most = Maps::number(block.limit);
        for (int c = 0; c < gated; c += 2) {
            V a[2][NV];
            UNROLL for (int k = 0; k < 2; k++) {
                V b[NV];
                depthwise<Maps, NV, 1, true>(a[k], rows, wide, c + k, block.depthwise + (c + k) * 10);
                depthwise<Maps, NV, 1, true>(b, rows, wide, gated + c + k, block.depthwise + (gated + c + k) * 10);
                UNROLL for (int v = 0; v < NV; v++) a[k][v] = Maps::held(Maps::times(a[k][v], b[v]), most);
            }
            UNROLL for (int v = 0; v < NV; v++) P::put(products + v * pitch, c, a[0][v], a[1][v]);
        }
        add_to<P, NV>(to.row(y) + (int64_t)j * F * L, from.row(y) + (int64_t)j * F * L, products, pitch,
                      gated / P::channels, (const float *)block.project, F);
    }

    // After all vectors of a pass' rows are there: the vectors beyond their ends.
    void close_rows(const Ring &map, int top, int bottom) const {
        for (int y = top; y < bottom; y++) wrap_ends<Maps>(map.row(y), vectors, F, reach);
    }

    // conv_mid and the tail, target samples of source rows top ... bottom - 1.
    void last_pass(Scratch &memory, const Task *task, const Ring &from) {
        const Task part = {0, program->width, task->top, task->bottom};
        Strip rows = strip;
        rows.top = part.top - program->reach[0][0];
        rows.bottom = whole_cells(program, 0, part.bottom) + program->reach[0][1];
        Middle<F> middle;
        Writer<F> writer;
        middle.make(memory, program, strip.vectors);
        writer.make(memory, program, frame, &part, rows);
        Ring wide;  // a row of features in fp32
        if (Maps::vectors == 2) wide.make(memory, 1, strip.vectors, F, 1);
        if (!memory.base) return;
        writer.plain_samples();
        for (int y = rows.top - 1; y <= rows.bottom; y++) {
            const float *features = from.row(y);
            if constexpr (Maps::vectors == 2) {
                Maps::widen(wide.row(y), (int64_t)vectors * F * L, features, (int64_t)vectors * F);
                wrap_ends<Exact>(wide.row(y), strip.vectors, F, 1);
                features = wide.row(y);
            }
            middle.take(y, features);
            const int at = y - 1;
            if (at < rows.top) continue;
            middle.compute(at, writer.mid.row(at));
            writer.after(at);
        }
    }
};
