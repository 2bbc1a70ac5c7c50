// After the kernels, whose names are EACH_KERNEL: how the tests call them.
extern "C" const char* launch(const char* kernel, int grid_x, int grid_y, int threads, int shared_bytes, int order,
                              int fill, const uint64_t* arguments) {
#define EACH(name) \
    if (!strcmp(kernel, #name)) \
        return launch_kernel(*typed(name), grid_x, grid_y, threads, shared_bytes, order, fill, arguments);
    EACH_KERNEL
#undef EACH
    return "there is no such kernel";
}
