/* A libcuda.so.1 without a GPU, so that CudaDevice's calls go through the real cuda-bindings in tests, and FFmpeg's
 * hardware frames (with libnvcuvid_stub.c) through FFmpeg.
 *
 * Device memory is host memory, everything runs when it is queued. It knows one kernel, "double" (see
 * device_material.py), captures memsets and launches into graphs, and counts what is alive: at exit it prints the
 * number of handles that were never given back. Calls in the wrong order or without a context fail as CUDA's do. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int Result;
typedef uint64_t Pointer;
enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_CONTEXT = 201, NOT_FOUND = 500, BAD_HANDLE = 400 };
enum { LIMIT = 64 << 20 };
#define NEED_CONTEXT if (!depth) return NO_CONTEXT

static __thread int depth;
static int alive;
static size_t used;

typedef struct { int memset_; Pointer at; unsigned word; size_t words; uint64_t args[5]; int32_t sizes[6]; } Node;
typedef struct { int count; Node nodes[64]; } Graph;
typedef struct { char magic; Graph *capture; } Stream;
typedef struct { char magic; unsigned flags; float time; int recorded; } Event;
static float now;

static void *made(size_t size, char magic) { alive++; char *p = calloc(1, size); *p = magic; return p; }
static Result gone(void *p) { if (!p) return BAD_HANDLE; alive--; free(p); return OK; }
__attribute__((destructor)) static void report(void) { fprintf(stderr, "stub: %d alive, %d contexts\n", alive, depth); }

Result cuInit(unsigned flags) { return flags ? INVALID_VALUE : OK; }
Result cuDriverGetVersion(int *v) { *v = 13020; return OK; }
Result cuDeviceGetCount(int *n) { *n = 2; return OK; }
Result cuDeviceGet(int *d, int ordinal) { *d = ordinal + 40; return OK; }
Result cuDeviceGetName(char *name, int length, int d) { snprintf(name, length, "Stub %d", d - 40); return OK; }
Result cuDeviceTotalMem(size_t *bytes, int d) { *bytes = (size_t)8 << 30; return OK; }
Result cuDeviceGetAttribute(int *value, int which, int d) {
    *value = which == 75 ? 8 : which == 76 ? 6 : which == 16 ? 28 : which == 14 ? 512 : -1;
    /* sm_86, 28 multiprocessors, textures begin at multiples of 512 bytes */
    return OK;
}
Result cuGetErrorName(Result r, const char **name) { *name = "CUDA_ERROR_OF_THE_STUB"; return OK; }
Result cuGetErrorString(Result r, const char **text) {
    *text = r == OUT_OF_MEMORY ? "out of memory" : r == NO_CONTEXT ? "invalid device context"
          : r == NOT_FOUND ? "named symbol not found" : "invalid argument";
    return OK;
}
static int retained[2];
static unsigned context_flags[2];
Result cuDevicePrimaryCtxRetain(void **context, int d) {
    alive++; retained[d - 40]++; *context = (void *)(uintptr_t)(d + 1000);
    return OK;
}
Result cuDevicePrimaryCtxRelease(int d) { alive--; retained[d - 40]--; return OK; }
Result cuDevicePrimaryCtxGetState(int d, unsigned *flags, int *active) {
    *flags = context_flags[d - 40]; *active = retained[d - 40] > 0;
    return OK;
}
Result cuDevicePrimaryCtxSetFlags(int d, unsigned flags) { context_flags[d - 40] = flags; return OK; }
Result cuCtxPushCurrent(void *c) { if ((uintptr_t)c < 1040) return INVALID_VALUE; depth++; return OK; }
Result cuCtxPopCurrent(void **c) { NEED_CONTEXT; depth--; if (c) *c = (void *)1040; return OK; }
Result cuMemGetInfo(size_t *free_, size_t *total) { NEED_CONTEXT; *free_ = LIMIT - used; *total = LIMIT; return OK; }

Result cuMemAlloc(Pointer *p, size_t size) {
    NEED_CONTEXT;
    if (!size) return INVALID_VALUE;
    if (used + size > LIMIT) return OUT_OF_MEMORY;
    used += size; alive++;
    size_t *block = aligned_alloc(256, (size + 511) / 256 * 256);
    *block = size; *p = (Pointer)block + 256;
    memset((void *)*p, 0xcd, size);
    return OK;
}
Result cuMemFree(Pointer p) { NEED_CONTEXT; alive--; used -= *(size_t *)(p - 256); free((void *)(p - 256)); return OK; }
Result cuMemHostAlloc(void **p, size_t size, unsigned flags) {
    NEED_CONTEXT;
    if (flags != 1) return INVALID_VALUE; /* portable */
    alive++; *p = malloc(size); memset(*p, 0xee, size);
    return OK;
}
Result cuMemFreeHost(void *p) { NEED_CONTEXT; return gone(p); }

Result cuStreamCreate(void **s, unsigned flags) {
    NEED_CONTEXT;
    if (flags != 1) return INVALID_VALUE; /* non-blocking */
    *s = made(sizeof(Stream), 's');
    return OK;
}
Result cuStreamDestroy(void *s) { NEED_CONTEXT; return gone(s); }
Result cuEventCreate(void **e, unsigned flags) {
    NEED_CONTEXT;
    Event *made_ = made(sizeof(Event), 'e'); made_->flags = flags; *e = made_;
    return OK;
}
Result cuEventDestroy(void *e) { NEED_CONTEXT; return gone(e); }
static int is(const void *p, char magic) {
    if (magic == 's' && (uintptr_t)p <= 1) return 1; /* the default stream, without a name and as CU_STREAM_LEGACY */
    return p && *(const char *)p == magic;
}
static int captures(const void *s) { return (uintptr_t)s > 1 && ((const Stream *)s)->capture; }
Result cuEventRecord(void *e, void *s) {
    NEED_CONTEXT;
    if (!is(e, 'e') || !is(s, 's') || captures(s)) return BAD_HANDLE;
    ((Event *)e)->time = now += 1; ((Event *)e)->recorded = 1;
    return OK;
}
Result cuStreamWaitEvent(void *s, void *e, unsigned flags) {
    NEED_CONTEXT; return is(e, 'e') && is(s, 's') && !flags ? OK : BAD_HANDLE;
}
Result cuEventSynchronize(void *e) { NEED_CONTEXT; return is(e, 'e') ? OK : BAD_HANDLE; }
Result cuEventQuery(void *e) { NEED_CONTEXT; return is(e, 'e') ? OK : BAD_HANDLE; }
Result cuEventElapsedTime(float *ms, void *a, void *b) {
    NEED_CONTEXT;
    Event *x = a, *y = b;
    if (!is(a, 'e') || !is(b, 'e') || (x->flags | y->flags) & 2 || !x->recorded || !y->recorded) return BAD_HANDLE;
    *ms = y->time - x->time;
    return OK;
}

Result cuMemcpyHtoDAsync(Pointer to, const void *from, size_t n, void *s) {
    NEED_CONTEXT; if (!is(s, 's')) return BAD_HANDLE; memcpy((void *)to, from, n); return OK;
}
Result cuMemcpyDtoHAsync(void *to, Pointer from, size_t n, void *s) {
    NEED_CONTEXT; if (!is(s, 's')) return BAD_HANDLE; memcpy(to, (void *)from, n); return OK;
}
typedef struct {
    size_t from_x, from_y; int from_type; const void *from_host; Pointer from_device; void *from_array; size_t from_pitch;
    size_t to_x, to_y; int to_type; void *to_host; Pointer to_device; void *to_array; size_t to_pitch;
    size_t width, height;
} Rectangle;
Result cuMemcpy2DAsync(const Rectangle *r, void *s) {
    NEED_CONTEXT;
    if (!is(s, 's') || r->from_x || r->from_y || r->to_x || r->to_y) return BAD_HANDLE;
    if (r->from_type < 1 || r->from_type > 2 || r->to_type < 1 || r->to_type > 2) return INVALID_VALUE;
    const char *from = r->from_type == 1 ? r->from_host : (const char *)r->from_device;
    char *to = r->to_type == 1 ? r->to_host : (char *)r->to_device;
    for (size_t y = 0; y < r->height; y++) memcpy(to + y * r->to_pitch, from + y * r->from_pitch, r->width);
    return OK;
}

static void run(const Node *n) {
    if (n->memset_) {
        for (size_t i = 0; i < n->words; i++) ((unsigned *)n->at)[i] = n->word;
        return;
    }
    const char *source = (char *)n->args[0];
    char *target = (char *)n->args[1];
    float strength = *(float *)n->args[2];
    int pitch = n->sizes[0], row_bytes = n->sizes[1], rows = n->sizes[2], to = n->sizes[3], sample = n->sizes[4];
    int cell = sample * n->sizes[5], add = strength >= 0 && strength <= 1 ? (int)(100 * strength + 0.5f) : 0;
    for (int y = 0; y < 2 * rows; y++)
        for (int x = 0; x < row_bytes / cell * 2; x++)
            for (int k = 0; k < cell; k += sample) {
                const char *p = source + (size_t)(y / 2) * pitch + x / 2 * cell + k;
                char *q = target + (size_t)y * to + x * cell + k;
                if (sample == 1) *(uint8_t *)q = *(uint8_t *)p + add;
                else *(uint16_t *)q = *(uint16_t *)p + add;
            }
}
static Result queue(void *s, const Node *node) {
    if (!is(s, 's')) return BAD_HANDLE;
    Graph *capture = captures(s) ? ((Stream *)s)->capture : 0;
    if (!capture) run(node);
    else if (capture->count < 64) capture->nodes[capture->count++] = *node;
    return OK;
}
Result cuMemsetD32Async(Pointer at, unsigned word, size_t words, void *s) {
    NEED_CONTEXT;
    Node node = {.memset_ = 1, .at = at, .word = word, .words = words};
    return queue(s, &node);
}
Result cuModuleLoadData(void **m, const void *image) {
    NEED_CONTEXT;
    if (strcmp(image, "doubling")) return INVALID_VALUE;
    *m = made(8, 'm');
    return OK;
}
Result cuModuleUnload(void *m) { NEED_CONTEXT; return gone(m); }
static int kernel_handle;
Result cuModuleGetFunction(void **f, void *m, const char *name) {
    NEED_CONTEXT;
    if (!is(m, 'm') || strcmp(name, "double")) return NOT_FOUND;
    *f = &kernel_handle;
    return OK;
}
Result cuFuncSetAttribute(void *f, int which, int value) {
    return f == &kernel_handle && which == 8 && value > 49152 ? OK : INVALID_VALUE;
}
Result cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                      unsigned shared, void *s, void **params, void **extra) {
    NEED_CONTEXT;
    if (f != &kernel_handle || gx * gy * gz != 1 || bx * by * bz != 32 || extra) return INVALID_VALUE;
    Node node = {0};
    for (int i = 0; i < 5; i++) node.args[i] = *(uint64_t *)params[i];
    for (int i = 0; i < 6; i++) node.sizes[i] = *(int32_t *)params[5 + i];
    return queue(s, &node);
}
Result cuStreamBeginCapture(void *s, int mode) {
    NEED_CONTEXT;
    if (!is(s, 's') || mode != 1 || ((Stream *)s)->capture) return BAD_HANDLE; /* thread-local */
    ((Stream *)s)->capture = made(sizeof(Graph), 0);
    return OK;
}
Result cuStreamEndCapture(void *s, void **graph) {
    NEED_CONTEXT;
    if (!((Stream *)s)->capture) return INVALID_VALUE;
    *graph = ((Stream *)s)->capture; ((Stream *)s)->capture = 0;
    return OK;
}
Result cuGraphInstantiateWithFlags(void **exec, void *graph, unsigned long long flags) {
    NEED_CONTEXT;
    Graph *copy = made(sizeof(Graph), 0); *copy = *(Graph *)graph; *exec = copy;
    return OK;
}
Result cuGraphDestroy(void *g) { NEED_CONTEXT; return gone(g); }
Result cuGraphExecDestroy(void *g) { NEED_CONTEXT; return gone(g); }
Result cuGraphLaunch(void *g, void *s) {
    NEED_CONTEXT;
    for (int i = 0; i < ((Graph *)g)->count; i++) run(&((Graph *)g)->nodes[i]);
    return is(s, 's') ? OK : BAD_HANDLE;
}

Result cuGetProcAddress_v2(const char *name, void **address, int version, uint64_t flags, int *status) {
    *address = dlsym(RTLD_DEFAULT, name);
    if (status) *status = *address ? 0 : 1;
    return *address ? OK : NOT_FOUND;
}

/* What FFmpeg asks for beside that, by these very names. */
Result cuMemAllocPitch(Pointer *p, size_t *pitch, size_t width, size_t height, unsigned element) {
    *pitch = (width + 511) / 512 * 512;
    return cuMemAlloc(p, *pitch * height);
}
Result cuMemcpy2D(const Rectangle *r) { return cuMemcpy2DAsync(r, 0); }
Result cuStreamSynchronize(void *s) { NEED_CONTEXT; return is(s, 's') ? OK : BAD_HANDLE; }
Result cuCtxGetDevice(int *d) { NEED_CONTEXT; *d = 40; return OK; }
Result cuDeviceComputeCapability(int *major, int *minor, int d) { *major = 8; *minor = 6; return OK; }

#define ALIAS(name) __typeof__(name) name##_v2 __attribute__((alias(#name)));
ALIAS(cuCtxPushCurrent) ALIAS(cuCtxPopCurrent) ALIAS(cuMemAlloc) ALIAS(cuMemAllocPitch) ALIAS(cuMemFree)
ALIAS(cuMemcpy2D) ALIAS(cuMemcpy2DAsync) ALIAS(cuMemcpyHtoDAsync) ALIAS(cuMemcpyDtoHAsync)
ALIAS(cuStreamDestroy) ALIAS(cuEventDestroy)

#define REFUSED(name) Result name(void) { return 801; }
REFUSED(cuArray3DCreate_v2) REFUSED(cuArrayCreate_v2) REFUSED(cuArrayDestroy) REFUSED(cuCtxCreate_v2)
REFUSED(cuCtxDestroy_v2) REFUSED(cuCtxGetCurrent) REFUSED(cuCtxSetLimit) REFUSED(cuDevicePrimaryCtxReset)
REFUSED(cuGLGetDevices_v2) REFUSED(cuGraphicsGLRegisterImage) REFUSED(cuGraphicsMapResources)
REFUSED(cuGraphicsResourceGetMappedPointer_v2) REFUSED(cuGraphicsSubResourceGetMappedArray)
REFUSED(cuGraphicsUnmapResources) REFUSED(cuGraphicsUnregisterResource) REFUSED(cuLinkAddData) REFUSED(cuLinkComplete)
REFUSED(cuLinkCreate) REFUSED(cuLinkDestroy) REFUSED(cuMemAllocManaged) REFUSED(cuMemcpy) REFUSED(cuMemcpyAsync)
REFUSED(cuMemcpyDtoDAsync_v2) REFUSED(cuMemcpyDtoD_v2) REFUSED(cuMemcpyDtoH_v2) REFUSED(cuMemcpyHtoD_v2)
REFUSED(cuMemsetD8Async) REFUSED(cuModuleGetGlobal) REFUSED(cuStreamAddCallback) REFUSED(cuStreamQuery)
REFUSED(cuTexObjectCreate) REFUSED(cuTexObjectDestroy)
