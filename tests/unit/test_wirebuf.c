/* The session's buffers against a plain queue, in long random runs: the same bytes come out in the same order, the ceiling holds, and
 * memory stays below twice the ceiling and what was asked for. */
#include <stdlib.h>
#include <string.h>

#include "p2p/wirebuf.h"
#include "tests/unit/tap.h"

static uint32_t pick(uint32_t *state, uint32_t below)
{
	*state = *state * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)(*state >> 8) * below >> 24);
}

static void run(size_t max, uint32_t longest, uint32_t seed)
{
	struct wirebuf w;
	uint32_t state = seed;
	uint8_t put = 0, take = 0; /* the bytes count up: the queue needs no memory of its own */
	bool same = true, bounded = true;
	size_t refused = 0, moved = 0, model = 0;
	wirebuf_init(&w, max);
	for (unsigned i = 0; i < 20000 && same; i++) {
		const size_t n = pick(&state, longest + 1);
		if (pick(&state, 9) < 5) {
			uint8_t *room = wirebuf_room(&w, n);
			same = (room != NULL) == (model + n <= max);
			refused += !room;
			for (size_t k = 0; room && k < n; k++)
				room[k] = put++;
			w.end += room ? n : 0;
			model += room ? n : 0;
		} else {
			size_t taken = n < model ? n : model;
			for (size_t k = 0; k < taken; k++)
				same = same && w.bytes[w.at + k] == take++;
			w.at += taken;
			moved += taken;
			model -= taken;
		}
		same = same && wirebuf_len(&w) == model;
		bounded = bounded && w.cap <= 2 * max + longest + 512 && w.end <= w.cap;
		if (!model && pick(&state, 20) == 0)
			wirebuf_release(&w);
	}
	OK(same && bounded, "ceiling %zu, pieces to %u: %zu bytes through, %zu refused, %zu of memory", max, longest, moved, refused, w.cap);
	wirebuf_release(&w);
	OK(!w.bytes && !w.cap && w.max == max, "released");
}

int main(void)
{
	static const struct { size_t max; uint32_t longest; } sizes[] = {{1, 2}, {100, 30}, {1000, 999}, {5000, 40}, {65536, 20000}, {10000, 12000}};
	for (uint32_t seed = 1; seed < 6; seed++)
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
			run(sizes[i].max, sizes[i].longest, seed);
	struct wirebuf w;
	wirebuf_init(&w, 10);
	OK(!wirebuf_room(&w, SIZE_MAX) && !wirebuf_room(&w, 11) && wirebuf_room(&w, 10), "no sum overflows");
	w.end += 10;
	OK(!wirebuf_room(&w, SIZE_MAX - 5) && !wirebuf_room(&w, 1) && wirebuf_room(&w, 0), "nor when something waits");
	wirebuf_release(&w);
	wirebuf_release(NULL);
	return tap_done();
}
