// After the kernels: how the tests call them.
extern "C" const char* launch(const char* kernel, int grid_x, int grid_y, int threads, int shared_bytes, int order,
                              int fill, const uint64_t* arguments) {
    auto found = !strcmp(kernel, "body") ? typed(body) : typed(head);
    return launch_kernel(*found, grid_x, grid_y, threads, shared_bytes, order, fill, arguments);
}
