"""Our own kernels for CPUs: C++ sources (`src`), how they are built, loaded and chosen. See docs/cpu.md."""
