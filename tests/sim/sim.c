/* sim.h: time, chance, events. */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/io.h"

static struct sim *chance; /* libsodium's randomness has no user pointer; NULL: no run */

static void draw_bytes(void *out, size_t len)
{
	uint8_t nonce[crypto_stream_chacha20_NONCEBYTES] = {0};
	memcpy(nonce, &chance->draws, sizeof chance->draws);
	chance->draws++;
	crypto_stream_chacha20(out, len, nonce, chance->key);
}

static const char *random_name(void)
{
	return "sim";
}

static uint32_t random_number(void)
{
	uint32_t v;
	draw_bytes(&v, sizeof v);
	return v;
}

static struct randombytes_implementation implementation = {.implementation_name = random_name, .random = random_number, .buf = draw_bytes};

uint64_t sim_draw(struct sim *s, uint64_t below)
{
	uint64_t v;
	(void)s;
	draw_bytes(&v, sizeof v);
	return below ? v % below : 0;
}

struct sim *sim_new(uint64_t seed, const char *folder, bool is_traced)
{
	struct sim *s = calloc(1, sizeof *s);
	if (!s)
		abort();
	memcpy(s->key, &seed, sizeof seed);
	s->seed = seed;
	s->is_traced = is_traced;
	snprintf(s->folder, sizeof s->folder, "%s", folder);
	crypto_generichash_init(&s->digest, NULL, 0, 32);
	chance = s;
	if (randombytes_set_implementation(&implementation) || sodium_init() < 0)
		abort();
	s->draws = 0; /* the first start of libsodium in a process takes some */
	return s;
}

void sim_free(struct sim *s)
{
	char folder[160];
	for (size_t i = 0; i < s->nodes_len; i++) {
		sim_node_free(&s->nodes[i]);
		snprintf(folder, sizeof folder, "%s/%zu", s->folder, i);
		if (io_remove_tree(folder, NULL)) /* what a run leaves must not be found by the next */
			abort();
	}
	sim_link_free_all(s);
	free(s->events);
	free(s);
	chance = NULL;
}

void sim_say(struct sim *s, const char *fmt, ...)
{
	char line[512];
	va_list args;
	va_start(args, fmt);
	int len = snprintf(line, sizeof line, "%llu ", (unsigned long long)s->now_ms);
	len += vsnprintf(line + len, sizeof line - (size_t)len, fmt, args);
	va_end(args);
	if (len >= (int)sizeof line)
		len = sizeof line - 1;
	crypto_generichash_update(&s->digest, (const uint8_t *)line, (size_t)len);
	if (s->is_traced)
		fprintf(stderr, "# %s\n", line);
}

void sim_digest(struct sim *s, uint8_t ret[32])
{
	crypto_generichash_state copy = s->digest;
	crypto_generichash_final(&copy, ret, 32);
}

/* ---- the heap */

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->seq < b->seq;
}

static void swap(struct sim *s, size_t a, size_t b)
{
	const struct sim_event kept = s->events[a];
	s->events[a] = s->events[b];
	s->events[b] = kept;
}

void sim_at(struct sim *s, uint64_t delay_ms, const struct sim_event *e)
{
	if (s->events_len == s->events_cap) {
		s->events_cap = s->events_cap ? s->events_cap * 2 : 256;
		s->events = reallocarray(s->events, s->events_cap, sizeof *s->events);
		if (!s->events)
			abort();
	}
	size_t i = s->events_len++;
	s->events[i] = *e;
	s->events[i].at_ms = s->now_ms + delay_ms;
	s->events[i].seq = s->seq++;
	for (; i && is_before(&s->events[i], &s->events[(i - 1) / 2]); i = (i - 1) / 2)
		swap(s, i, (i - 1) / 2);
}

static struct sim_event pop(struct sim *s)
{
	const struct sim_event first = s->events[0];
	s->events[0] = s->events[--s->events_len];
	for (size_t i = 0;;) {
		size_t least = i;
		for (size_t c = 2 * i + 1; c <= 2 * i + 2; c++)
			if (c < s->events_len && is_before(&s->events[c], &s->events[least]))
				least = c;
		if (least == i)
			return first;
		swap(s, i, least);
		i = least;
	}
}

void sim_run_until(struct sim *s, uint64_t at_ms)
{
	while (s->events_len && s->events[0].at_ms <= at_ms) {
		const struct sim_event e = pop(s);
		s->now_ms = e.at_ms;
		s->events_done++;
		if (e.type == SIM_REACH || e.type == SIM_BYTES || e.type == SIM_LOST)
			sim_link_event(s, &e);
		else if (e.life == s->nodes[e.node].life)
			sim_node_event(&s->nodes[e.node], &e);
	}
	s->now_ms = at_ms;
}
