// Arithmetic in fp16: a vector of a feature map holds twice as many pixels.
//
// A row of 2 n vectors in fp32 is n vectors in fp16. Vector j holds the lanes of fp32 vectors j and j + n, in this
// order, so it takes as many bytes as one vector in fp32, and all addresses are computed in the same way. Weights are
// 32-bit words with the same number in both halves (framejob/native/weights.py): a word is broadcast by the load
// itself.
#pragma once

#include "dense.h"

#if FORM_FP16

#if FORM_LANES == 16

INLINE V joined(V low, V high) {
    enum { NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
    const __m256i a = _mm512_cvtps_ph((__m512)low, NEAREST), b = _mm512_cvtps_ph((__m512)high, NEAREST);
    return (V)_mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
}
INLINE V low_half(V a) { return (V)_mm512_cvtph_ps(_mm512_castsi512_si256((__m512i)a)); }
INLINE V high_half(V a) { return (V)_mm512_cvtph_ps(_mm512_extracti64x4_epi64((__m512i)a, 1)); }

#if !defined(FORM_FP16_EMULATED)
INLINE V fused16(V a, V b, V sum) { return (V)_mm512_fmadd_ph((__m512h)a, (__m512h)b, (__m512h)sum); }
INLINE V times16(V a, V b) { return (V)_mm512_mul_ph((__m512h)a, (__m512h)b); }
INLINE V plus16(V a, V b) { return (V)_mm512_add_ph((__m512h)a, (__m512h)b); }
INLINE V minus16(V a, V b) { return (V)_mm512_sub_ph((__m512h)a, (__m512h)b); }
INLINE V smaller16(V a, V b) { return (V)_mm512_min_ph((__m512h)a, (__m512h)b); }
INLINE V larger16(V a, V b) { return (V)_mm512_max_ph((__m512h)a, (__m512h)b); }
#else  // the same by fp32, to test everything around the instructions on processors without them
#define BY_HALVES(of) joined(of(low_half), of(high_half))
#define FUSED(half) half(a) * half(b) + half(sum)
#define TIMES(half) half(a) * half(b)
#define PLUS(half) half(a) + half(b)
#define MINUS(half) half(a) - half(b)
#define SMALLER(half) smaller(half(a), half(b))
#define LARGER(half) larger(half(a), half(b))
INLINE V fused16(V a, V b, V sum) { return BY_HALVES(FUSED); }
INLINE V times16(V a, V b) { return BY_HALVES(TIMES); }
INLINE V plus16(V a, V b) { return BY_HALVES(PLUS); }
INLINE V minus16(V a, V b) { return BY_HALVES(MINUS); }
INLINE V smaller16(V a, V b) { return BY_HALVES(SMALLER); }
INLINE V larger16(V a, V b) { return BY_HALVES(LARGER); }
#endif

// table[the lowest five bits of each lane]
INLINE V looked_up16(V lanes, const float *table) {
    return (V)_mm512_permutexvar_epi16((__m512i)lanes, (__m512i)load(table));
}
#define LEFT_LANES 31, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, \
                   0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#define RIGHT_LANES 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, \
                    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0

#else  // NEON

#include <arm_neon.h>

INLINE V joined(V low, V high) {
    return (V)vcvt_high_f16_f32(vcvt_f16_f32((float32x4_t)low), (float32x4_t)high);
}
INLINE V low_half(V a) { return (V)vcvt_f32_f16(vget_low_f16((float16x8_t)a)); }
INLINE V high_half(V a) { return (V)vcvt_high_f32_f16((float16x8_t)a); }

INLINE V fused16(V a, V b, V sum) { return (V)vfmaq_f16((float16x8_t)sum, (float16x8_t)a, (float16x8_t)b); }
INLINE V times16(V a, V b) { return (V)vmulq_f16((float16x8_t)a, (float16x8_t)b); }
INLINE V plus16(V a, V b) { return (V)vaddq_f16((float16x8_t)a, (float16x8_t)b); }
INLINE V minus16(V a, V b) { return (V)vsubq_f16((float16x8_t)a, (float16x8_t)b); }
INLINE V smaller16(V a, V b) { return (V)vminq_f16((float16x8_t)a, (float16x8_t)b); }
INLINE V larger16(V a, V b) { return (V)vmaxq_f16((float16x8_t)a, (float16x8_t)b); }

INLINE V looked_up16(V lanes, const float *table) {
    const uint16x8_t places = vandq_u16((uint16x8_t)lanes, vdupq_n_u16(31));
    const uint16x8_t bytes = vmlaq_n_u16(vdupq_n_u16(0x0100), places, 0x0202);  // 2 i and 2 i + 1
    const uint8x16x4_t all = {{(uint8x16_t)load(table), (uint8x16_t)load(table + 4), (uint8x16_t)load(table + 8),
                               (uint8x16_t)load(table + 12)}};
    return (V)vqtbl4q_u8(all, (uint8x16_t)bytes);
}
#define LEFT_LANES 7, 4, 5, 6, 0, 1, 2, 3
#define RIGHT_LANES 4, 5, 6, 7, 1, 2, 3, 0

#endif

typedef int16_t Lanes16 __attribute__((vector_size(4 * L), may_alias));

struct Halves {
    enum { channels = 1, amx = 0, vectors = 2 };
    struct Registers {};
    typedef Halves Maps;

    // Rows and parts of rows in fp32, and in fp16: `count` vectors, whose second halves are `apart` words further.
    INLINE void narrow(float *to, const float *from, int64_t apart, int64_t count) {
        for (int64_t i = 0; i < count * L; i += L) store(to + i, joined(load(from + i), load(from + apart + i)));
    }
    INLINE void widen(float *to, int64_t apart, const float *from, int64_t count) {
        for (int64_t i = 0; i < count * L; i += L) {
            const V x = load(from + i);
            store(to + i, low_half(x));
            store(to + apart + i, high_half(x));
        }
    }
    // to = from + sums, which are in fp16.
    INLINE void add_widened(float *to, const float *from, int64_t apart, const float *sums, int64_t count) {
        for (int64_t i = 0; i < count * L; i += L) {
            const V x = load(sums + i);
            store(to + i, load(from + i) + low_half(x));
            store(to + apart + i, load(from + apart + i) + high_half(x));
        }
    }

    INLINE V number(float value) {
        const V v = splat(value < 65504 ? value : 65504);  // the largest finite one
        return joined(v, v);
    }
    INLINE void add(V &sum, V operand, float weight) { sum = fused16(operand, splat(weight), sum); }
    INLINE V times(V a, V b) { return times16(a, b); }
    INLINE V plus(V a, V b) { return plus16(a, b); }
    INLINE V held(V a, V most) { return larger16(smaller16(a, most), minus16(V{}, most)); }
    INLINE void put(float *to, int c, V even, V odd) {
        store(to + c * L, even);
        store(to + (c + 1) * L, odd);
    }
    // See `gelu` in pointwise.h: here too by the table of framejob/native/gelu.py, without the last coefficient.
    INLINE V gelu(V x, const float *table) {
        enum { SEGMENTS = 32, WORDS = SEGMENTS / 2 };
        const V size = (V)((VI)x & 0x7fff7fff);
        const V t = smaller16(times16(size, number((SEGMENTS - 0.5f) / 5.2f)), number(SEGMENTS - 0.515625f));
        const V moved = plus16(t, number(1024));  // 2^10: rounded, the segment in the lowest bits
        const V f = minus16(t, minus16(moved, number(1024)));
        V r = fused16(looked_up16(moved, table + 2 * WORDS), f, looked_up16(moved, table + WORDS));
        r = fused16(r, f, looked_up16(moved, table));
        return minus16(larger16(x, V{}), r);
    }
    INLINE V beyond_left(V a) { return (V)SHUFFLED_AS(Lanes16, (Lanes16)a, (Lanes16)a, LEFT_LANES); }
    INLINE V beyond_right(V a) { return (V)SHUFFLED_AS(Lanes16, (Lanes16)a, (Lanes16)a, RIGHT_LANES); }
};
#endif
