/* Vectors of PROTOCOL 14 and 15: the bodies of messages, and whole comparisons of two sets. */
#include <sodium.h>
#include <string.h>

#include "p2p/gossip_wire.h"
#include "p2p/peers_wire.h"
#include "proto/base/cleanup.h"
#include "tests/unit/samples.h"
#include "tests/unit/vectors_impl.h"

#define SET_MAX 300
#define BODY_MAX 30000

struct pair {
	struct recset_item items[SET_MAX];
	struct recset initiator, responder;
};

static json_t *body_json(const char *type, struct buf *body)
{
	if (buf_failed(body))
		must(NULL);
	return json_pack("{s:s, s:o}", "type", type, "body", hex_json(body->data, body->len));
}

static void fill_id(struct id32 *id, uint32_t n)
{
	const uint8_t seed[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
	crypto_generichash(id->b, sizeof id->b, seed, sizeof seed, NULL, 0);
}

static json_t *ids_json(const char *type, const struct id32 *topic, size_t len)
{
	CLEANUP(buf_release) struct buf body;
	struct id32 ids[GOSSIP_IDS_MAX];
	buf_init(&body, BODY_MAX);
	for (size_t i = 0; i < len; i++)
		fill_id(&ids[i], (uint32_t)i);
	if (!strcmp(type, "topics"))
		gossip_topics_encode(ids, len, &body);
	else
		gossip_ids_encode(topic, ids, len, &body);
	json_t *one = body_json(type, &body);
	json_object_set_new(one, "ids", json_integer((json_int_t)len));
	return one;
}

static json_t *record_message_json(void)
{
	CLEANUP(buf_release) struct buf body;
	CLEANUP(record_unrefp) struct record *r = sample_job_record();
	struct gossip_record v = {.signature = record_signature(r)};
	v.bytes = record_bytes(r, &v.len);
	buf_init(&body, BODY_MAX);
	gossip_record_encode(&v, &body);
	return body_json("record", &body);
}

/* A peers-get, and what is answered: the records of as many nodes. */
static void add_peers(json_t *list, const struct id32 *topic, size_t len)
{
	CLEANUP(buf_release) struct buf get;
	CLEANUP(buf_release) struct buf answer;
	struct record *records[PEERS_RECORDS_MAX];
	buf_init(&get, 64);
	buf_init(&answer, BODY_MAX);
	for (size_t i = 0; i < len; i++) {
		struct sample_key k;
		sample_key_init(&k, (uint8_t)(i + 1));
		records[i] = sample_node_record(&k);
	}
	peers_get_encode(topic, &get);
	peers_encode(topic, records, len, &answer);
	for (size_t i = 0; i < len; i++)
		record_unref(records[i]);
	add(list, body_json("peers-get", &get));
	add(list, body_json("peers", &answer));
}

static json_t *messages_json(const struct id32 *topic)
{
	static const struct id32 zero;
	json_t *list = must(json_array());
	add(list, ids_json("topics", NULL, 2));
	add(list, ids_json("have", topic, 1));
	add(list, ids_json("have", topic, GOSSIP_IDS_MAX));
	add(list, ids_json("get", NULL, 3));
	add(list, ids_json("not-found", NULL, 0));
	add(list, record_message_json());
	add_peers(list, topic, 3);
	add_peers(list, topic, 0);
	add_peers(list, &zero, 1);
	return list;
}

/* Item i has one expiry with its two neighbours; every only_a-th is the initiator's alone, every only_b-th of the rest the responder's. */
static void pair_fill(struct pair *p, uint32_t len, uint32_t only_a, uint32_t only_b, json_t *items)
{
	recset_init(&p->initiator, SET_MAX);
	recset_init(&p->responder, SET_MAX);
	for (uint32_t i = 0; i < len; i++) {
		struct recset_item *item = &p->items[i];
		const bool is_a = only_a && i % only_a == 0, is_b = !is_a && only_b && i % only_b == 0;
		item->expires_ms = SAMPLE_CREATED_MS + i / 3 * 1000;
		fill_id(&item->id, i);
		if ((!is_b && !recset_insert(&p->initiator, item)) || (!is_a && !recset_insert(&p->responder, item)))
			must(NULL);
		add(items, json_pack("{s:I, s:o, s:s}", "expires", (json_int_t)item->expires_ms, "id", hex_json(item->id.b, 32), "in",
				     is_a ? "initiator" : is_b ? "responder" : "both"));
	}
}

/* Both sides until the initiator has nothing to say; the last message is the responder's. */
static json_t *talk(struct pair *p, const struct id32 *topic, uint64_t cutoff_ms, struct reconcile_ids *have, struct reconcile_ids *need)
{
	const struct reconcile_side sides[] = {{RECONCILE_INITIATOR, &p->initiator, cutoff_ms}, {RECONCILE_RESPONDER, &p->responder, cutoff_ms}};
	json_t *said = must(json_array());
	CLEANUP(buf_release) struct buf message;
	buf_init(&message, RECONCILE_MESSAGE_MAX);
	reconcile_open(&sides[0], &message);
	for (unsigned turn = 0; message.len; turn++) {
		CLEANUP(buf_release) struct buf body;
		CLEANUP(buf_release) struct buf answer;
		const unsigned by = turn % 2;
		const struct gossip_range v = {*topic, RECORD_RESULT, cutoff_ms, sides[by].role, message.data, message.len};
		buf_init(&body, BODY_MAX);
		buf_init(&answer, RECONCILE_MESSAGE_MAX);
		gossip_range_encode(&v, &body);
		add(said, body_json(by ? "responder" : "initiator", &body));
		if (reconcile_step(&sides[!by], message.data, message.len, &answer, have, need, NULL) || buf_failed(&answer))
			must(NULL);
		buf_reset(&message);
		buf_append(&message, answer.data, answer.len);
	}
	return said;
}

static json_t *comparison_json(const char *what, const struct id32 *topic, uint32_t len, uint32_t only_a, uint32_t only_b, uint64_t cutoff_ms)
{
	static struct pair p;
	struct reconcile_ids have = {.max = SET_MAX}, need = {.max = SET_MAX};
	json_t *items = must(json_array());
	pair_fill(&p, len, only_a, only_b, items);
	json_t *said = talk(&p, topic, cutoff_ms, &have, &need);
	json_t *one = json_pack("{s:s, s:I, s:o, s:o, s:I, s:I}", "what", what, "cutoff", (json_int_t)cutoff_ms, "items", items, "said", said,
				"have", (json_int_t)have.len, "need", (json_int_t)need.len);
	reconcile_ids_release(&have);
	reconcile_ids_release(&need);
	recset_release(&p.initiator);
	recset_release(&p.responder);
	return one;
}

json_t *make_gossip(void)
{
	struct id32 project, topic;
	sample_project_id(&project);
	topic_derive(&project, &topic);
	const uint64_t t = SAMPLE_CREATED_MS;
	return json_pack("{s:s, s:o, s:o, s:[o, o, o, o, o]}", "network", SAMPLE_NETWORK, "topic", hex_json(topic.b, 32), "messages",
			 messages_json(&topic), "comparisons", comparison_json("two empty sets", &topic, 0, 0, 0, t - 1),
			 comparison_json("the same set", &topic, 40, 0, 0, t - 1),
			 comparison_json("all against nothing", &topic, 5, 1, 0, t - 1),
			 comparison_json("a few of many differ", &topic, 200, 67, 71, t - 1),
			 comparison_json("some have expired", &topic, 70, 9, 10, t + 7000));
}
