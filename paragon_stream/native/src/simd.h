// Vectors of the form that is being compiled: lanes are pixels. GCC's vector extensions, and shuffles.
#pragma once

#include <stdint.h>

#if FORM_LANES == 16 && defined(__AVX512F__)
#include <immintrin.h>
#elif FORM_LANES == 8 && defined(__AVX2__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define METHOD inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

enum { L = FORM_LANES };

typedef float V __attribute__((vector_size(4 * L), may_alias));
typedef int32_t VI __attribute__((vector_size(4 * L), may_alias));

INLINE V load(const float *from) { return *(const V *)from; }
INLINE void store(float *to, V value) { *(V *)to = value; }
INLINE V splat(float value) { return value - V{}; }

INLINE V larger(V a, V b) { return a > b ? a : b; }
INLINE V smaller(V a, V b) { return a < b ? a : b; }
INLINE V magnitude(V a) { return (V)((VI)a & 0x7fffffff); }

#if FORM_LANES == 16
// As integers, whose comparisons leave the multipliers free: positive floats are in the same order.
INLINE V smaller_positive(V a, V b) { return (V)_mm512_min_epi32((__m512i)a, (__m512i)b); }
INLINE V not_negative(V a) { return (V)_mm512_max_epi32((__m512i)a, __m512i{}); }

// table[the lowest five bits of each lane]
INLINE V looked_up(VI lanes, const float *table) {
    return (V)_mm512_permutex2var_ps((__m512)load(table), (__m512i)lanes, (__m512)load(table + L));
}
#endif

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLED_AS(indices, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLED_AS(indices, a, b, ...) __builtin_shuffle(a, b, indices{__VA_ARGS__})
#endif
#define SHUFFLED(a, b, ...) SHUFFLED_AS(VI, a, b, __VA_ARGS__)

// Lanes of a and b whose numbers have, or lack, the bit `s`: one step of a transposition.
template <int s> INLINE void exchange(V &a, V &b) {
#define LOW(i) ((i) & s ? L + (i) - s : (i))
#define HIGH(i) ((i) & s ? L + (i) : (i) + s)
#define FOUR(f, i) f(i), f(i + 1), f(i + 2), f(i + 3)
#if FORM_LANES == 16
#define ALL(f) FOUR(f, 0), FOUR(f, 4), FOUR(f, 8), FOUR(f, 12)
#elif FORM_LANES == 8
#define ALL(f) FOUR(f, 0), FOUR(f, 4)
#else
#define ALL(f) FOUR(f, 0)
#endif
    const V low = SHUFFLED(a, b, ALL(LOW)), high = SHUFFLED(a, b, ALL(HIGH));
    a = low;
    b = high;
}
template <int s> INLINE void exchange_all(V (&v)[L]) {
    UNROLL for (int i = 0; i < L; i++) {
        if (!(i & s)) exchange<s>(v[i], v[i + s]);
    }
}
INLINE void transpose(V (&v)[L]) {
#if FORM_LANES == 16
    exchange_all<8>(v);
#endif
#if FORM_LANES >= 8
    exchange_all<4>(v);
#endif
    exchange_all<2>(v);
    exchange_all<1>(v);
}

typedef float Loose __attribute__((vector_size(4 * L), may_alias, aligned(4)));
INLINE V load_loose(const float *from) { return *(const Loose *)from; }
INLINE void store_loose(float *to, V value) { *(Loose *)to = value; }

// to[lane * vectors + j] = lane of from[j * pitch]: pixels in their order.
static void to_plain(float *to, const float *from, int64_t pitch, int vectors) {
    int j = 0;
    for (; j + L <= vectors; j += L) {
        V v[L];
        UNROLL for (int i = 0; i < L; i++) v[i] = load(from + (j + i) * pitch);
        transpose(v);
        UNROLL for (int i = 0; i < L; i++) store_loose(to + (int64_t)i * vectors + j, v[i]);
    }
    for (; j < vectors; j++) {
        for (int lane = 0; lane < L; lane++) to[(int64_t)lane * vectors + j] = from[j * pitch + lane];
    }
}

// The reverse.
static void from_plain(float *to, int64_t pitch, const float *from, int vectors) {
    int j = 0;
    for (; j + L <= vectors; j += L) {
        V v[L];
        UNROLL for (int i = 0; i < L; i++) v[i] = load_loose(from + (int64_t)i * vectors + j);
        transpose(v);
        UNROLL for (int i = 0; i < L; i++) store(to + (j + i) * pitch, v[i]);
    }
    for (; j < vectors; j++) {
        for (int lane = 0; lane < L; lane++) to[j * pitch + lane] = from[(int64_t)lane * vectors + j];
    }
}

#if FORM_LANES == 16
INLINE V from_left(V a) {
    return SHUFFLED(a, a, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);
}
INLINE V from_right(V a) {
    return SHUFFLED(a, a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0);
}
#elif FORM_LANES == 8
INLINE V from_left(V a) { return SHUFFLED(a, a, 7, 0, 1, 2, 3, 4, 5, 6); }
INLINE V from_right(V a) { return SHUFFLED(a, a, 1, 2, 3, 4, 5, 6, 7, 0); }
#else
INLINE V from_left(V a) { return SHUFFLED(a, a, 3, 0, 1, 2); }
INLINE V from_right(V a) { return SHUFFLED(a, a, 1, 2, 3, 0); }
#endif
