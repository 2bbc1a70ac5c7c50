// GELU, x·Φ(x), of two fp16 numbers: max(x, 0) - r(|x|) with the bump r(t) = t·Φ(-t), which falls from 0.17 to
// 0 and is a polynomial of degree 7 in t - 1.94 up to t = 3.875 (weighted least squares, iterated to minimax).
// Over all fp16 numbers below 4 the error is at most 1.1e-3, against 0.98e-3 of rounding the exact value to
// fp16; below 0 at most 5.0e-4. No special-function unit, no division, 11 instructions for two values.
// tests/kernels/test_simt.py evaluates every fp16 number.

DEVICE half2 gelu2(half2 x) {
    half2 t = add2(abs2(x), GELU_MINUS_HALF_RANGE);
    t = min2(GELU_HALF_RANGE, t);
    half2 bump = GELU_7;
    bump = fma2(bump, t, GELU_6);
    bump = fma2(bump, t, GELU_5);
    bump = fma2(bump, t, GELU_4);
    bump = fma2(bump, t, GELU_3);
    bump = fma2(bump, t, GELU_2);
    bump = fma2(bump, t, GELU_1);
    bump = fma2(bump, t, GELU_0);
    return add2(max2(0u, x), bump);
}
