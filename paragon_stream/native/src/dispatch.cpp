// What the processor says of itself, for native/forms.py, which chooses. Compiled for any processor.
#include "abi.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#if defined(__x86_64__) || defined(_M_X64)
static void cpuid(uint32_t leaf, uint32_t part, uint32_t *to) {
    __asm__ volatile("cpuid" : "=a"(to[0]), "=b"(to[1]), "=c"(to[2]), "=d"(to[3]) : "a"(leaf), "c"(part));
}
#endif

extern "C" EXPORTED int32_t paragon_abi(void) { return PARAGON_ABI; }

// Asks Linux for AMX's tile registers, for all threads of the process: each process has to, once. Other systems have
// other ways, which are not used here. Linux kernels before 5.16 refuse.
static bool may_use_tiles() {
#if defined(__x86_64__) && defined(__linux__)
    enum { REQUEST_COMPONENT = 0x1023, TILE_DATA = 18 };  // Documentation/arch/x86/xstate.rst
    return syscall(SYS_arch_prctl, REQUEST_COMPONENT, TILE_DATA) == 0;
#else
    return false;
#endif
}

static bool has_arm_fp16() {
#if defined(__aarch64__) && defined(__linux__)
    enum { ASIMDHP = 1 << 10 };  // Documentation/arch/arm64/elf_hwcaps.rst
    return getauxval(AT_HWCAP) & ASIMDHP;
#elif defined(__aarch64__) && defined(__APPLE__)
    int has = 0;
    size_t size = sizeof has;
    return sysctlbyname("hw.optional.arm.FEAT_FP16", &has, &size, nullptr, 0) == 0 && has;
#else
    return false;
#endif
}

// leaves: ecx of leaf 1; ebx, ecx, edx of leaf 7; eax of leaf 7.1; what the system keeps of registers (XCR0);
// the maker's name; bit 0: the system lets this process use AMX's tile registers, bit 1: ARM's fp16 arithmetic.
extern "C" EXPORTED void paragon_cpu(uint32_t leaves[10]) {
    for (int i = 0; i < 10; i++) leaves[i] = 0;
#if defined(__x86_64__) || defined(_M_X64)
    uint32_t r[4];
    cpuid(0, 0, r);
    const uint32_t most = r[0];
    leaves[6] = r[1];
    leaves[7] = r[3];
    leaves[8] = r[2];
    cpuid(1, 0, r);
    leaves[0] = r[2];
    if (most >= 7) {
        cpuid(7, 0, r);
        const uint32_t parts = r[0];
        leaves[1] = r[1];
        leaves[2] = r[2];
        leaves[3] = r[3];
        if (parts >= 1) {
            cpuid(7, 1, r);
            leaves[4] = r[0];
        }
    }
    if (leaves[0] >> 27 & 1) {  // the system lets programs read it
        uint32_t low, high;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        leaves[5] = low;
    }
    const bool has_tiles = leaves[3] >> 24 & 1;
    leaves[9] = has_tiles && may_use_tiles();
#endif
    leaves[9] |= has_arm_fp16() << 1;
}
