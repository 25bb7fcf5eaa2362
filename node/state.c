#include "node/state.h"

#include <stdlib.h>
#include <string.h>

#include "node/jsonget.h"
#include "proto/base/cleanup.h"
#include "proto/base/units.h"

void state_init(struct state *st)
{
	*st = (struct state){.donation.mode = SCHED_WORKING};
}

void state_release(struct state *st)
{
	free(st->trust);
	free(st->follow);
	state_init(st);
}

/* Room for one more of size bytes. */
static int grow(void *array_pointer, size_t size, size_t len, size_t *cap, size_t max, const char *what, struct err *err)
{
	void **array = array_pointer;
	if (len >= max)
		return err_set(err, ERR_LIMIT, "no more than %zu %s", max, what);
	if (len < *cap)
		return 0;
	const size_t larger = *cap ? *cap * 2 : 8;
	void *moved = reallocarray(*array, larger, size);
	if (!moved)
		return err_set(err, ERR_NOMEM, "out of memory");
	*array = moved;
	*cap = larger;
	return 0;
}

static void put_json(struct store_batch *b, const char *space, const char *key, json_t *object /* takes */)
{
	char *text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	if (text)
		store_put_kv(b, space, key, text, strlen(text));
	free(text);
}

/* ---- trust */

const struct state_trust *state_trust_find(const struct state *st, const struct node_id *node)
{
	for (size_t i = 0; i < st->trust_len; i++)
		if (node_id_eq(&st->trust[i].node, node))
			return &st->trust[i];
	return NULL;
}

static int trust_set(struct state *st, const struct state_trust *t, struct err *err)
{
	struct state_trust *old = (struct state_trust *)(uintptr_t)state_trust_find(st, &t->node);
	if (old) {
		*old = *t;
		return 0;
	}
	const int rc = grow(&st->trust, sizeof *st->trust, st->trust_len, &st->trust_cap, STATE_TRUST_MAX, "trusted nodes", err);
	if (!rc)
		st->trust[st->trust_len++] = *t;
	return rc;
}

int state_trust_put(struct state *st, const struct state_trust *t, struct store_batch *b, struct err *err)
{
	char key[NODE_ID_TEXT_MAX];
	const int rc = trust_set(st, t, err);
	if (!rc)
		put_json(b, "trust", node_id_format(key, &t->node),
			 json_pack("{s:s,s:I}", "operator", t->operator_name, "since_ms", (json_int_t)t->since_ms));
	return rc;
}

bool state_trust_remove(struct state *st, const struct node_id *node, struct store_batch *b)
{
	struct state_trust *t = (struct state_trust *)(uintptr_t)state_trust_find(st, node);
	char key[NODE_ID_TEXT_MAX];
	if (!t)
		return false;
	*t = st->trust[--st->trust_len];
	store_put_kv(b, "trust", node_id_format(key, node), NULL, 0);
	return true;
}

/* ---- follow */

struct state_follow *state_follow_find(const struct state *st, const struct id32 *project)
{
	for (size_t i = 0; i < st->follow_len; i++)
		if (id32_eq(&st->follow[i].project, project))
			return &st->follow[i];
	return NULL;
}

const struct state_follow *state_follow_by_alias(const struct state *st, const char *alias)
{
	for (size_t i = 0; i < st->follow_len; i++)
		if (*alias && !strcmp(st->follow[i].alias, alias))
			return &st->follow[i];
	return NULL;
}

static int follow_set(struct state *st, const struct state_follow *f, struct err *err)
{
	struct state_follow *old = state_follow_find(st, &f->project);
	if (old) {
		*old = *f;
		return 0;
	}
	const int rc = grow(&st->follow, sizeof *st->follow, st->follow_len, &st->follow_cap, STATE_FOLLOW_MAX, "followed projects", err);
	if (!rc)
		st->follow[st->follow_len++] = *f;
	return rc;
}

int state_follow_put(struct state *st, const struct state_follow *f, struct store_batch *b, struct err *err)
{
	char key[ID32_TEXT_MAX], addr[ADDR_TEXT_MAX];
	const int rc = follow_set(st, f, err);
	if (rc)
		return rc;
	json_t *seeds = json_array();
	for (size_t i = 0; i < f->seeds_len; i++)
		json_array_append_new(seeds, json_string(node_addr_format(addr, &f->seeds[i])));
	put_json(b, "follow", id32_format(key, &f->project), json_pack("{s:s,s:s,s:o}", "alias", f->alias, "name", f->name, "seeds", seeds));
	return 0;
}

bool state_follow_remove(struct state *st, const struct id32 *project, struct store_batch *b)
{
	struct state_follow *f = state_follow_find(st, project);
	char key[ID32_TEXT_MAX];
	if (!f)
		return false;
	*f = st->follow[--st->follow_len];
	store_put_kv(b, "follow", id32_format(key, project), NULL, 0);
	return true;
}

/* ---- donation, sequence, runs */

static const char *mode_name(enum sched_mode mode)
{
	switch (mode) {
	case SCHED_WORKING: return "working";
	case SCHED_PAUSED: return "paused";
	case SCHED_DRAINING: return "draining";
	}
	return "working";
}

void state_donation_put(const struct state *st, struct store_batch *b)
{
	put_json(b, "pause", "donation",
		 json_pack("{s:s,s:I,s:I,s:s}", "mode", mode_name(st->donation.mode), "since_ms", (json_int_t)st->donation.since_ms, "until_ms",
			   (json_int_t)st->donation.until_ms, "note", st->donation.note));
}

void state_adopt_sequence(struct state *st, uint64_t sequence, struct store_batch *b)
{
	char text[24];
	st->last_sequence = sequence;
	snprintf(text, sizeof text, "%llu", (unsigned long long)sequence);
	store_put_kv(b, "sequence", "own", text, strlen(text));
}

uint64_t state_next_sequence(struct state *st, uint64_t now_ms, struct store_batch *b)
{
	state_adopt_sequence(st, st->last_sequence >= now_ms ? st->last_sequence + 1 : now_ms, b);
	return st->last_sequence;
}

void state_run_put(const struct id32 *job, uint64_t now_ms, struct store_batch *b)
{
	char key[ID32_TEXT_MAX];
	put_json(b, "run", id32_format(key, job), json_pack("{s:I}", "claimed_ms", (json_int_t)now_ms));
}

void state_run_remove(const struct id32 *job, struct store_batch *b)
{
	char key[ID32_TEXT_MAX];
	store_put_kv(b, "run", id32_format(key, job), NULL, 0);
}

/* ---- loading */

struct loading {
	struct state *st;
	int rc;
	struct err *err;
};

static bool on_trust(void *user, const char *key, const uint8_t *bytes, size_t len)
{
	struct loading *l = user;
	struct state_trust t = {0};
	json_t *o = json_loadb((const char *)bytes, len, 0, NULL);
	l->rc = node_id_parse(key, &t.node, l->err);
	snprintf(t.operator_name, sizeof t.operator_name, "%s", jtext(o, "operator"));
	t.since_ms = jnumber(o, "since_ms");
	json_decref(o);
	if (!l->rc)
		l->rc = trust_set(l->st, &t, l->err);
	return !l->rc;
}

static bool on_follow(void *user, const char *key, const uint8_t *bytes, size_t len)
{
	struct loading *l = user;
	struct state_follow f = {0};
	json_t *o = json_loadb((const char *)bytes, len, 0, NULL);
	const json_t *seeds = json_object_get(o, "seeds"), *seed;
	size_t i;
	l->rc = id32_parse(key, &f.project, l->err);
	snprintf(f.alias, sizeof f.alias, "%s", jtext(o, "alias"));
	snprintf(f.name, sizeof f.name, "%s", jtext(o, "name"));
	json_array_foreach(seeds, i, seed)
		if (f.seeds_len < LINK_SEEDS_MAX && json_is_string(seed) && !node_addr_parse(json_string_value(seed), &f.seeds[f.seeds_len], NULL))
			f.seeds_len++;
	json_decref(o);
	if (!l->rc)
		l->rc = follow_set(l->st, &f, l->err);
	return !l->rc;
}

static bool on_donation(void *user, const char *key, const uint8_t *bytes, size_t len)
{
	struct loading *l = user;
	(void)key;
	json_t *o = json_loadb((const char *)bytes, len, 0, NULL);
	const char *mode = jtext(o, "mode");
	l->st->donation.mode = !strcmp(mode, "paused") ? SCHED_PAUSED : !strcmp(mode, "draining") ? SCHED_DRAINING : SCHED_WORKING;
	l->st->donation.since_ms = jnumber(o, "since_ms");
	l->st->donation.until_ms = jnumber(o, "until_ms");
	snprintf(l->st->donation.note, sizeof l->st->donation.note, "%s", jtext(o, "note"));
	json_decref(o);
	return true;
}

static bool on_sequence(void *user, const char *key, const uint8_t *bytes, size_t len)
{
	struct loading *l = user;
	char text[24] = "";
	(void)key;
	memcpy(text, bytes, len < sizeof text ? len : sizeof text - 1);
	if (!units_parse_number(text, &l->st->last_sequence))
		l->rc = err_set(l->err, ERR_INVALID, "the database's own sequence is damaged");
	return !l->rc;
}

int state_load(struct state *st, struct store *store, struct err *err)
{
	static const struct {
		const char *space;
		store_kv_fn fn;
	} spaces[] = {{"trust", on_trust}, {"follow", on_follow}, {"pause", on_donation}, {"sequence", on_sequence}};
	struct loading l = {.st = st, .err = err};
	for (size_t i = 0; i < ARRAY_LEN(spaces); i++) {
		const int rc = store_each_kv_now(store, spaces[i].space, spaces[i].fn, &l, err);
		if (rc || l.rc)
			return rc ? rc : l.rc;
	}
	return 0;
}
