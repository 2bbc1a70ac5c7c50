// The network from planes of codes to features, as far as it is computed in registers: conv_in, and the `RowBlocks`
// of the network. A block of threads computes a slice, SLICE columns wide, row by row from top to bottom.
//
// A row of the slice is 32 pixels in each warp, as two 16-row matrices. Pixel 4·group + 2·m + h is row group + 8·h
// of matrix m, so a lane holds four neighbouring pixels of PAIRS channel pairs, and depthwise 3×3 convolutions need
// one pixel from the lane to either side; from the warp to either side at the ends. At the slice's ends each 3×3
// convolution spoils one pixel more; only the pixels in between are stored.
//
// A row of features is x[m][2·n + h] = pair n of the pixel.

constexpr int BODY_WEIGHTS = FIRST_WEIGHTS + RowBlocks::WEIGHTS;

// features: row 0 and column LEAD are the picture's (-top, -left); there is room for `columns`. Threads (x, y)
// compute slice x and `segment` rows.
KERNEL(body, 32 * BODY_WARPS, 2)
(const u8* plane0, const u8* plane1, const u8* plane2, const uint4* weights, Pairs* features, const float* strength,
 int pitch0, int pitch1, int pitch2, int width, int height, int columns, int rows, int left, int top, int segment) {
    SHARED_MEMORY(shared);
    const int lane = thread_index() % 32, warp = thread_index() / 32, t = lane % 4;
    uint4* edges = shared + BODY_WEIGHTS;
    unsigned* ring = reinterpret_cast<unsigned*>(edges + RowBlocks::EXCHANGE);
    for (int i = thread_index(); i < BODY_WEIGHTS; i += ROW_PIXELS) shared[i] = weights[i];
    for (int i = thread_index(); i < RowBlocks::EXCHANGE; i += ROW_PIXELS) edges[i] = make_uint4(0u, 0u, 0u, 0u);
    for (int i = thread_index(); i < RING_WORDS; i += ROW_PIXELS) ring[i] = 0u;
    sync_block();

    const u8* planes[3] = {plane0, plane1, plane2};
    const int pitches[3] = {pitch0, pitch1, pitch2};
    const int first_column = block_x() * SLICE - SPOILED;  // of the features, may be before the first
    const int x = first_column - left + thread_index();
    SourceColumn source[SOURCE_COMPONENTS];
    start_source(source, planes, pitches, x, width, height);
    float bias[4 * STEPS];
    first_bias(bias, shared, strength, t);

    // Rows of the picture whose features this block stores, and the rows above and below that they depend on.
    const int first_row = block_y() * segment - top;
    const int last_row = (first_row + segment < rows - top ? first_row + segment : rows - top) - 1;
    Codes codes;
    for (int y = first_row - BLOCKS - 1; y < first_row - BLOCKS + 2; ++y) {
        fetch(codes, source, y);
        put_pixel(ring, y, pixel_of(codes, source, y));
    }
    fetch(codes, source, first_row - BLOCKS + 2);
    sync_block();
    RowBlocks blocks;
    blocks.start();
    for (int y = first_row - BLOCKS; y <= last_row + BLOCKS; ++y) {
        half2 x[2][2 * PAIRS];
        run_first(x, ring + 32 * warp, y, shared, bias, lane);
        // The row after the next; the barriers in the blocks are between this and those who read it.
        put_pixel(ring, y + 2, pixel_of(codes, source, y + 2));
        fetch(codes, source, y + 3);  // memory has all of this row's work to answer
        blocks.run(x, shared + FIRST_WEIGHTS, edges, warp, lane);
        const int row = y - BLOCKS;
        if (row < first_row) continue;
#pragma unroll
        for (int p = 0; p < 4; ++p) {
            const int pixel = 32 * warp + lane / 4 * 4 + p, column = LEAD + first_column + pixel;
            if (pixel < SPOILED || pixel >= SPOILED + SLICE || column >= columns) continue;
            half2 pairs[PAIRS];
#pragma unroll
            for (int n = 0; n < PAIRS; ++n) pairs[n] = x[p / 2][2 * n + p % 2];
            features[((row + top) * columns + place_of(column)) * 4 + t] = joined(pairs);
        }
    }
}
