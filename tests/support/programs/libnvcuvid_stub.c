/* A libnvcuvid.so.1 without a GPU: FFmpeg's NVDEC code runs with it as it is, over libcuda_stub.c.
 *
 * Who uses it sets `nvdec_stub_decode`, which makes a picture of a packet; the picture is put into a surface in
 * "device" memory, rows `pitch` bytes apart, chroma behind luma. Structures are those of NVIDIA's cuviddec.h, as far as
 * they are looked at. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int Result;
typedef unsigned long long Pointer;
enum { OK = 0, INVALID_VALUE = 1, NOT_SUPPORTED = 801, UNKNOWN = 999, SURFACES = 32 };
#define EXPORTED __attribute__((visibility("default")))

typedef int (*Decode)(const unsigned char *packet, unsigned size, unsigned char *luma, unsigned char *chroma, int pitch);
EXPORTED Decode nvdec_stub_decode;
EXPORTED int nvdec_stub_fail_at = -1, nvdec_stub_supported = 1, nvdec_stub_decoded, nvdec_stub_mapped;

typedef struct {
    int codec, chroma; unsigned depth_above_8, reserved1[3];
    unsigned char supported, engines; unsigned short formats; unsigned widest, highest, most_blocks;
    unsigned short narrowest, lowest;
} Capabilities;
typedef struct {
    unsigned long width, height, surfaces; int codec, chroma; unsigned long flags, depth_above_8, intra_only, most_width,
        most_height, reserved1; short area[4]; int format, deinterlace; unsigned long target_width, target_height;
} Create;
typedef struct {
    int width_in_blocks, height_in_blocks, index, field, bottom, second; unsigned size; const unsigned char *data;
} Picture;
typedef struct { int pitch, height; unsigned char *surfaces[SURFACES]; } Decoder;

extern Result cuMemAlloc_v2(Pointer *p, size_t size);
extern Result cuMemFree_v2(Pointer p);

EXPORTED Result cuvidGetDecoderCaps(Capabilities *c) {
    c->supported = nvdec_stub_supported; c->engines = 1; c->formats = 15;
    c->widest = c->highest = 8192; c->most_blocks = 1 << 20; c->narrowest = c->lowest = 16;
    return OK;
}
EXPORTED Result cuvidCreateDecoder(void **made, Create *c) {
    Decoder *d = calloc(1, sizeof *d);
    d->pitch = (c->target_width * (c->depth_above_8 ? 2 : 1) + 255) / 256 * 256; d->height = c->target_height;
    for (int i = 0; i < SURFACES && i < (int)c->surfaces; i++) {
        Pointer p;
        Result result = cuMemAlloc_v2(&p, (size_t)d->pitch * d->height * 3 / 2);
        if (result) return result;
        d->surfaces[i] = (unsigned char *)(uintptr_t)p;
    }
    *made = d;
    return OK;
}
EXPORTED Result cuvidDestroyDecoder(void *p) {
    Decoder *d = p;
    for (int i = 0; i < SURFACES; i++) if (d->surfaces[i]) cuMemFree_v2((Pointer)(uintptr_t)d->surfaces[i]);
    free(d);
    return OK;
}
EXPORTED Result cuvidDecodePicture(void *p, Picture *picture) {
    Decoder *d = p;
    if (nvdec_stub_decoded++ == nvdec_stub_fail_at) return UNKNOWN;
    unsigned char *luma = d->surfaces[picture->index];
    if (!luma || !nvdec_stub_decode) return INVALID_VALUE;
    return nvdec_stub_decode(picture->data, picture->size, luma, luma + (size_t)d->pitch * d->height, d->pitch) ? OK : UNKNOWN;
}
EXPORTED Result cuvidMapVideoFrame64(void *p, int index, Pointer *at, unsigned *pitch, void *how) {
    Decoder *d = p;
    *at = (Pointer)(uintptr_t)d->surfaces[index]; *pitch = d->pitch; nvdec_stub_mapped++;
    return OK;
}
EXPORTED Result cuvidUnmapVideoFrame64(void *p, Pointer at) { nvdec_stub_mapped--; return OK; }
EXPORTED Result cuvidCtxLockCreate(void **lock, void *context) { *lock = 0; return OK; }
EXPORTED Result cuvidCtxLockDestroy(void *lock) { return OK; }

#define REFUSED(name) EXPORTED Result name(void) { return NOT_SUPPORTED; }
REFUSED(cuvidCtxLock) REFUSED(cuvidCtxUnlock) REFUSED(cuvidGetDecodeStatus) REFUSED(cuvidReconfigureDecoder)
REFUSED(cuvidCreateVideoParser) REFUSED(cuvidParseVideoData) REFUSED(cuvidDestroyVideoParser)
REFUSED(cuvidCreateVideoSource) REFUSED(cuvidCreateVideoSourceW) REFUSED(cuvidDestroyVideoSource)
REFUSED(cuvidSetVideoSourceState) REFUSED(cuvidGetVideoSourceState) REFUSED(cuvidGetSourceVideoFormat)
REFUSED(cuvidGetSourceAudioFormat)
