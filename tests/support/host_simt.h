// The functions of paragon_stream/kernels/simt.cuh on a CPU, to run the kernels' own source without a GPU.
//
// A block's threads are fibers on one operating-system thread. A fiber runs until it has to wait: at
// sync_block() for the whole block, at every function that a warp computes together for the other 31 lanes.
// Who goes on next is up to `order` (forward, backward, random), so what depends on the order of threads
// between two barriers, a race, gives different results. Waiting for lanes that have returned or wait for
// something else is reported, as is a byte written outside of shared memory.

#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

typedef unsigned int half2;
typedef unsigned char u8;
typedef unsigned short u16;
struct uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
static inline uint2 make_uint2(unsigned x, unsigned y) { return uint2{x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return uint4{x, y, z, w}; }

#define DEVICE [[maybe_unused]] static inline
#define DEVICE_METHOD inline
#define KERNEL(name, threads, blocks) static void name
#define SHARED_MEMORY(name) uint4* name = reinterpret_cast<uint4*>(machine.shared)

enum class Wait { NOTHING, BLOCK, WARP, RETURNED };

struct Deposit { unsigned a[4], b[2], value; const unsigned* row; };

// A fiber begins on its stack by `context`; from then on it is left and entered by jumps, which ask the operating
// system nothing.
struct Thread {
    ucontext_t context;
    jmp_buf place;
    bool begun;
    std::unique_ptr<char[]> stack;
    Wait wait;
    const char* at;   // name of the function it waits in
    unsigned turns;   // warp functions it has been through
};

struct Machine {
    jmp_buf scheduler;
    std::vector<Thread> threads;
    std::vector<Deposit> deposits;  // [thread][turn % 2]: nobody is two turns ahead of a lane that still reads
    int current, block_x, block_y;
    unsigned char* shared;
    std::string error;
};
static Machine machine;
static float half_to_float[65536];

static void wait_for(Wait what, const char* name) {
    Thread& thread = machine.threads[machine.current];
    thread.wait = what;
    thread.at = name;
    if (!_setjmp(thread.place)) _longjmp(machine.scheduler, 1);
}

// Lets a thread run until it waits or returns.
__attribute__((noinline)) static void resume(Thread& thread) {
    if (_setjmp(machine.scheduler)) return;
    if (thread.begun) _longjmp(thread.place, 1);
    thread.begun = true;
    setcontext(&thread.context);
}

DEVICE int thread_index() { return machine.current; }
DEVICE int block_x() { return machine.block_x; }
DEVICE int block_y() { return machine.block_y; }
DEVICE void sync_block() { wait_for(Wait::BLOCK, "sync_block"); }

// All lanes of the warp bring `own`; the result is everybody's, by lane.
static const Deposit* meet(const Deposit& own, const char* name, Deposit (&all)[32]) {
    int me = machine.current, first = me / 32 * 32;
    unsigned turn = machine.threads[me].turns++ % 2;
    machine.deposits[2 * me + turn] = own;
    wait_for(Wait::WARP, name);
    for (int lane = 0; lane < 32; ++lane) all[lane] = machine.deposits[2 * (first + lane) + turn];
    return all;
}

DEVICE void sync_warp() {
    Deposit all[32];
    meet(Deposit{}, "sync_warp", all);
}

static unsigned from_lane(unsigned value, int distance, const char* name) {
    Deposit own{}, all[32];
    own.value = value;
    meet(own, name, all);
    int lane = machine.current % 32, other = lane + distance;
    return all[other < 0 || other > 31 ? lane : other].value;
}
DEVICE unsigned from_below(unsigned value, int count) { return from_lane(value, -count, "from_below"); }
DEVICE unsigned from_above(unsigned value, int count) { return from_lane(value, count, "from_above"); }

DEVICE int renewed(int value) { return value; }

DEVICE void raise_flag(unsigned* flag) { *flag |= 1u; }
DEVICE float as_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
DEVICE int round_even(float value) { return std::isnan(value) ? 0 : static_cast<int>(std::lrint(value)); }

static float low(half2 v) { return half_to_float[v & 0xffffu]; }
static float high(half2 v) { return half_to_float[v >> 16]; }
static unsigned half_bits(double value) {
    _Float16 rounded = static_cast<_Float16>(value);
    uint16_t bits;
    memcpy(&bits, &rounded, 2);
    return bits;
}
static half2 halves(double first, double second) { return half_bits(first) | half_bits(second) << 16; }

DEVICE half2 pack(float first, float second) { return halves(first, second); }
DEVICE half2 fma2(half2 a, half2 b, half2 c) {
    return halves(double(low(a)) * low(b) + low(c), double(high(a)) * high(b) + high(c));
}
DEVICE half2 add2(half2 a, half2 b) { return halves(double(low(a)) + low(b), double(high(a)) + high(b)); }
DEVICE half2 abs2(half2 a) { return a & 0x7fff7fffu; }
// The number where one of two is not a number, as PTX has it.
DEVICE half2 min2(half2 a, half2 b) {
    return halves(low(a) < low(b) ? low(a) : low(b), high(a) < high(b) ? high(a) : high(b));
}
DEVICE half2 max2(half2 a, half2 b) {
    return halves(low(b) < low(a) ? low(a) : low(b), high(b) < high(a) ? high(a) : high(b));
}

DEVICE void load_matrices(half2 (&a)[4], const void* row) {
    Deposit own{}, all[32];
    own.row = static_cast<const unsigned*>(row);
    if (reinterpret_cast<uintptr_t>(row) % 16) machine.error = "load_matrices: a row is not aligned to 16 bytes";
    meet(own, "load_matrices", all);
    int lane = machine.current % 32;
    for (int i = 0; i < 4; ++i) a[i] = all[8 * i + lane / 4].row[lane % 4];
}

DEVICE void multiply_add(float (&sum)[4], const half2 (&a)[4], uint2 b) {
    Deposit own{}, all[32];
    memcpy(own.a, a, sizeof own.a);
    own.b[0] = b.x;
    own.b[1] = b.y;
    meet(own, "multiply_add", all);
    int lane = machine.current % 32, group = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) {
        int row = group + (i < 2 ? 0 : 8), column = 2 * t + (i & 1);
        double total = sum[i];
        for (int k = 0; k < 16; ++k) {
            half2 left = all[row % 8 * 4 + k % 8 / 2].a[(row >= 8) + 2 * (k >= 8)];
            half2 right = all[column * 4 + k % 8 / 2].b[k >= 8];
            total += double(k & 1 ? high(left) : low(left)) * (k & 1 ? high(right) : low(right));
        }
        sum[i] = static_cast<float>(total);
    }
}

// ---- launching -----------------------------------------------------------------------------------------------

struct Kernel {
    virtual void call(const uint64_t* arguments) const = 0;
    virtual ~Kernel() = default;
};

template <class... A>
struct Typed : Kernel {
    void (*function)(A...);
    explicit Typed(void (*f)(A...)) : function(f) {}
    template <class T>
    static T from(uint64_t bits) {
        if constexpr (std::is_pointer_v<T>) return reinterpret_cast<T>(bits);
        else return static_cast<T>(static_cast<int64_t>(bits));
    }
    template <size_t... I>
    void spread(const uint64_t* arguments, std::index_sequence<I...>) const { function(from<A>(arguments[I])...); }
    void call(const uint64_t* arguments) const override { spread(arguments, std::index_sequence_for<A...>{}); }
};

template <class... A>
static std::unique_ptr<Kernel> typed(void (*f)(A...)) { return std::make_unique<Typed<A...>>(f); }

static const Kernel* running;
static const uint64_t* running_arguments;

static void thread_main() {
    running->call(running_arguments);
    machine.threads[machine.current].wait = Wait::RETURNED;
    _longjmp(machine.scheduler, 1);
}

// Lets a warp go on whose lanes all wait in the same function. False if it cannot.
static bool release_warp(int first) {
    int here = 0;
    bool same = true;
    for (int i = first; i < first + 32; ++i) {
        const Thread& thread = machine.threads[i];
        here += thread.wait == Wait::WARP;
        same = same && thread.wait == Wait::WARP && !strcmp(thread.at, machine.threads[first].at);
    }
    if (here && !same) machine.error = std::string("a warp is not together at ") + machine.threads[first].at;
    for (int i = first; same && i < first + 32; ++i) machine.threads[i].wait = Wait::NOTHING;
    return same;
}

// The same for the block, where all of its threads wait for it.
static bool release_block() {
    int waiting = 0, returned = 0, count = static_cast<int>(machine.threads.size());
    for (const Thread& thread : machine.threads) {
        waiting += thread.wait == Wait::BLOCK;
        returned += thread.wait == Wait::RETURNED;
    }
    if (waiting && returned) machine.error = "threads wait for others that have returned";
    if (waiting != count) return false;
    for (Thread& thread : machine.threads) thread.wait = Wait::NOTHING;
    return true;
}

static uint64_t next_random(uint64_t& state) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
}

static void shuffle(std::vector<int>& indices, int order, uint64_t& random) {
    int count = static_cast<int>(indices.size());
    for (int i = 0; i < count; ++i) indices[i] = order == 1 ? count - 1 - i : i;
    for (int i = count - 1; order == 2 && i > 0; --i) std::swap(indices[i], indices[next_random(random) % (i + 1)]);
}

static void run_block(int order, uint64_t& random) {
    int count = static_cast<int>(machine.threads.size());
    for (Thread& thread : machine.threads) {
        getcontext(&thread.context);
        thread.context.uc_stack.ss_sp = thread.stack.get();
        thread.context.uc_stack.ss_size = 1 << 17;
        thread.context.uc_link = nullptr;
        makecontext(&thread.context, thread_main, 0);
        thread.wait = Wait::NOTHING;
        thread.turns = 0;
        thread.begun = false;
    }
    // One warp after the other, each as far as it gets alone; in random order they overtake each other.
    std::vector<int> lanes(32), warps(count / 32);
    do {
        bool any;
        do {
            any = false;
            shuffle(warps, order, random);
            for (int warp : warps) {
                do {
                    shuffle(lanes, order, random);
                    for (int lane : lanes) {
                        machine.current = 32 * warp + lane;
                        Thread& thread = machine.threads[machine.current];
                        if (thread.wait == Wait::NOTHING) resume(thread);
                    }
                    if (!release_warp(32 * warp)) break;
                    any = true;
                } while (order != 2 || next_random(random) % 4);
            }
        } while (any && machine.error.empty());
    } while (machine.error.empty() && release_block());
}

constexpr size_t GUARD = 4096;

// Runs a kernel over a grid; `fill` is what shared memory and the bytes around it hold at first. Null, or what
// went wrong.
static const char* launch_kernel(const Kernel& kernel, int grid_x, int grid_y, int threads, int shared_bytes, int order,
                                 int fill, const uint64_t* arguments) {
    for (int i = 0; i < 65536; ++i) {
        uint16_t bits = static_cast<uint16_t>(i);
        _Float16 value;
        memcpy(&value, &bits, 2);
        half_to_float[i] = static_cast<float>(value);
    }
    running = &kernel;
    running_arguments = arguments;
    machine.error.clear();
    machine.threads = std::vector<Thread>(threads);
    for (Thread& thread : machine.threads) thread.stack = std::make_unique<char[]>(1 << 17);
    machine.deposits.assign(2 * threads, Deposit{});
    std::vector<unsigned char> memory(2 * GUARD + shared_bytes + 16);
    size_t start = GUARD + (16 - (reinterpret_cast<uintptr_t>(memory.data()) + GUARD) % 16) % 16;
    machine.shared = memory.data() + start;
    uint64_t random = 1;
    for (int n = 0; n < grid_x * grid_y && machine.error.empty(); ++n) {
        int index = order == 1 ? grid_x * grid_y - 1 - n : n;
        machine.block_x = index % grid_x;
        machine.block_y = index / grid_x;
        memset(memory.data(), fill, memory.size());
        run_block(order, random);
        for (size_t i = 0; i < memory.size(); ++i) {
            bool inside = i >= start && i < start + shared_bytes;
            if (!inside && memory[i] != fill) machine.error = "a thread wrote outside of shared memory";
        }
    }
    return machine.error.empty() ? nullptr : machine.error.c_str();
}
