// Sums of products: everything of the networks that is not depthwise.
//
// Rows of feature maps are [vector][channel][lane]. Vector j of a row holds pixels j, j + S, j + 2 S ... (S
// vectors a row), so the pixel to the left of all lanes of vector j is vector j - 1: loads are aligned, and a row
// of taps over all channels is one walk through memory. Only the vectors beyond a row's ends need lanes moved:
// `wrap_ends` makes them.
#pragma once

#include "simd.h"

// What the operands of a dense kernel are. `Exact`: fp32. `Paired`: two channels as bf16 in each 32-bit lane. `Amx`
// (amx.h): the same in tile registers. `Halves` (halves.h): fp16. `Registers` exists while a task is computed.
//
// `Maps` is the arithmetic of feature maps, depthwise convolutions and what follows these: Exact or Halves. `vectors`
// is the number of fp32 vectors whose pixels a vector of such a map holds.
struct Exact {
    enum { channels = 1, amx = 0, vectors = 1 };
    struct Registers {};
    typedef Exact Maps;
    INLINE V number(float value) { return splat(value); }
    INLINE V times(V a, V b) { return a * b; }
    INLINE V plus(V a, V b) { return a + b; }
    INLINE V held(V a, V most) { return larger(smaller(a, most), -most); }
    // The vector beyond a row's left end, from the one that is as far from its right end; and the reverse.
    INLINE V beyond_left(V a) { return from_left(a); }
    INLINE V beyond_right(V a) { return from_right(a); }
    INLINE void add(V &sum, V operand, float weight) { sum += operand * weight; }
    // Channels c and c + 1 of vectors that hold `width` channels each.
    INLINE void put(float *to, int c, V even, V odd) {
        store(to + c * L, even);
        store(to + (c + 1) * L, odd);
    }
};

#if defined(__AVX512BF16__) && FORM_LANES == 16
struct Paired {
    enum { channels = 2, amx = 0 };
    struct Registers {};
    typedef Exact Maps;
    INLINE void add(V &sum, V operand, float weight) {
        const __m512 both = _mm512_set1_ps(weight);
        sum = (V)_mm512_dpbf16_ps((__m512)sum, (__m512bh)operand, (__m512bh)both);
    }
    INLINE void put(float *to, int c, V even, V odd) {
        const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23,
                                               7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
        const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
        store(to + c / 2 * L, (V)_mm512_permutexvar_epi16(order, both));
    }
};
#endif

#if FORM_LANES == 16
enum { BLOCK = 8 };
#else
enum { BLOCK = 4 };
#endif
enum {
    DENSE = 3,  // vectors beside BLOCK outputs
    WIDE = 6,   // vectors that pass from a depthwise convolution to a dense one at once
};

// Vectors that are computed at once beside OB outputs: as many as registers hold.
constexpr int vectors_beside(int outputs) {
#if FORM_LANES == 16
    return outputs > 4 ? 3 : outputs > 2 ? 6 : 8;
#else
    return outputs > 2 ? 3 : outputs > 1 ? 4 : 6;
#endif
}

// acc[o][v] += the products of `count` operands in a row from `x` on, and of those `pitch` words further for v = 1 ...
template <class P, int OB, int NV>
INLINE const float *accumulate(V (&acc)[OB][NV], const float *x, int64_t pitch, int count, const float *w) {
    for (int i = 0; i < count; i++) {
        V in[NV];
        UNROLL for (int v = 0; v < NV; v++) in[v] = load(x + v * pitch);
        UNROLL for (int o = 0; o < OB; o++) {
            UNROLL for (int v = 0; v < NV; v++) P::add(acc[o][v], in[v], w[o]);
        }
        x += L;
        w += OB;
    }
    return w;
}

// Calls work<n>(j) for groups of n vectors, together first ... end - 1: as many of `wide` as there are, then smaller.
#define IN_GROUPS(wide, first, end, work)                    \
    do {                                                     \
        int j = first;                                       \
        for (; j + wide <= (end); j += wide) work(wide);     \
        for (; j + 3 <= (end) && wide > 3; j += 3) work(3);  \
        for (; j + 2 <= (end); j += 2) work(2);              \
        for (; j < (end); j++) work(1);                      \
    } while (0)

// Vectors left of the first and right of the last, `halo` of each, of a row of `width` channels a vector.
template <class M> INLINE void wrap_ends(float *row, int vectors, int width, int halo) {
    for (int h = 1; h <= halo; h++) {
        for (int c = 0; c < width * L; c += L) {
            store(row - h * width * L + c, M::beyond_left(load(row + (vectors - h) * width * L + c)));
            store(row + (vectors + h - 1) * width * L + c, M::beyond_right(load(row + (h - 1) * width * L + c)));
        }
    }
}
