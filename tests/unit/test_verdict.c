#include "policy/verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "tests/unit/tap.h"

/* A result in short: "ann P" = trusted operator ann says passed; "ann:rust P" = in cell rust; "-eve P" = untrusted.
 * P passed, F failed, K timeout under KVM, T timeout emulated, E error, A abandoned, R refused. Joined by commas. */
static enum verdict_vote vote_of(char letter)
{
	static const char letters[] = "?PFKTEAR";
	const char *at = strchr(letters, letter);
	return at ? (enum verdict_vote)(at - letters) : VOTE_PASSED;
}

static size_t parse_results(char *text, struct verdict_result *out, size_t max)
{
	size_t len = 0;
	char *rest = NULL;
	for (char *one = strtok_r(text, ",", &rest); one && len < max; one = strtok_r(NULL, ",", &rest)) {
		char *space = strchr(one, ' ');
		*space = 0;
		struct verdict_result r = {.vote = vote_of(space[1]), .trusted = *one != '-', .cell = ""};
		one += *one == '-';
		char *colon = strchr(one, ':');
		if (colon) {
			*colon = 0;
			r.cell = colon + 1;
		}
		/* a lower-case name is an operator's; an upper-case one a node without */
		r.node = one;
		r.operator_name = *one >= 'a' ? one : NULL;
		out[len++] = r;
	}
	return len;
}

static size_t parse_cells(char *text, const char **out, size_t max)
{
	size_t len = 0;
	char *rest = NULL;
	for (char *one = strtok_r(text, ",", &rest); one && len < max; one = strtok_r(NULL, ",", &rest))
		out[len++] = one;
	return len;
}

static const struct {
	const char *results, *cells;
	unsigned need;
	bool live;
	enum verdict want;
	int code;
	unsigned have;
} table[] = {
	/* one operator, one cell: each outcome */
	{"", "", 1, false, VERDICT_UNKNOWN, 4, 0},
	{"ann P", "", 1, false, VERDICT_PASSED, 0, 1},
	{"ann F", "", 1, false, VERDICT_FAILED, 1, 1},
	{"ann K", "", 1, false, VERDICT_FAILED, 1, 1},
	{"ann T", "", 1, false, VERDICT_INCONCLUSIVE, 6, 0},
	{"ann E", "", 1, false, VERDICT_INCONCLUSIVE, 6, 0},
	{"ann A", "", 1, false, VERDICT_INCONCLUSIVE, 6, 0},
	{"ann R", "", 1, false, VERDICT_INCONCLUSIVE, 6, 0},
	{"ann E,bob A,cat R,dan T", "", 1, false, VERDICT_INCONCLUSIVE, 6, 0},
	/* the same, while something is live */
	{"", "", 1, true, VERDICT_PENDING, 8, 0},
	{"ann P", "", 1, true, VERDICT_PASSED, 0, 1},
	{"ann F", "", 1, true, VERDICT_FAILED, 1, 1},
	{"ann E", "", 1, true, VERDICT_PENDING, 8, 0},
	{"-eve P", "", 1, true, VERDICT_PENDING, 8, 0},
	/* a neutral outcome neither helps nor harms */
	{"ann P,bob E", "", 1, false, VERDICT_PASSED, 0, 1},
	{"ann F,bob A", "", 1, false, VERDICT_FAILED, 1, 1},
	{"ann P,ann R", "", 1, false, VERDICT_PASSED, 0, 1},
	{"ann P,bob T", "", 2, false, VERDICT_UNKNOWN, 4, 1},
	/* untrusted ones count for nothing */
	{"-eve P", "", 1, false, VERDICT_UNKNOWN, 4, 0},
	{"-eve F", "", 1, false, VERDICT_UNKNOWN, 4, 0},
	{"-eve E", "", 1, false, VERDICT_UNKNOWN, 4, 0},
	{"-eve P,-mal P,-oz F", "", 1, false, VERDICT_UNKNOWN, 4, 0},
	{"ann P,-eve F", "", 1, false, VERDICT_PASSED, 0, 1},
	{"ann F,-eve P", "", 1, false, VERDICT_FAILED, 1, 1},
	{"ann E,-eve P", "", 1, false, VERDICT_INCONCLUSIVE, 6, 0},
	{"ann P,-eve P", "", 2, false, VERDICT_UNKNOWN, 4, 1},
	/* conflicts: disputed beats all */
	{"ann P,bob F", "", 1, false, VERDICT_DISPUTED, 3, 0},
	{"ann P,bob K", "", 1, false, VERDICT_DISPUTED, 3, 0},
	{"ann P,bob F", "", 1, true, VERDICT_DISPUTED, 3, 0},
	{"ann P,bob F", "", 3, false, VERDICT_DISPUTED, 3, 0},
	{"ann P,ann F", "", 1, false, VERDICT_DISPUTED, 3, 0},
	{"ann P,bob P,cat P,dan F", "", 1, false, VERDICT_DISPUTED, 3, 0},
	{"ann P,bob F,cat E", "", 1, false, VERDICT_DISPUTED, 3, 0},
	{"ann P,bob T", "", 1, false, VERDICT_PASSED, 0, 1},
	/* operators count, not nodes or results */
	{"ann P,ann P,ann P", "", 2, false, VERDICT_UNKNOWN, 4, 1},
	{"ann P,ann P", "", 2, true, VERDICT_PENDING, 8, 1},
	{"ann P,bob P", "", 2, false, VERDICT_PASSED, 0, 2},
	{"ann F,ann K", "", 2, false, VERDICT_UNKNOWN, 4, 1},
	{"ann F,bob K", "", 2, false, VERDICT_FAILED, 1, 2},
	{"ann P,bob P,cat P", "", 2, false, VERDICT_PASSED, 0, 3},
	{"N1 P,N1 P", "", 2, false, VERDICT_UNKNOWN, 4, 1},
	{"N1 P,N2 P", "", 2, false, VERDICT_PASSED, 0, 2},
	{"ann F", "", 2, false, VERDICT_UNKNOWN, 4, 1},
	{"ann F", "", 2, true, VERDICT_PENDING, 8, 1},
	{"ann P", "", 0, false, VERDICT_PASSED, 0, 1},
	/* a matrix needs every cell */
	{"ann:x P", "x,y", 1, false, VERDICT_UNKNOWN, 4, 0},
	{"ann:x P", "x,y", 1, true, VERDICT_PENDING, 8, 0},
	{"ann:x P,ann:y P", "x,y", 1, false, VERDICT_PASSED, 0, 1},
	{"ann:x P,bob:y P", "x,y", 2, false, VERDICT_UNKNOWN, 4, 1},
	{"ann:x P,bob:x P,ann:y P,bob:y P", "x,y", 2, false, VERDICT_PASSED, 0, 2},
	{"ann:x P,bob:x P,cat:x P,ann:y P,bob:y P", "x,y", 2, false, VERDICT_PASSED, 0, 2},
	{"ann:x P,ann:y F", "x,y", 1, false, VERDICT_FAILED, 1, 1},
	{"ann:x F", "x,y", 1, true, VERDICT_FAILED, 1, 1},
	{"ann:x P,bob:y F", "x,y", 1, false, VERDICT_FAILED, 1, 1},
	{"ann:x F,bob:y P,cat:y F", "x,y", 1, false, VERDICT_DISPUTED, 3, 0},
	{"ann:x P,ann:y E", "x,y", 1, false, VERDICT_INCONCLUSIVE, 6, 0},
	{"ann:x E", "x,y", 1, false, VERDICT_UNKNOWN, 4, 0},
	{"ann:x P,-eve:y P", "x,y", 1, false, VERDICT_UNKNOWN, 4, 0},
	/* a cell that is not asked for */
	{"ann:z P", "x", 1, false, VERDICT_UNKNOWN, 4, 0},
	{"ann:x P,bob:z F,cat:z P", "x", 1, false, VERDICT_PASSED, 0, 1},
	{"ann P", "x", 1, false, VERDICT_UNKNOWN, 4, 0},
};

static void test_table(void)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		char text[256], cells_text[64];
		snprintf(text, sizeof text, "%s", table[i].results);
		snprintf(cells_text, sizeof cells_text, "%s", table[i].cells);
		struct verdict_result results[16];
		const char *cells[8];
		struct verdict_input in = {.results = results, .cells = cells, .need = table[i].need, .is_live = table[i].live};
		in.results_len = parse_results(text, results, ARRAY_LEN(results));
		in.cells_len = parse_cells(cells_text, cells, ARRAY_LEN(cells));
		struct verdict_answer a;
		verdict_decide(&in, &a);
		OK(a.verdict == table[i].want && verdict_exit_code(a.verdict) == table[i].code && a.have == table[i].have && *a.why,
		   "[%s] cells [%s] need %u%s -> %s %d have %u (%s)", table[i].results, table[i].cells, table[i].need,
		   table[i].live ? " live" : "", verdict_name(a.verdict), verdict_exit_code(a.verdict), a.have, a.why);
	}
}

/* Threats: 10^4 keys change no verdict. */
static void test_untrusted_change_nothing(void)
{
	enum { crowd = 10000 };
	static struct verdict_result results[crowd + 16];
	static char names[crowd][16];
	bool same = true;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		char text[256], cells_text[64];
		snprintf(text, sizeof text, "%s", table[i].results);
		snprintf(cells_text, sizeof cells_text, "%s", table[i].cells);
		const char *cells[8];
		const size_t own = parse_results(text, results, 16);
		const size_t cells_len = parse_cells(cells_text, cells, ARRAY_LEN(cells));
		for (size_t k = 0; k < crowd; k++) {
			snprintf(names[k], sizeof names[k], "k%zu", k);
			results[own + k] = (struct verdict_result){.vote = (enum verdict_vote)(1 + k % 7), .node = names[k],
								   .cell = cells_len ? cells[k % cells_len] : ""};
		}
		struct verdict_input in = {.results = results, .results_len = own + crowd, .cells = cells, .cells_len = cells_len,
					   .need = table[i].need, .is_live = table[i].live};
		struct verdict_answer a;
		verdict_decide(&in, &a);
		same = same && a.verdict == table[i].want && a.have == table[i].have;
	}
	OK(same, "10^4 untrusted results of every outcome change no line of the table");
}

static void test_many_operators(void)
{
	enum { len = 2000 };
	static struct verdict_result results[len];
	static char names[len][16];
	for (size_t i = 0; i < len; i++) {
		snprintf(names[i], sizeof names[i], "o%zu", i);
		results[i] = (struct verdict_result){.vote = VOTE_PASSED, .trusted = true, .operator_name = names[i], .cell = ""};
	}
	struct verdict_input in = {.results = results, .results_len = len, .need = 2};
	struct verdict_answer a;
	verdict_decide(&in, &a);
	OK(a.verdict == VERDICT_PASSED && a.have == VERDICT_OPERATORS_MAX, "counting stops at the ceiling");
	in.need = 1000; /* the most that --need takes */
	verdict_decide(&in, &a);
	OK(a.verdict == VERDICT_PASSED, "1,000 operators can be asked for");
	in.need = 2;
	results[len - 1].vote = VOTE_FAILED;
	verdict_decide(&in, &a);
	OK(a.verdict == VERDICT_DISPUTED, "a conflict past the ceiling is seen");
}

/* The table of verdict.h once more, as plainly as it can be said, over counts instead of lists. */
static enum verdict by_the_book(unsigned passed, unsigned failed, bool is_neutral, unsigned need, bool live)
{
	if (passed && failed)
		return VERDICT_DISPUTED;
	if (failed >= need)
		return VERDICT_FAILED;
	if (passed >= need)
		return VERDICT_PASSED;
	if (live)
		return VERDICT_PENDING;
	return !passed && !failed && is_neutral ? VERDICT_INCONCLUSIVE : VERDICT_UNKNOWN;
}

/* Every multiset of up to four results: who (two operators, a node without one, a stranger) says what (seven outcomes), for every need
 * and with and without something live; every order of two of them. */
static void test_every_multiset(void)
{
	enum { who_len = 4, kinds = who_len * 7, none = kinds };
	static const char *const operators[who_len] = {"ann", "bob", NULL, NULL}, *const nodes[who_len] = {"N1", "N2", "N3", "N4"};
	unsigned long cases = 0, wrong = 0;
	for (unsigned n = 0; n < (none + 1) * (none + 1) * (none + 1) * (none + 1); n++) {
		const unsigned picks[4] = {n % (none + 1), n / (none + 1) % (none + 1), n / (none + 1) / (none + 1) % (none + 1),
					   n / (none + 1) / (none + 1) / (none + 1)};
		if (picks[2] > picks[1] || picks[3] > picks[2]) /* the first two come in both orders */
			continue;
		struct verdict_result results[4];
		struct verdict_input in = {.results = results};
		unsigned passed = 0, failed = 0; /* a bit for each of the three who are trusted */
		bool is_neutral = false;
		for (unsigned i = 0; i < 4; i++) {
			if (picks[i] == none)
				continue;
			const unsigned who = picks[i] / 7;
			const enum verdict_vote vote = (enum verdict_vote)(1 + picks[i] % 7);
			results[in.results_len++] = (struct verdict_result){vote, who != 3, operators[who], nodes[who], ""};
			if (who == 3)
				continue;
			passed |= vote == VOTE_PASSED ? 1u << who : 0;
			failed |= vote == VOTE_FAILED || vote == VOTE_TIMEOUT_KVM ? 1u << who : 0;
			is_neutral = is_neutral || vote > VOTE_TIMEOUT_KVM;
		}
		for (unsigned need_live = 2; need_live < 10; need_live++, cases++) {
			struct verdict_answer a;
			in.need = need_live / 2;
			in.is_live = need_live % 2;
			verdict_decide(&in, &a);
			wrong += a.verdict != by_the_book((unsigned)__builtin_popcount(passed), (unsigned)__builtin_popcount(failed), is_neutral,
							  in.need, in.is_live);
		}
	}
	OK(!wrong && cases > 100000, "%lu cases of up to four results are what the table says (%lu are not)", cases, wrong);
}

static void test_names(void)
{
	static const struct {
		enum verdict v;
		const char *name;
		int code;
	} known[] = {{VERDICT_PASSED, "passed", 0}, {VERDICT_FAILED, "failed", 1}, {VERDICT_DISPUTED, "disputed", 3},
		     {VERDICT_UNKNOWN, "unknown", 4}, {VERDICT_INCONCLUSIVE, "inconclusive", 6}, {VERDICT_PENDING, "pending", 8}};
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		enum verdict v = VERDICT_UNKNOWN;
		STREQ(verdict_name(known[i].v), known[i].name);
		INTEQ(verdict_exit_code(known[i].v), known[i].code);
		OK(verdict_parse(known[i].name, &v) && v == known[i].v, "%s is read back", known[i].name);
	}
	enum verdict v = VERDICT_FAILED;
	OK(!verdict_parse("maybe", &v) && v == VERDICT_FAILED, "an unknown word is not a verdict");
}

int main(void)
{
	test_table();
	test_untrusted_change_nothing();
	test_many_operators();
	test_every_multiset();
	test_names();
	return tap_done();
}
