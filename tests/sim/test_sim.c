/* Real nodes under a simulated network: seeds in a row, or one of them by hand: test_sim SEED [trace]. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/log.h"
#include "proto/mp.h"
#include "tests/sim/play.h"
#include "tests/unit/tap.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define IS_SANITIZED
#endif
#endif
#ifndef FIRST_SEED /* by default: a part of 500, see tests/sim.mk */
#define FIRST_SEED 1
#endif
#if defined __SANITIZE_ADDRESS__ || defined IS_SANITIZED
#define SEEDS 60
#else
#define SEEDS 250
#endif
struct ack { struct play *p; struct id32 id; uint32_t kind; };

static void on_done(struct node *n, void *user, int code, const struct err *err)
{
	struct ack *a = user;
	struct play *p = a->p;
	(void)err;
	if (!code && a->kind == RECORD_PROJECT)
		p->acked_sequence = index_project(node_index(n), &p->project)->entry.sequence;
	else if (!code)
		p->acked[p->acked_len++] = a->id;
	free(a);
}

static bool publish(struct play *p, struct node_own *own, struct id32 *ret_id)
{
	struct ack *a = calloc(1, sizeof *a);
	struct err err;
	*a = (struct ack){.p = p, .kind = own->kind};
	own->topic = &p->topic;
	if (node_publish(p->s->nodes[1].n, own, NULL, on_done, a, &a->id, &err)) {
		free(a);
		return false;
	}
	*ret_id = a->id;
	sim_node_want_work(&p->s->nodes[1]);
	return true;
}

/* As version N+1 might write it: a field more at the end of an array. */
static void grow(struct buf *b)
{
	if ((b->data[0] & 0xf0) == 0x90 && b->data[0] != 0x9f)
		b->data[0]++;
	else if (b->data[0] == 0xdc)
		b->data[2]++;
	else
		return;
	mp_put_uint(b, 7);
}

static void announce_project(struct play *p)
{
	struct project_body body = {.urls_len = 1};
	struct id32 id;
	CLEANUP(buf_release) struct buf bytes;
	buf_init(&bytes, RECORD_LEN_MAX);
	memcpy(body.nonce, p->nonce, 16);
	strcpy(body.name, "example");
	strcpy(body.urls[0], "https://example.org/repo.git");
	body.volunteers[body.volunteers_len++] = p->listed;
	project_body_encode(&body, &bytes);
	if (p->s->nodes[1].is_newer)
		grow(&bytes);
	struct node_own own = {.kind = RECORD_PROJECT, .key = p->nonce, .key_len = 16, .body = &bytes};
	if (!publish(p, &own, &id) && !p->is_changed)
		p->why = "the project was not published";
}

static void announce_job(struct play *p)
{
	struct job_body body = {.project = p->project, .cpus = 1, .memory_bytes = 1 << 26, .disk_bytes = 1 << 26, .timeout_ms = 600000, .wanted = 1,
				.plan_origin = PLAN_TREE, .claim_until_ms = SIM_T0 + p->s->now_ms + 86400000};
	CLEANUP(buf_release) struct buf bytes;
	buf_init(&bytes, RECORD_LEN_MAX);
	struct node *n = p->s->nodes[1].n;
	const struct ix_project *project = n ? index_project(node_index(n), &p->project) : NULL;
	if (!project)
		return;
	body.project_sequence = project->entry.sequence;
	strcpy(body.commit, "d20ace7968ba43c0219f62d71334c1095bab1602");
	strcpy(body.ref, "refs/heads/main");
	strcpy(body.arch, "x86_64");
	strcpy(body.plan_path, ".talkoo.yml");
	strcpy(body.plan_sha256, "97633f2f45ac15f7b2acdb3083feca4f3f7a7d0057f9711fa3a6833273f365d0");
	job_body_encode(&body, &bytes);
	if (p->s->nodes[1].is_newer)
		grow(&bytes);
	struct node_own own = {.kind = RECORD_JOB, .body = &bytes};
	if (publish(p, &own, &p->jobs[p->jobs_len]))
		p->jobs_len++;
}

static void follow(struct play *p, struct sim_node *n)
{
	struct state_follow f = {.project = p->project};
	struct store_batch *b = store_batch_new();
	if (state_follow_put(&n->n->state, &f, b, NULL) || !intake_follow(n->n->intake, &p->project) || node_commit(n->n, b, NULL, NULL, NULL))
		p->why = "cannot follow";
	node_work(n->n);
	sim_node_poke(n);
}

/* ---- what happens */

static void part(struct sim *s)
{
	s->is_parted = true;
	for (size_t i = 0; i < s->nodes_len; i++)
		s->nodes[i].side = (unsigned)sim_draw(s, 2);
	sim_say(s, "parted");
}

static void trouble(struct play *p)
{
	struct sim *s = p->s;
	struct sim_node *n = &s->nodes[sim_draw(s, s->nodes_len)];
	switch (sim_draw(s, 9)) {
	case 0: sim_node_crash(n); break;
	case 1: n->is_crash_due = n->n != NULL; break;
	case 2: part(s); break;
	case 3: s->is_parted = false; break;
	case 4:
		if (n->index != 1)
			sim_node_sleep(n, 1000 + sim_draw(s, sim_draw(s, 2) ? 600000 : 20000));
		break;
	case 5:
		for (uint64_t i = sim_draw(s, 6); i > 0; i--)
			sim_prank(n);
		break;
	case 6:
		if (p->acked_sequence && !p->is_changed && s->nodes[1].n) {
			p->is_changed = true;
			announce_project(p);
		}
		break;
	default:
		if (p->jobs_len < JOBS_MAX)
			announce_job(p);
	}
	if (p->evil && sim_draw(s, 2))
		play_lie(p, (enum lie)(1 + sim_draw(s, LIES_LEN - 1)));
	play_check(p);
}

static void make_nodes(struct play *p)
{
	struct sim *s = p->s;
	char policy[256], id[ID32_TEXT_MAX];
	const unsigned seeds[] = {0, 2};
	const size_t wanted = sim_draw(s, 10) ? 3 + sim_draw(s, 4) : 3 + sim_draw(s, 18); /* skewed to small ones */
	const bool has_two_seeds = sim_draw(s, 3) == 0;
	randombytes_buf(p->nonce, sizeof p->nonce);
	sim_add_node(s, NULL, 0, "rules: []\n");
	sim_add_node(s, seeds, 1, "rules: []\n");
	project_id_derive(&s->nodes[1].id, p->nonce, &p->project);
	topic_derive(&p->project, &p->topic);
	snprintf(policy, sizeof policy, "rules:\n  - project: talkoo:%s\n    allow: {allow_emulation: true}\n", id32_format(id, &p->project));
	for (size_t i = 2; i < wanted; i++) {
		/* with two seeds: one, the other, or both */
		const size_t first = i > 2 && has_two_seeds ? sim_draw(s, 2) : 0, len = i > 2 && has_two_seeds && !first ? 1 + sim_draw(s, 2) : 1;
		const bool is_willing = i == 2 || sim_draw(s, 2);
		struct sim_node *n = sim_add_node(s, seeds + first, len, is_willing ? policy : "rules: []\n");
		n->is_willing = is_willing;
		n->is_deaf = i > 2 && sim_draw(s, 3) == 0;
		n->skew_ms = sim_draw(s, 4) ? 0 : (int64_t)sim_draw(s, 2 * SLIGHT_MS / 2) - SLIGHT_MS / 2;
		if (i > 2 && sim_draw(s, 25) == 0) /* so wrong that it matters */
			n->skew_ms = (sim_draw(s, 2) ? 1 : -1) * (int64_t)(1200000 + sim_draw(s, 40000000));
	}
	p->listed = s->nodes[2].id;
	if (wanted > 3 && sim_draw(s, 2)) {
		p->evil = &s->nodes[wanted - 1];
		p->evil->is_evil = true;
		p->evil->skew_ms = 0;
	}
	for (size_t i = 0; i < s->nodes_len; i++)
		s->nodes[i].is_newer = sim_draw(s, 4) == 0;
}

static void calm_down(struct play *p)
{
	struct sim *s = p->s;
	s->is_parted = false;
	s->odds = (struct sim_odds){.delay_max_ms = 50};
	for (size_t i = 0; i < s->nodes_len; i++)
		s->nodes[i].is_crash_due = false;
	/* a sleep and a lapsed lease are 10 minutes each, links that stalled 90 s; false claims crowd others out for half an hour, and what
	 * was refused then is asked for again after a while */
	const uint64_t bound = s->now_ms + (p->evil ? 6000000 : 2400000);
	do {
		sim_run_until(s, s->now_ms + 10000);
		play_check(p);
	} while (play_unsettled(p) && s->now_ms < bound);
	if (play_unsettled(p)) {
		p->why = play_unsettled(p);
		play_tell(p);
	}
	play_check_end(p);
}

static const char *play(uint64_t seed, const char *folder, bool is_traced, uint8_t ret_digest[32])
{
	struct sim *s = sim_new(seed, folder, is_traced);
	struct play p = {.s = s, .why = ""};
	s->odds = (struct sim_odds){.dial_lost = (unsigned)sim_draw(s, 200), .dies = (unsigned)sim_draw(s, 200), .stalls = (unsigned)sim_draw(s, 60),
				    .corrupts = sim_draw(s, 3) ? 0 : (unsigned)sim_draw(s, 100), .delay_max_ms = 1 + (unsigned)sim_draw(s, 200)};
	make_nodes(&p);
	for (size_t i = 0; i < s->nodes_len; i++) {
		sim_node_start(&s->nodes[i]);
		follow(&p, &s->nodes[i]);
	}
	announce_project(&p);
	sim_run_until(s, 10000);
	announce_job(&p);
	for (unsigned i = 0; i < 12; i++) {
		sim_run_until(s, s->now_ms + 1000 + sim_draw(s, 15000));
		trouble(&p);
	}
	calm_down(&p);
	sim_say(s, "end records=%zu acked=%zu events=%zu", node_index(s->nodes[0].n)->entries.len, p.acked_len, s->events_done);
	sim_digest(s, ret_digest);
	const char *why = p.why;
	sim_free(s);
	return why;
}

int main(int argc, char **argv)
{
	char in_memory[] = "/dev/shm/talkoo-sim-XXXXXX", on_disk[] = "/tmp/talkoo-sim-XXXXXX";
	uint8_t digest[32], again[32];
	const uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : FIRST_SEED;
	const bool is_one = argc > 1 && (argc < 3 || !strcmp(argv[2], "trace"));
	const uint64_t count = is_one ? 1 : argc > 2 ? strtoull(argv[2], NULL, 10) : SEEDS;
	log_setup(argc > 2 && is_one ? 2 : open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_DEBUG, "sim");
	const char *folder = mkdtemp(in_memory); /* nothing of it need outlive a power cut */
	if (!folder && !(folder = mkdtemp(on_disk)))
		return 1;
	for (uint64_t seed = first; seed < first + count; seed++) {
		const char *why = play(seed, folder, argc > 2 && is_one, digest);
		OK(!*why, "seed %llu: %s (again, with all that happens: ./test_sim %llu trace)", (unsigned long long)seed, why, (unsigned long long)seed);
		if (seed % 50 == 1 || is_one) {
			(void)play(seed, folder, false, again);
			OK(!memcmp(digest, again, 32), "seed %llu: the same run again", (unsigned long long)seed);
		}
	}
	if (io_remove_tree(folder, NULL))
		fprintf(stderr, "# %s stays\n", folder);
	return tap_done();
}
