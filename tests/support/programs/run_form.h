// Computes one frame by one form of the CPU kernels from a job that tests/support/foreign_form.py wrote.
#pragma once

#include "form.cpp"

// Source: read(place, size); memory: zeros(size), aligned to a cache line; result: write(place, size).
template <class Source, class Memory, class Result> static void run_form(Source read, Memory zeros, Result write) {
    enum { MOST = 4096 };
    static char *regions[MOST];
    static uint64_t sizes[MOST];
    const auto number = [&] {
        uint64_t value;
        read(&value, sizeof value);
        return value;
    };
    const Form &form = JOINED(paragon_form_, FORM);
    const uint64_t count = number();
    for (uint64_t i = 0; i < count; i++) {
        sizes[i] = number();
        const uint64_t place = number();  // in a cache line
        regions[i] = zeros(sizes[i] + place) + place;
        read(regions[i], sizes[i]);
    }
    for (uint64_t left = number(); left; left--) {
        const uint64_t region = number(), offset = number(), target = number(), place = number();
        char *pointer = regions[target] + place;
        memcpy(regions[region] + offset, &pointer, 8);
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
        }
    }
    for (uint64_t left = number(); left; left--) {
        const uint64_t region = number();
        write(regions[region], sizes[region]);
    }
}
