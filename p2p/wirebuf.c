#include "p2p/wirebuf.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_CAP 512

void wirebuf_init(struct wirebuf *w, size_t max)
{
	*w = (struct wirebuf){.max = max};
}

void wirebuf_release(struct wirebuf *w)
{
	if (!w)
		return;
	free(w->bytes);
	wirebuf_init(w, w->max);
}

/* At least need bytes, and twice what there was while that is not more than twice the ceiling. */
static size_t cap_for(const struct wirebuf *w, size_t need)
{
	size_t cap = 2 * (w->cap < w->max ? w->cap : w->max);
	if (cap < LEAST_CAP)
		cap = LEAST_CAP;
	return cap < need ? need : cap;
}

static uint8_t *grow(struct wirebuf *w, size_t need)
{
	const size_t cap = cap_for(w, need), len = wirebuf_len(w);
	uint8_t *grown = malloc(cap);
	if (!grown)
		return NULL;
	if (len)
		memcpy(grown, w->bytes + w->at, len);
	free(w->bytes);
	*w = (struct wirebuf){.bytes = grown, .cap = cap, .end = len, .max = w->max};
	return grown + len;
}

uint8_t *wirebuf_room(struct wirebuf *w, size_t len)
{
	const size_t waiting = wirebuf_len(w);
	if (len > w->max || waiting > w->max - len)
		return NULL;
	if (!waiting)
		w->at = w->end = 0;
	if (w->bytes && w->cap - w->end >= len)
		return w->bytes + w->end;
	if (!w->bytes || w->cap < waiting + len)
		return grow(w, waiting + len);
	/* moving down pays when it frees at least as much as it moves; else so much memory is taken that the next time it does */
	if (w->at < waiting)
		return grow(w, 2 * waiting + len);
	memmove(w->bytes, w->bytes + w->at, waiting);
	w->at = 0;
	w->end = waiting;
	return w->bytes + waiting;
}
