// What the kernels ask of the machine, as functions of one thread. tests/support/host_simt.h has the same
// functions for a CPU; kernels use nothing else of CUDA but threadIdx, blockIdx and pointers.
//
// A `half2` is two fp16 numbers in 32 bits, the first in the low half. No header of CUDA's is needed.

typedef unsigned int half2;
typedef unsigned char u8;
typedef unsigned short u16;

#define DEVICE static __device__ __forceinline__
#define DEVICE_METHOD __device__ __forceinline__
#define KERNEL(name, threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks) name
#define SHARED_MEMORY(name) extern __shared__ uint4 name[]

DEVICE int thread_index() { return threadIdx.x; }
DEVICE int block_x() { return blockIdx.x; }
DEVICE int block_y() { return blockIdx.y; }

// All threads of the block wait for each other; what they wrote to shared memory is seen by all.
DEVICE void sync_block() { __syncthreads(); }
// The same for the 32 threads of a warp.
DEVICE void sync_warp() { __syncwarp(); }

// `value` of the thread `count` lanes below or above; lanes that have none get their own.
DEVICE unsigned from_below(unsigned value, int count) { return __shfl_up_sync(~0u, value, count); }
DEVICE unsigned from_above(unsigned value, int count) { return __shfl_down_sync(~0u, value, count); }

// `value`, of which the compiler knows nothing: what depends on it is computed anew, not kept from before.
DEVICE int renewed(int value) {
    asm volatile("" : "+r"(value));
    return value;
}

DEVICE void raise_flag(unsigned* flag) { atomicOr(flag, 1u); }

DEVICE float as_float(unsigned bits) { return __uint_as_float(bits); }

// To nearest, ties to even.
DEVICE int round_even(float value) { return __float2int_rn(value); }

DEVICE half2 pack(float low, float high) {
    half2 result;
#if __CUDA_ARCH__ >= 800
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
#else
    asm("{.reg .f16 l, h; cvt.rn.f16.f32 l, %1; cvt.rn.f16.f32 h, %2; mov.b32 %0, {l, h};}"
        : "=r"(result) : "f"(low), "f"(high));
#endif
    return result;
}

// a·b + c, rounded once.
DEVICE half2 fma2(half2 a, half2 b, half2 c) {
    half2 result;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
    return result;
}

DEVICE half2 add2(half2 a, half2 b) {
    half2 result;
    asm("add.rn.f16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
    return result;
}

DEVICE half2 abs2(half2 a) {
    half2 result;
    asm("abs.f16x2 %0, %1;" : "=r"(result) : "r"(a));
    return result;
}

// Where `b` is no number, neither are these: what has gone wrong must be seen at the end.
#if __CUDA_ARCH__ >= 800
DEVICE half2 min2(half2 a, half2 b) {
    half2 result;
    asm("min.NaN.f16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
    return result;
}

DEVICE half2 max2(half2 a, half2 b) {
    half2 result;
    asm("max.NaN.f16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
    return result;
}
#else
// Turing has no minimum of halves: where a < b (1.0 = 0x3c00 by `set`), all ones.
DEVICE unsigned less2(half2 a, half2 b) {
    unsigned one;
    asm("set.lt.f16x2.f16x2 %0, %1, %2;" : "=r"(one) : "r"(a), "r"(b));
    return ((one >> 10) & 0x00010001u) * 0xffffu;
}
DEVICE half2 min2(half2 a, half2 b) {
    unsigned mask = less2(a, b);
    return (a & mask) | (b & ~mask);
}
DEVICE half2 max2(half2 a, half2 b) {
    unsigned mask = less2(b, a);
    return (a & mask) | (b & ~mask);
}
#endif

// Four 8×8 matrices of fp16 from shared memory. Lanes 8i … 8i+7 bring the addresses of the rows of matrix i
// (16 bytes each); a[i] = row lane / 4, columns 2t…2t+1 of matrix i, with t = lane % 4.
DEVICE void load_matrices(half2 (&a)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3])
                 : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
                 : "memory");
}

// sum += a · b of a warp: a 16×16 and b 16×8 fp16, sum 16×8 fp32. With group = lane / 4 and t = lane % 4:
//   a[0] = a(group, 2t…2t+1)   a[1] = a(group+8, 2t…)   a[2] = a(group, 2t+8…)   a[3] = a(group+8, 2t+8…)
//   b.x = b(2t…2t+1, group)    b.y = b(2t+8…, group)
//   sum[0…1] = sum(group, 2t…2t+1)    sum[2…3] = sum(group+8, 2t…2t+1)
// (PTX ISA, "Matrix fragments for mma.m16n8k16 with floating point type".)
DEVICE void multiply_add(float (&sum)[4], const half2 (&a)[4], uint2 b) {
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y));
#else
    // Turing multiplies half as deep.
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(b.x));
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[2]), "r"(a[3]), "r"(b.y));
#endif
}
