// Vectors of the form that is being compiled: lanes are pixels. GCC's vector extensions, and shuffles.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

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
INLINE V from_left(V a) {
    return __builtin_shufflevector(a, a, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);
}
INLINE V from_right(V a) {
    return __builtin_shufflevector(a, a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0);
}
#elif FORM_LANES == 8
INLINE V from_left(V a) { return __builtin_shufflevector(a, a, 7, 0, 1, 2, 3, 4, 5, 6); }
INLINE V from_right(V a) { return __builtin_shufflevector(a, a, 1, 2, 3, 4, 5, 6, 7, 0); }
#else
INLINE V from_left(V a) { return __builtin_shufflevector(a, a, 3, 0, 1, 2); }
INLINE V from_right(V a) { return __builtin_shufflevector(a, a, 1, 2, 3, 0); }
#endif
