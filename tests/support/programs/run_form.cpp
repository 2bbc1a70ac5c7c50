// Runs one form of the CPU kernels on a job written by tests/support/foreign_form.py: for processors that Python
// does not run on, under qemu-user. Arguments: the job, the file for the result; none: prints lanes and BLOCK.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "form.cpp"

static std::FILE *file;

static uint64_t number() {
    uint64_t value;
    if (std::fread(&value, 8, 1, file) != 1) std::exit(3);
    return value;
}

static char *zeros(size_t size) {
    char *made = (char *)std::aligned_alloc(64, (size + 64) / 64 * 64);
    std::memset(made, 0, (size + 64) / 64 * 64);
    return made;
}

int main(int count, char **arguments) {
    const Form &form = JOINED(paragon_form_, FORM);
    if (count < 3) {
        std::printf("%d %d\n", form.lanes, form.block);
        return 0;
    }
    file = std::fopen(arguments[1], "rb");
    std::vector<char *> regions(number());
    std::vector<size_t> sizes;
    for (char *&region : regions) {
        sizes.push_back(number());
        region = zeros(sizes.back());
        if (std::fread(region, 1, sizes.back(), file) != sizes.back()) return 3;
    }
    for (uint64_t left = number(); left; left--) {
        const uint64_t region = number(), offset = number(), target = number(), place = number();
        char *pointer = regions[target] + place;
        std::memcpy(regions[region] + offset, &pointer, 8);
    }
    const Program *program = (const Program *)regions[number()];
    const Frame *frame = (const Frame *)regions[number()];
    const bool stream = number();
    if (!stream) {
        const Task task = {0, program->width, 0, program->height};
        char *scratch = zeros(form.realtime(program, nullptr, &task, nullptr));
        form.realtime(program, frame, &task, scratch);
    } else {
        StreamPlan plan;
        form.stream_plan(program, &plan);
        char *maps[2] = {zeros(plan.map_bytes), zeros(plan.map_bytes)};
        for (int pass = 0; pass < plan.passes; pass++) {
            Task rows = {};
            form.stream_rows(program, pass, &rows);
            const Task task = {0, plan.vectors, rows.top, rows.bottom};
            char *from = maps[(pass + 1) % 2], *to = maps[pass % 2];
            char *scratch = zeros(form.stream_pass(program, frame, pass, &task, from, to, nullptr));
            form.stream_pass(program, frame, pass, &task, from, to, scratch);
            if (pass < plan.passes - 1) form.stream_close(program, &rows, to);
            std::free(scratch);
        }
    }
    std::FILE *result = std::fopen(arguments[2], "wb");
    for (uint64_t left = number(); left; left--) {
        const uint64_t region = number();
        std::fwrite(regions[region], 1, sizes[region], result);
    }
    return std::fclose(result);
}
