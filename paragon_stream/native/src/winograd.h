// Dense convolutions along a row by fewer products: TILE results of r taps from n = TILE + r - 1 products instead of
// TILE * r.
//
//     results = back * ((G * taps) . (to * pixels))
//
// with matrices by Toom and Cook (Winograd, Arithmetic Complexity of Computations, 1980; Lavin and Gray, 2016, for
// networks). Weights come transformed by G from framejob/native/winograd.py, which has the same points. Rows and
// channels are added up between the two transforms, so these are paid once for all of them.
#pragma once

#include "dense.h"

enum {
    TILE = 4,            // vectors
    MOST_PRODUCTS = 8,
    MID_PRODUCTS = 6,    // of conv_mid
};
constexpr double POINTS[MOST_PRODUCTS - 1] = {0, 1, -1, 2, -2, 0.5, -0.5};  // and infinity

template <int n> struct Transform {
    float to[n][n], back[TILE][n];
};
template <int n> constexpr Transform<n> transform() {
    Transform<n> made = {};
    for (int i = 0; i < n; i++) {
        const bool infinite = i == n - 1;
        double product[n + 1] = {1};  // of x - point over all other points: coefficients from x^0 on
        for (int j = 0; j < n - 1; j++) {
            if (j == i) continue;
            for (int k = n - 1; k >= 0; k--) product[k] = (k > 0 ? product[k - 1] : 0) - POINTS[j] * product[k];
        }
        for (int k = 0; k < n; k++) made.to[i][k] = (float)product[k];
        double power = 1;
        for (int k = 0; k < TILE; k++) {
            made.back[k][i] = infinite ? k == TILE - 1 : (float)power;
            if (!infinite) power *= POINTS[i];
        }
    }
    return made;
}

// The sum of x[i] * w[i]; the weights are constants.
template <int n> INLINE V weighted(const V (&x)[n], const float (&w)[n]) {
    V sum = {};
    bool begun = false;
    UNROLL for (int i = 0; i < n; i++) {
        if (w[i] == 0) continue;
        sum = begun ? sum + w[i] * x[i] : w[i] * x[i];
        begun = true;
    }
    return sum;
}

// Row `from`, whose tiles begin `lead` vectors before vector 0, as [tile][product][channel].
template <int n, int F>
static void to_products(float *to, const float *from, int lead, int tiles) {
    static constexpr Transform<n> matrices = transform<n>();
    from -= (int64_t)lead * F * L;
    for (int t = 0; t < tiles; t++) {
        for (int c = 0; c < F * L; c += L) {
            V x[n];
            UNROLL for (int i = 0; i < n; i++) x[i] = load(from + i * F * L + c);
            UNROLL for (int i = 0; i < n; i++) store(to + i * F * L + c, weighted<n>(x, matrices.to[i]));
        }
        to += n * F * L;
        from += TILE * F * L;
    }
}

// to[vector][output] = bias + the sums over `taps` rows of products, for OB outputs and NV tiles from tile t on.
// Returns the next outputs' weights.
template <int n, int F, int OB, int NV>
INLINE const float *tiles_of(float *to, int pitch, const float *bias, const float *const *rows, int taps, int t,
                             const float *w) {
    static constexpr Transform<n> matrices = transform<n>();
    V products[n][OB][NV];
    for (int i = 0; i < n; i++) {
        V acc[OB][NV] = {};
        for (int r = 0; r < taps; r++) {
            w = accumulate<Exact, OB, NV>(acc, rows[r] + ((int64_t)t * n + i) * F * L, n * F * L, F, w);
        }
        UNROLL for (int o = 0; o < OB; o++) {
            UNROLL for (int v = 0; v < NV; v++) products[i][o][v] = acc[o][v];
        }
    }
    for (int o = 0; o < OB; o++) {
        for (int v = 0; v < NV; v++) {
            V x[n];
            UNROLL for (int i = 0; i < n; i++) x[i] = products[i][o][v];
            UNROLL for (int k = 0; k < TILE; k++) {
                const V sum = weighted<n>(x, matrices.back[k]);
                store(to + ((int64_t)(t + v) * TILE + k) * pitch + o * L, bias ? sum + bias[o] : sum);
            }
        }
    }
    return w;
}
