// What crosses the border between Python (native/library.py mirrors these structures) and the kernels.
//
// A program says what is computed for every frame of one size and format; a frame says where its samples lie;
// a task is a rectangle of the source whose target samples one call computes. All memory is the caller's.
#pragma once

#include <stdint.h>

#define PARAGON_ABI 7

#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

// One axis of a filter: output[J * phases + p] = sum over k of weights[p * taps + k] * input[J * step + first + k].
typedef struct {
    int32_t step, phases, first, taps;
    const float *weights;
} Bank;

// One component as it lies in memory.
typedef struct {
    uint8_t *samples;
    int64_t row_bytes;
    int32_t step;   // bytes from one sample of a row to the next
    int32_t bytes;  // of a sample: 1, 2, or 4 for floats
    int32_t shift;  // how far the value sits above bit 0
    int32_t rows, columns;
} Plane;

// How a component of the source gets to the luma grid.
typedef struct {
    Bank rows, columns;
} Input;

// Components of the source that share a grid, added up with these gains.
typedef struct {
    int32_t inputs, input[3];
    float gain[3];
} Mix;

// What the base path makes of a mix.
typedef struct {
    int32_t mix, unused;
    Bank rows, columns;
} Term;

// A convolution from conv_mid's results to cells of target samples; see framejob/native/tail.py.
// Cell J begins at source pixel J * step; its taps are pixels J * step + first ... + taps - 1.
typedef struct {
    int32_t outputs;
    int32_t first[2], taps[2], step[2];  // vertical, horizontal
    int32_t products;                    // of a tile (winograd.h), by which the weights are packed; 0: taps
    const float *weights, *bias;
} Tail;

// A component of the target.
typedef struct {
    int32_t rows, columns;
    float offset, peak;
    int32_t terms;
    int32_t tail;     // -1: the base path alone
    int32_t channel;  // the first of the tail's outputs
    int32_t cell[2];  // samples of a cell (rows, columns)
    int32_t lead[2];  // samples by which cell 0 begins before sample 0
    int32_t step[2];  // source pixels of a cell
    int32_t unused;
    const Term *term;
} Output;

// One axis of a change of size: result[i] = sum over k of weights[i * taps + k] * input[places[i * taps + k]].
typedef struct {
    int32_t size, taps;
    const int32_t *places;
    const float *weights;
} Table;

// A component at the network's scale, in floats, at another size.
typedef struct {
    Table rows, columns;
    float peak;
    int32_t unused;
} Resize;

// The weights of one block, packed by framejob/native/weights.py for the form's registers.
typedef struct {
    const void *expand;
    const float *depthwise;  // Realtime's, or Stream's gate: 9 taps and the bias of each channel
    const void *project;
    const float *near_far;   // Stream: 9 taps of each channel, near and then far
    const void *fuse;        // Stream: from near and far to the features
    float limit;             // Stream: the largest product of the gate
    int32_t unused;
} Block;

typedef struct {
    int32_t width, height;   // of the source
    int32_t features, blocks;
    int32_t seen;            // components that the network sees: the first of the inputs
    int32_t outputs, tails;
    float centre;            // taken off every code of the source
    int32_t reach[2][2];     // pixels around a task that conv_mid's results are needed for (see tail.py)
    const Input *input;
    const float *first;      // conv_in, packed
    const Block *block;
    const float *mid;
    const Tail *tail;
    const Output *output;
    const Mix *mix;
    int32_t mixes, unused;
    const float *gelu;       // a table, for forms that look it up: fp32, or fp16 where maps are
} Program;

typedef struct {
    const Plane *inputs;
    const Plane *outputs;
    const float *first_bias;  // conv_in's, with the frame's strength in it
} Frame;

// Source pixels [left, right) x [top, bottom); edges are multiples of every tail's step, or the frame's.
typedef struct {
    int32_t left, right, top, bottom;
} Task;

// How Stream is computed: pass 0 is conv_in, one for each block, then conv_mid and the tail.
typedef struct {
    int64_t map_bytes;  // of the features of a frame; two are needed
    int32_t vectors;    // of a row of them
    int32_t passes;
} StreamPlan;

// What one set of instructions offers. Scratch of a null pointer: only how much would be needed is said.
typedef struct {
    int32_t lanes;        // pixels of a feature map's vector
    int32_t block;        // outputs that a dense kernel computes at once
    int64_t (*realtime)(const Program *, const Frame *, const Task *, void *scratch);
    void (*stream_plan)(const Program *, StreamPlan *);
    // All rows of a pass. Tasks of one may be computed in any order, by several threads.
    void (*stream_rows)(const Program *, int32_t pass, Task *);
    // A task is rows [top, bottom) and, for a block, vectors [left, right). Returns the bytes of scratch.
    int64_t (*stream_pass)(const Program *, const Frame *, int32_t pass, const Task *, void *from, void *to,
                           void *scratch);
    // After a block's pass: the ends of its rows.
    void (*stream_close)(const Program *, const Task *, void *map);
    // Rows [top, bottom) of the result, a plane of its size. Rows of `from` are aligned and have room for whole
    // vectors. Returns the bytes of scratch.
    int64_t (*resize)(const Resize *, const Plane *from, const Plane *to, const Task *, void *scratch);
    int64_t (*peak)(int64_t rounds);
} Form;
