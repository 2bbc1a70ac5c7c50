// Depthwise convolutions, GELU, and the 1x1 convolutions between them, for a few vectors at once: what passes from
// one to the next stays in the nearest cache.
#pragma once

#include "amx.h"
#include "halves.h"

// GELU: max(x, 0) - r(|x|) with r(t) = t (1 - Phi(t)), error 5.2e-7.
#if FORM_LANES == 16

// By the table of framejob/native/gelu.py. `coarse`: without the last coefficient, error 7e-5.
template <bool coarse> INLINE V gelu(V x, const float *table) {
    enum { SEGMENTS = 32 };
    const V t = smaller_positive(magnitude(x) * ((SEGMENTS - 0.5f) / 5.2f), splat(SEGMENTS - 0.501f));
    const V moved = t + 8388608.0f;  // 2^23: rounded, the segment in the lowest bits
    const V f = t - (moved - 8388608.0f);
    enum { DEGREE = coarse ? 2 : 3 };
    V r = looked_up((VI)moved, table + DEGREE * SEGMENTS);
    UNROLL for (int i = DEGREE - 1; i >= 0; i--) r = r * f + looked_up((VI)moved, table + i * SEGMENTS);
    return not_negative(x) - r;
}

#else

// By the minimax polynomial of degree 14 on 0 ... 5.2.
template <bool coarse> INLINE V gelu(V x, const float *) {
    const float c[15] = {1.211956018e-02f,  -7.969875713e-02f, 2.184765519e-01f,  -2.856433279e-01f,
                         6.263820485e-02f,  3.740731574e-01f,  -5.653438289e-01f, 2.142851708e-01f,
                         3.074228505e-01f,  -3.676471028e-01f, 6.178980153e-03f,  1.776084482e-01f,
                         -5.714396966e-02f, -3.297783933e-02f, 1.565191015e-02f};
    const V s = smaller(magnitude(x), splat(5.2f)) * (2 / 5.2f) - 1.0f;
    V r = s * c[14] + c[13];
    UNROLL for (int i = 12; i >= 0; i--) r = r * s + c[i];
    return larger(x, V{}) - r;
}

#endif

template <class P> INLINE V activated_by(V x, const float *table) {
#if FORM_FP16
    return P::gelu(x, table);
#else
    return gelu<P::channels != 1>(x, table);
#endif
}

// Sums of channel c over 3x3 taps `gap` rows and vectors apart; w: 9 taps, and the bias where `biased`.
// rows: the three rows at the first vector, `width` channels a vector.
template <class M, int NV, int gap, bool biased>
INLINE void depthwise(V (&sum)[NV], const float *const *rows, int width, int c, const float *w) {
    // In fp16 the largest parts come last, centre and bias, so that fewer partial sums are rounded as coarsely.
    enum { largest_first = M::vectors == 1, CENTRE = 4 };
    UNROLL for (int v = 0; v < NV; v++) sum[v] = largest_first && biased ? splat(w[9]) : V{};
    const auto add = [&](int tap) {
        const float *from = rows[tap / 3] + (c + (tap % 3 - 1) * gap * width) * L;
        UNROLL for (int v = 0; v < NV; v++) M::add(sum[v], load(from + v * width * L), w[tap]);
    };
    UNROLL for (int tap = 0; tap < 9; tap++) {
        if (largest_first || tap != CENTRE) add(tap);
    }
    if (!largest_first) {
        add(CENTRE);
        if (biased) UNROLL for (int v = 0; v < NV; v++) sum[v] = M::plus(sum[v], splat(w[9]));
    }
}

// As `accumulate`, from sums that are 0. In fp16 in parts, whose sums are smaller and so rounded less coarsely.
template <class P, int OB, int NV>
INLINE const float *sums_of(V (&acc)[OB][NV], const float *x, int64_t pitch, int count, const float *w) {
    if constexpr (P::Maps::vectors == 1) {
        return accumulate<P, OB, NV>(acc, x, pitch, count, w);
    } else {
        enum { PART = 8 };
        w = accumulate<P, OB, NV>(acc, x, pitch, PART, w);
        for (int i = PART; i < count; i += PART) {
            V part[OB][NV] = {};
            w = accumulate<P, OB, NV>(part, x + i * L, pitch, PART, w);
            UNROLL for (int o = 0; o < OB; o++) {
                UNROLL for (int v = 0; v < NV; v++) acc[o][v] = P::Maps::plus(acc[o][v], part[o][v]);
            }
        }
        return w;
    }
}

// Both of these compute vectors by DENSE, where there are more.
//
// to[v][channel], stored as Q does = each of `outputs` sums over one vector's `count` operands.
template <class P, class Q, int NV>
INLINE void mix(float *to, int64_t to_pitch, const float *x, int64_t pitch, int count, const float *w, int outputs) {
    if constexpr (NV > DENSE) {
        mix<P, Q, DENSE>(to, to_pitch, x, pitch, count, w, outputs);
        mix<P, Q, NV - DENSE>(to + DENSE * to_pitch, to_pitch, x + DENSE * pitch, pitch, count, w, outputs);
        return;
    } else
#if HAS_AMX
    if constexpr (P::amx) {
        mix_by_amx<Q, NV>(to, to_pitch, x, pitch, count, w, outputs);
        return;
    } else
#endif
    for (int o = 0; o < outputs; o += BLOCK) {
        V acc[BLOCK][NV] = {};
        w = sums_of<P, BLOCK, NV>(acc, x, pitch, count, w);
        UNROLL for (int k = 0; k < BLOCK; k += 2) {
            UNROLL for (int v = 0; v < NV; v++) Q::put(to + v * to_pitch, o + k, acc[k][v], acc[k + 1][v]);
        }
    }
}

// to = from + sums, both of feature maps with `outputs` channels a vector.
template <class P, int NV>
INLINE void add_to(float *to, const float *from, const float *x, int64_t pitch, int count, const float *w,
                   int outputs) {
    if constexpr (NV > DENSE) {
        add_to<P, DENSE>(to, from, x, pitch, count, w, outputs);
        add_to<P, NV - DENSE>(to + DENSE * outputs * L, from + DENSE * outputs * L, x + DENSE * pitch, pitch, count, w,
                              outputs);
        return;
    } else
#if HAS_AMX
    if constexpr (P::amx) {
        add_by_amx<NV>(to, from, x, pitch, count, w, outputs);
        return;
    } else
#endif
    for (int o = 0; o < outputs; o += BLOCK) {
        enum { features_first = P::Maps::vectors == 1 };  // as in `depthwise`
        V acc[BLOCK][NV] = {};
        if (features_first) {
            UNROLL for (int k = 0; k < BLOCK; k++) {
                UNROLL for (int v = 0; v < NV; v++) acc[k][v] = load(from + (v * outputs + o + k) * L);
            }
        }
        w = features_first ? accumulate<P, BLOCK, NV>(acc, x, pitch, count, w)
                           : sums_of<P, BLOCK, NV>(acc, x, pitch, count, w);
        UNROLL for (int k = 0; k < BLOCK; k++) {
            UNROLL for (int v = 0; v < NV; v++) {
                const int at = (v * outputs + o + k) * L;
                store(to + at, features_first ? acc[k][v] : P::Maps::plus(acc[k][v], load(from + at)));
            }
        }
    }
}

// fp32 channels of `count` vectors as operands; in fp16 those of two vectors, `apart` words from each other, as one.
template <class P> INLINE void convert(float *to, const float *from, int64_t apart, int channels, int64_t count) {
    if constexpr (P::Maps::vectors == 2) {
        P::narrow(to, from, apart, count * channels);
        return;
    } else
    for (int64_t v = 0; v < count; v++) {
        for (int c = 0; c < channels; c += 2) {
            const float *pair = from + (v * channels + c) * L;
            P::put(to + v * channels / P::channels * L, c, load(pair), load(pair + L));
        }
    }
}
