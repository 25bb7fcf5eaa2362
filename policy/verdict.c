#include "policy/verdict.h"

#include <stdio.h>
#include <string.h>

/* What one cell of the matrix has, among the trusted. */
struct cell {
	const char *passed[VERDICT_OPERATORS_MAX], *failed[VERDICT_OPERATORS_MAX]; /* distinct operators */
	unsigned passed_len, failed_len;
	bool has_neutral; /* error, abandoned, refused, timeout under emulation */
};

enum cell_state { CELL_PASSED = 1, CELL_FAILED, CELL_DISPUTED, CELL_TOO_FEW, CELL_NEUTRAL };

static void add_operator(const char **seen, unsigned *len, const char *who)
{
	for (unsigned i = 0; i < *len; i++)
		if (!strcmp(seen[i], who))
			return;
	if (*len < VERDICT_OPERATORS_MAX)
		seen[(*len)++] = who;
}

static void cell_add(struct cell *c, const struct verdict_result *r)
{
	const char *who = r->operator_name ? r->operator_name : r->node;
	if (!who)
		return;
	switch (r->vote) {
	case VOTE_PASSED:
		add_operator(c->passed, &c->passed_len, who);
		break;
	case VOTE_FAILED:
	case VOTE_TIMEOUT_KVM:
		add_operator(c->failed, &c->failed_len, who);
		break;
	case VOTE_TIMEOUT_EMULATED:
	case VOTE_ERROR:
	case VOTE_ABANDONED:
	case VOTE_REFUSED:
		c->has_neutral = true;
		break;
	}
}

static void cell_count(struct cell *ret, const struct verdict_input *in, const char *name)
{
	ret->passed_len = ret->failed_len = 0;
	ret->has_neutral = false;
	for (size_t i = 0; i < in->results_len; i++) {
		const struct verdict_result *r = &in->results[i];
		if (r->trusted && !strcmp(r->cell ? r->cell : "", name))
			cell_add(ret, r);
	}
}

static enum cell_state cell_state(const struct cell *c, unsigned need)
{
	if (c->passed_len && c->failed_len)
		return CELL_DISPUTED;
	if (c->passed_len >= need)
		return CELL_PASSED;
	if (c->failed_len >= need)
		return CELL_FAILED;
	if (!c->passed_len && !c->failed_len && c->has_neutral)
		return CELL_NEUTRAL;
	return CELL_TOO_FEW;
}

/* What is kept while the cells go by: how many are in each state, and the name of the first. */
struct tally {
	unsigned len[CELL_NEUTRAL + 1];
	const char *first[CELL_NEUTRAL + 1];
	unsigned least;        /* operators agreeing, the least over the cells */
	unsigned most_failed;  /* operators agreeing in a failed cell, the greatest */
};

static void tally_add(struct tally *t, const struct cell *c, enum cell_state state, const char *name)
{
	const unsigned agree = state == CELL_DISPUTED ? 0 : c->passed_len + c->failed_len;
	if (!t->len[state]++)
		t->first[state] = name;
	if (agree < t->least)
		t->least = agree;
	if (state == CELL_FAILED && agree > t->most_failed)
		t->most_failed = agree;
}

static enum verdict tally_verdict(const struct tally *t, bool is_live)
{
	if (t->len[CELL_DISPUTED])
		return VERDICT_DISPUTED;
	if (t->len[CELL_FAILED])
		return VERDICT_FAILED;
	if (!t->len[CELL_TOO_FEW] && !t->len[CELL_NEUTRAL])
		return VERDICT_PASSED;
	if (is_live)
		return VERDICT_PENDING;
	return t->len[CELL_TOO_FEW] ? VERDICT_UNKNOWN : VERDICT_INCONCLUSIVE;
}

static size_t untrusted_len(const struct verdict_input *in)
{
	size_t len = 0;
	for (size_t i = 0; i < in->results_len; i++)
		len += !in->results[i].trusted;
	return len;
}

/* " in cell NAME" when there is a matrix. */
static const char *in_cell(char *out, size_t size, const char *name)
{
	snprintf(out, size, name && *name ? " in cell %.60s" : "%s", name && *name ? name : "");
	return out;
}

static void explain(struct verdict_answer *a, const struct tally *t, const struct verdict_input *in, unsigned need)
{
	char cell[80];
	const char *s = a->have == 1 ? "" : "s";
	const size_t untrusted = untrusted_len(in);
	const char *missing = t->len[CELL_TOO_FEW] ? t->first[CELL_TOO_FEW] : t->first[CELL_NEUTRAL];
	switch (a->verdict) {
	case VERDICT_PASSED:
		snprintf(a->why, sizeof a->why, "passed with %u trusted operator%s, %u needed", a->have, s, need);
		return;
	case VERDICT_FAILED:
		snprintf(a->why, sizeof a->why, "failed%s with %u trusted operator%s, %u needed",
			 in_cell(cell, sizeof cell, t->first[CELL_FAILED]), a->have, s, need);
		return;
	case VERDICT_DISPUTED:
		snprintf(a->why, sizeof a->why, "trusted results conflict%s",
			 in_cell(cell, sizeof cell, t->first[CELL_DISPUTED]));
		return;
	case VERDICT_PENDING:
		snprintf(a->why, sizeof a->why, "a job is still announced or running%s; %u of %u trusted operators so far",
			 in_cell(cell, sizeof cell, missing), a->have, need);
		return;
	case VERDICT_INCONCLUSIVE:
		snprintf(a->why, sizeof a->why,
			 "nothing but errors, abandoned or refused jobs%s: not the project's fault; announce it again",
			 in_cell(cell, sizeof cell, missing));
		return;
	case VERDICT_UNKNOWN:
		if (untrusted && !a->have)
			snprintf(a->why, sizeof a->why, "no result of an operator you trust%s (%zu of others); see: talkoo trust add",
				 in_cell(cell, sizeof cell, missing), untrusted);
		else
			snprintf(a->why, sizeof a->why, "%u of %u trusted operators%s, and nothing is running", a->have, need,
				 in_cell(cell, sizeof cell, missing));
		return;
	}
}

void verdict_decide(const struct verdict_input *in, struct verdict_answer *ret)
{
	static const char *const whole[] = {""};
	const char *const *cells = in->cells_len ? in->cells : whole;
	const size_t cells_len = in->cells_len ? in->cells_len : 1;
	const unsigned need = in->need ? in->need : 1;
	struct tally tally = {.least = VERDICT_OPERATORS_MAX};
	for (size_t i = 0; i < cells_len; i++) {
		struct cell cell;
		cell_count(&cell, in, cells[i]);
		tally_add(&tally, &cell, cell_state(&cell, need), cells[i]);
	}
	ret->verdict = tally_verdict(&tally, in->is_live);
	ret->have = ret->verdict == VERDICT_FAILED ? tally.most_failed : tally.least;
	explain(ret, &tally, in, need);
}

const char *verdict_name(enum verdict v)
{
	switch (v) {
#define X(name, value, text, code)                                                                                     \
	case name: return text;
		VERDICTS(X)
#undef X
	}
	return "unknown";
}

bool verdict_parse(const char *text, enum verdict *ret)
{
#define X(name, value, word, code)                                                                                     \
	if (!strcmp(text, word)) {                                                                                     \
		*ret = name;                                                                                           \
		return true;                                                                                           \
	}
	VERDICTS(X)
#undef X
	return false;
}

int verdict_exit_code(enum verdict v)
{
	switch (v) {
#define X(name, value, text, code)                                                                                     \
	case name: return code;
		VERDICTS(X)
#undef X
	}
	return 4;
}
