// Runs one form of the CPU kernels under qemu-user. Arguments: the job, the file for the result; none: prints lanes
// and BLOCK.
#include <cstdio>
#include <cstdlib>

#include "run_form.h"

int main(int count, char **arguments) {
    const Form &form = JOINED(paragon_form_, FORM);
    if (count < 3) {
        std::printf("%d %d\n", form.lanes, form.block);
        return 0;
    }
    std::FILE *job = std::fopen(arguments[1], "rb"), *result = std::fopen(arguments[2], "wb");
    const auto zeros = [](size_t size) {
        char *made = (char *)std::aligned_alloc(64, (size + 64) / 64 * 64);
        memset(made, 0, (size + 64) / 64 * 64);
        return made;
    };
    const auto read = [&](void *to, size_t size) {
        if (std::fread(to, 1, size, job) != size) std::exit(3);
    };
    run_form(read, zeros, [&](const void *from, size_t size) { std::fwrite(from, 1, size, result); });
    return std::fclose(result);
}
