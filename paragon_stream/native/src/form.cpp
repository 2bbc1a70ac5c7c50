// All kernels for one set of instructions. The build compiles this file once per form (see native/build.py), with
// FORM, its name, FORM_LANES and one of FORM_FP32, FORM_BF16 and FORM_FP16 defined. Nothing here may be shared between forms: what the linker
// merges could bring instructions of one into another, so everything is static.
#include <stddef.h>
#include <string.h>  // not in the namespace: there GCC would call memcpy for every sample instead of inlining it

#include "abi.h"

namespace {
#include "realtime.h"
#include "resize.h"
#include "stream.h"

#if HAS_AMX
typedef Amx Operands;
#elif FORM_BF16
typedef Paired Operands;
#elif FORM_FP16
typedef Halves Operands;
#else
typedef Exact Operands;
#endif

int64_t realtime(const Program *program, const Frame *frame, const Task *task, void *scratch) {
    Scratch memory = {(uint8_t *)scratch, 0};
    Realtime<Operands, 16> network;
    network.make(memory, program, frame, task);
    if (scratch) {
        Operands::Registers registers;
        network.run();
    }
    return memory.used;
}

typedef Stream<Operands, 32> StreamNetwork;

void stream_plan(const Program *program, StreamPlan *plan) {
    StreamNetwork network;
    network.make(program, nullptr);
    plan->map_bytes = network.map_bytes();
    plan->vectors = network.vectors;
    plan->passes = program->blocks + 2;
}

// The rows of a pass, as a task's.
void stream_rows(const Program *program, int32_t pass, Task *task) {
    StreamNetwork network;
    network.make(program, nullptr);
    *task = {0, network.vectors, network.first_row(pass), network.end_row(pass)};
}

int64_t stream_pass(const Program *program, const Frame *frame, int32_t pass, const Task *task, void *from, void *to,
                    void *scratch) {
    Scratch memory = {(uint8_t *)scratch, 0};
    StreamNetwork network;
    network.make(program, frame);
    if (pass == 0) {
        network.first_pass(memory, task, network.map(to));
    } else if (pass <= program->blocks) {
        Operands::Registers registers;
        network.block_pass(memory, pass - 1, task, network.map(from), network.map(to));
    } else {
        network.last_pass(memory, task, network.map(from));
    }
    return memory.used;
}

void stream_close(const Program *program, const Task *task, void *map) {
    StreamNetwork network;
    network.make(program, nullptr);
    network.close_rows(network.map(map), task->top, task->bottom);
}

int64_t resize(const Resize *how, const Plane *from, const Plane *to, const Task *task, void *scratch) {
    Scratch memory = {(uint8_t *)scratch, 0};
    Resizer resizer;
    resizer.make(memory, how, from);
    if (scratch) resizer.run(*to, task->top, task->bottom);
    return memory.used;
}

// What the processor can do at most: sums that stay in registers. Returns the multiply-adds done.
int64_t peak(int64_t rounds) {
#if HAS_AMX
    return amx_peak(rounds);
#else
    static volatile float source = 0.5f, sink;
    V acc[BLOCK][DENSE] = {}, x[DENSE];
    float w[BLOCK];
    for (int o = 0; o < BLOCK; o++) w[o] = source;
    UNROLL for (int v = 0; v < DENSE; v++) x[v] = splat(source);
    for (int64_t i = 0; i < rounds; i++) {
        UNROLL for (int o = 0; o < BLOCK; o++) {
            UNROLL for (int v = 0; v < DENSE; v++) Operands::add(acc[o][v], x[v], w[o]);
        }
    }
    V sum = {};
    UNROLL for (int o = 0; o < BLOCK; o++) {
        UNROLL for (int v = 0; v < DENSE; v++) sum += acc[o][v];
    }
    sink = sum[0];
    return rounds * BLOCK * DENSE * L * Operands::channels * Operands::Maps::vectors;
#endif
}
}  // namespace

#define JOINED_(a, b) a##b
#define JOINED(a, b) JOINED_(a, b)
extern "C" {
extern EXPORTED const Form JOINED(paragon_form_, FORM);
const Form JOINED(paragon_form_, FORM) = {
    L * Operands::Maps::vectors, BLOCK, realtime, stream_plan, stream_rows, stream_pass, stream_close, resize, peak,
};
}
