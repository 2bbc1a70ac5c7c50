// Runs one form of the CPU kernels on a bare x86-64 processor: a kernel for GRUB, used in Bochs by
// tests/support/bare_form.py. It switches to 64 bits, enables AVX-512 and AMX, computes every job that comes as a
// module, writes the planes to the first serial port, and stops. Bochs 3.0 lacks a feature (XFD) without which Linux
// does not offer AMX.
#include "run_form.h"

__asm__(R"(
.section .init, "ax"                       # which the linker places first, as GRUB requires
.balign 4
.long 0x1BADB002, 0, -0x1BADB002            # magic, flags, checksum

.bss
.balign 4096
level4: .skip 4096
level3: .skip 4096
level2: .skip 4096
stack:  .skip 1 << 20
stack_end:

.text
.code32
.globl start
start:
    cli
    movl $stack_end, %esp
    pushl %ebx                               # what GRUB says
    movl $level3 + 3, level4                 # the first GiB of memory at its own addresses, in pages of 2 MiB
    movl $level2 + 3, level3
    xorl %ecx, %ecx
1:  movl %ecx, %eax
    shll $21, %eax
    orl $0x83, %eax
    movl %eax, level2(,%ecx,8)
    incl %ecx
    cmpl $512, %ecx
    jne 1b
    movl $level4, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x40620, %eax                       # PAE, OSFXSR, OSXMMEXCPT, OSXSAVE
    movl %eax, %cr4
    movl $0xC0000080, %ecx                   # EFER: long mode
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    andl $~4, %eax                           # no emulation of the FPU
    orl $0x80000003, %eax                    # paging, protection, MP
    movl %eax, %cr0
    popl %edi
    lgdt gdt_place
    ljmp $8, $wide
.code64
wide:
    movl $0x600E7, %eax                      # XCR0: x87, SSE, AVX, AVX-512, AMX
    xorl %edx, %edx
    xorl %ecx, %ecx
    xsetbv
    movl $stack_end, %esp
    andq $-64, %rsp
    call compute_jobs
2:  hlt
    jmp 2b

.balign 8
gdt: .quad 0, 0x00AF9A000000FFFF
gdt_place: .word 15
    .long gdt
)");

extern "C" {
void *memcpy(void *to, const void *from, size_t size) {
    for (size_t i = 0; i < size; i++) ((volatile char *)to)[i] = ((const char *)from)[i];
    return to;
}
void *memset(void *to, int value, size_t size) {
    for (size_t i = 0; i < size; i++) ((volatile char *)to)[i] = (char)value;
    return to;
}
void *memmove(void *to, const void *from, size_t size) {
    if (to < from) return memcpy(to, from, size);
    while (size--) ((volatile char *)to)[size] = ((const char *)from)[size];
    return to;
}
}

enum { SERIAL = 0x3F8 };

static void out(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static uint8_t in(uint16_t port) {
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static void send(const void *from, size_t size) {
    for (size_t i = 0; i < size; i++) {
        while (!(in(SERIAL + 5) & 0x20)) {}
        out(SERIAL, ((const uint8_t *)from)[i]);
    }
}

struct Module {
    uint32_t begin, end, name, unused;
};
struct BootFacts {
    uint32_t before[5], modules, module;
};

extern "C" __attribute__((used)) void compute_jobs(const BootFacts *facts) {
    out(SERIAL + 3, 0x80);  // 115,200 baud, 8 bits
    out(SERIAL, 1);
    out(SERIAL + 1, 0);
    out(SERIAL + 3, 3);
    const Module *modules = (const Module *)(uintptr_t)facts->module;
    send("BEGIN", 5);
    for (uint32_t m = 0; m < facts->modules; m++) {
        const char *job = (const char *)(uintptr_t)modules[m].begin;
        char *free = (char *)(uintptr_t)(256 << 20);  // far from what GRUB loaded
        const auto read = [&](void *to, size_t size) {
            memcpy(to, job, size);
            job += size;
        };
        const auto zeros = [&](size_t size) {
            char *made = free;
            memset(made, 0, size);
            free += (size + 128) / 64 * 64;
            return made;
        };
        run_form(read, zeros, send);
    }
    send("END", 3);
}
