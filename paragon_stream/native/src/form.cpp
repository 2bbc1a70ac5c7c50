// All kernels for one set of instructions. The build compiles this file once per form (see native/build.py), with
// FORM, its name, FORM_LANES and FORM_OPERANDS defined. Nothing here may be shared between forms: what the linker
// merges could bring instructions of one into another, so everything is static.
#include "abi.h"

namespace {
#include "realtime.h"

#if FORM_OPERANDS == 2
typedef Paired Operands;
#else
typedef Exact Operands;
#endif

int64_t realtime_scratch(const Program *program, const Task *task) {
    Scratch memory = {nullptr, 0};
    Realtime<Operands, 16> network;
    network.make(memory, program, nullptr, task);
    return memory.used;
}

void realtime(const Program *program, const Frame *frame, const Task *task, void *scratch) {
    Scratch memory = {(uint8_t *)scratch, 0};
    Realtime<Operands, 16> network;
    network.make(memory, program, frame, task);
    network.run();
}
}  // namespace

#define JOINED_(a, b) a##b
#define JOINED(a, b) JOINED_(a, b)
extern "C" {
extern EXPORTED const Form JOINED(paragon_form_, FORM);
const Form JOINED(paragon_form_, FORM) = {
    FORM_LANES, BLOCK, FORM_OPERANDS, 0, realtime_scratch, realtime,
};
}
