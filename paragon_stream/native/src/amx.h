// Dense sums by AMX's tile registers: 16 outputs of 16 pixels from 32 channels in one instruction,
//
//     sums[output][lane] += weights[output][pair] * operands[pair][lane]        (TDPBF16PS)
//
// where a pair is two channels as bf16 in 32 bits. Operands lie in memory as `Paired` stores them, and sums as rows of
// a feature map do, so tiles are loaded and stored as they are. framejob/native/weights.py packs weights as
// [16 outputs][16 pairs][output][pair], filled with zeros.
#pragma once

#include "dense.h"

#if defined(__AMX_BF16__) || defined(FORM_AMX_EMULATED)
#define HAS_AMX 1

enum {
    TILE_ROWS = 16,         // rows of a tile, and 32-bit words of a row
    TILE_WORDS = TILE_ROWS * TILE_ROWS,
    TILE_BYTES_OF_ROW = 4 * TILE_ROWS,
    WEIGHTS = 3,            // tile registers: 0 to 2 are sums, 4 to 6 the operands of one vector each
    OPERANDS = 4,
};

#if !defined(FORM_AMX_EMULATED)

// The compilers' own functions for loads do not say that they read memory.
template <int tile> INLINE void tile_load(const float *from) {
    const int64_t pitch = TILE_BYTES_OF_ROW;
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(pitch), "i"(tile) : "memory");
}
template <int tile> INLINE void tile_store(float *to) {
    const int64_t pitch = TILE_BYTES_OF_ROW;
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(pitch), "i"(tile) : "memory");
}
template <int tile> INLINE void tile_zero() { __asm__ volatile("tilezero %%tmm%c0" ::"i"(tile)); }
template <int sums, int weights, int operands> INLINE void tile_products() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sums), "i"(weights), "i"(operands));
}

// The tile registers belong to a thread while it computes a task.
struct TileRegisters {
    TileRegisters() {
        struct __attribute__((packed)) {
            uint8_t palette, first_row, unused[14];
            uint16_t bytes_of_row[16];
            uint8_t rows[16];
        } shapes = {};
        shapes.palette = 1;
        for (int tile = 0; tile < 8; tile++) {
            shapes.bytes_of_row[tile] = TILE_BYTES_OF_ROW;
            shapes.rows[tile] = TILE_ROWS;
        }
        __asm__ volatile("ldtilecfg %0" ::"m"(shapes));
    }
    ~TileRegisters() { __asm__ volatile("tilerelease"); }
};

#else  // the same by AVX-512, to test everything around the instructions on processors without them

static thread_local float emulated_tiles[8][TILE_WORDS] __attribute__((aligned(64)));

template <int tile> INLINE void tile_load(const float *from) { memcpy(emulated_tiles[tile], from, 4 * TILE_WORDS); }
template <int tile> INLINE void tile_store(float *to) { memcpy(to, emulated_tiles[tile], 4 * TILE_WORDS); }
template <int tile> INLINE void tile_zero() { memset(emulated_tiles[tile], 0, 4 * TILE_WORDS); }
template <int sums, int weights, int operands> INLINE void tile_products() {
    for (int o = 0; o < TILE_ROWS; o++) {
        V sum = load(emulated_tiles[sums] + o * TILE_ROWS);
        for (int p = 0; p < TILE_ROWS; p++) {
            Paired::add(sum, load(emulated_tiles[operands] + p * TILE_ROWS), emulated_tiles[weights][o * TILE_ROWS + p]);
        }
        store(emulated_tiles[sums] + o * TILE_ROWS, sum);
    }
}
struct TileRegisters {};

#endif

// Operands as `Paired`'s; dense sums in tiles.
struct Amx : Paired {
    enum { amx = 1 };
    typedef TileRegisters Registers;
};

// Calls work(sums, operands) with the tile registers of each of NV vectors, at most 3.
#define FOR_EACH_VECTOR(work)                       \
    do {                                            \
        work(0, OPERANDS);                          \
        if constexpr (NV > 1) work(1, OPERANDS + 1); \
        if constexpr (NV > 2) work(2, OPERANDS + 2); \
    } while (0)

// Adds to the sums of NV vectors the products of `pairs` operands from `x` on. Returns the next outputs' weights.
template <int NV> INLINE const float *add_tiles(const float *x, int64_t pitch, int pairs, const float *w) {
    for (int done = 0; done < pairs; done += TILE_ROWS) {
        tile_load<WEIGHTS>(w);
#define ADD(sums, operands)                       \
    tile_load<operands>(x + (sums) * pitch);      \
    tile_products<sums, WEIGHTS, operands>()
        FOR_EACH_VECTOR(ADD);
#undef ADD
        x += TILE_WORDS;
        w += TILE_WORDS;
    }
    return w;
}

// As `mix` and `add_to` in pointwise.h, of multiples of 16 outputs. The last tile of a vector's operands may reach
// into memory after them: its weights are zeros, and the numbers there have to be finite.
template <class Q, int NV>
INLINE void mix_by_amx(float *to, int64_t to_pitch, const float *x, int64_t pitch, int pairs, const float *w,
                         int outputs) {
    for (int o = 0; o < outputs; o += TILE_ROWS) {
#define CLEAR(sums, operands) tile_zero<sums>()
        FOR_EACH_VECTOR(CLEAR);
#undef CLEAR
        w = add_tiles<NV>(x, pitch, pairs, w);
        if constexpr (Q::channels == 1) {
#define STORE(sums, operands) tile_store<sums>(to + (sums) * to_pitch + o * L)
            FOR_EACH_VECTOR(STORE);
#undef STORE
        } else {
            float made[NV][TILE_WORDS] __attribute__((aligned(64)));
#define STORE(sums, operands) tile_store<sums>(made[sums])
            FOR_EACH_VECTOR(STORE);
#undef STORE
            UNROLL for (int v = 0; v < NV; v++) {
                UNROLL for (int k = 0; k < TILE_ROWS; k += 2) {
                    Q::put(to + v * to_pitch, o + k, load(made[v] + k * L), load(made[v] + (k + 1) * L));
                }
            }
        }
    }
}
template <int NV>
INLINE void add_by_amx(float *to, const float *from, const float *x, int64_t pitch, int pairs, const float *w,
                         int outputs) {
    for (int o = 0; o < outputs; o += TILE_ROWS) {
#define BEGIN(sums, operands) tile_load<sums>(from + ((sums) * outputs + o) * L)
        FOR_EACH_VECTOR(BEGIN);
#undef BEGIN
        w = add_tiles<NV>(x, pitch, pairs, w);
#define STORE(sums, operands) tile_store<sums>(to + ((sums) * outputs + o) * L)
        FOR_EACH_VECTOR(STORE);
#undef STORE
    }
}

// Multiply-adds of `rounds` products of each of three sums.
static int64_t amx_peak(int64_t rounds) {
    const float zeros[TILE_WORDS] __attribute__((aligned(64))) = {};
    TileRegisters registers;
    tile_load<WEIGHTS>(zeros);
    tile_load<OPERANDS>(zeros);
    tile_zero<0>();
    tile_zero<1>();
    tile_zero<2>();
    for (int64_t i = 0; i < rounds; i++) {
        tile_products<0, WEIGHTS, OPERANDS>();
        tile_products<1, WEIGHTS, OPERANDS>();
        tile_products<2, WEIGHTS, OPERANDS>();
    }
    return rounds * 3 * TILE_ROWS * TILE_ROWS * 2 * TILE_ROWS;
}
#endif
