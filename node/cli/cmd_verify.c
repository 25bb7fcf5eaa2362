/* talkoo verify: exported results, checked here alone; the verdict for one project and commit among those trusted. */
#include <stdlib.h>
#include <string.h>

#include "node/cli/bundle.h"
#include "node/cli/cmds.h"
#include "node/cli/exitcode.h"
#include "node/cli/nodecall.h"
#include "node/cli/resolve.h"
#include "node/cli/treeplan.h"
#include "node/cli/trustfile.h"
#include "node/cli/verdictview.h"
#include "node/dossier.h"
#include "policy/verdict.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/io.h"
#include "proto/base/units.h"
#include "proto/statement.h"

struct verify {
	struct trustfile trust;
	char project[ID32_TEXT_MAX], commit[65];
	/* what discovery finds at the commit; nothing when no checkout here can say */
	char (*cells)[PLAN_CELL_MAX];  /* owned; the cells that the verdict needs: "" alone without a matrix */
	char (*plan_sha256)[65];       /* owned; of each cell */
	size_t cells_len;
	uint64_t need;
	struct verdict_result *votes; /* owned; texts are lent from trust and from names */
	char (*names)[NODE_ID_TEXT_MAX]; /* of votes[i].node */
	char (*of_cells)[PLAN_CELL_MAX]; /* of votes[i].cell */
	size_t len, cap, others; /* others: signed, but for something else */
	char other_why[256];
	json_t *shown; /* results[] */
};

static void verify_release(struct verify *v)
{
	trustfile_release(&v->trust);
	free(v->votes);
	free(v->names);
	free(v->of_cells);
	free(v->cells);
	free(v->plan_sha256);
	json_decref(v->shown);
}

static int ask_node(struct cli *c, struct trustfile *ret, struct err *err)
{
	CLEANUP(client_free_json) json_t *answer = NULL;
	const int code = nodecall(c, json_pack("{s:s}", "op", "trust.list"), &answer, NULL);
	if (!code)
		return trustfile_from_json("trust list", answer, ret, err);
	err_set(err, ERR_USAGE, "no trust set: whose results should count?");
	return err_hint(err, "give --trust FILE ('talkoo trust list --json' of a node makes one), or start your node");
}

static int find_trust(struct cli *c, struct trustfile *ret, struct err *err)
{
	const char *file = cli_option(c, "trust");
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, TRUSTFILE_BYTES_MAX);
	if (!file)
		return ask_node(c, ret, err);
	const int code = io_read_file(file, &text, err);
	if (code == ERR_NOT_FOUND)
		return err ? (err->code = ERR_USAGE) : ERR_USAGE; /* CLI.md: no trust file: 2 */
	return code ? code : trustfile_parse(file, buf_cstr(&text), text.len, ret, err);
}

/* The commit's cells, and the plan of each, where this checkout knows it. */
static int find_cells(struct gitrepo *repo, struct verify *v, struct err *err)
{
	CLEANUP(plan_found_release) struct plan_found plan = {0};
	if (treeplan_find(repo, v->commit, &plan, NULL))
		return 0;
	const size_t len = plan.cells_len ? plan.cells_len : 1;
	v->cells = calloc(len, sizeof *v->cells);
	v->plan_sha256 = calloc(len, sizeof *v->plan_sha256);
	if (!v->cells || !v->plan_sha256)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < len; i++) {
		CLEANUP(plan_found_release) struct plan_found one = {0};
		if (plan.cells_len)
			memcpy(v->cells[i], plan.cells[i], PLAN_CELL_MAX);
		const int code = treeplan_find_cell(repo, v->commit, v->cells[i], &one, err);
		if (code)
			return code;
		memcpy(v->plan_sha256[v->cells_len++], one.sha256, 65);
	}
	return 0;
}

/* For which project and commit; and its plan, where the checkout knows it. */
static int find_subject(struct cli *c, struct verify *v, struct err *err)
{
	CLEANUP(gitrepo_close) struct gitrepo *repo = resolve_here();
	char project[LINK_TEXT_MAX];
	const char *commit = cli_option(c, "commit");
	int code = resolve_project(NULL, cli_option(c, "project"), RESOLVE_READ, project, err);
	if (!code)
		code = resolve_project_id(project, v->project, err);
	if (!code && !commit && !repo) {
		err_set(err, ERR_USAGE, "for which commit? This is no checkout");
		code = err_hint(err, "add --commit with the full id");
	}
	if (!code)
		code = resolve_commit(repo, commit ? commit : "HEAD", v->commit, err);
	if (!code && !hex_is_digits(v->commit, 40, 40) && !hex_is_digits(v->commit, 64, 64)) {
		err_set(err, ERR_USAGE, "--commit %s: a proof is for a whole commit id", v->commit);
		code = err_hint(err, "give all 40 digits");
	}
	return code || !repo ? code : find_cells(repo, v, err);
}

/* Why a statement does not answer for this project and commit; NULL when it does. */
static const char *why_other(const struct verify *v, const struct bundle_signed *s, const struct statement *st)
{
	char id[ID32_TEXT_MAX];
	if (!node_id_eq(&st->node, &s->key))
		return "is signed by another node than it names";
	if (strcmp(id32_format(id, &st->project), v->project))
		return "is for another project";
	if (strcmp(st->commit, v->commit))
		return "is for another commit";
	if (st->plan_origin == PLAN_INLINE)
		return "ran commands of its announcer, not the commit's plan";
	for (size_t i = 0; i < v->cells_len; i++)
		if (!strcmp(st->cell, v->cells[i]))
			return strcmp(st->plan_sha256, v->plan_sha256[i]) ? "ran another plan than the commit has" : NULL;
	return v->cells_len ? "ran a cell that the commit's plan has not" : NULL;
}

static enum verdict_vote vote_of(const struct statement *st)
{
	if (st->outcome == JOB_PASSED)
		return VOTE_PASSED;
	if (st->outcome == JOB_FAILED)
		return VOTE_FAILED;
	return strcmp(st->accel, "kvm") ? VOTE_TIMEOUT_EMULATED : VOTE_TIMEOUT_KVM;
}

static int room(struct verify *v, struct err *err)
{
	if (v->len < v->cap)
		return 0;
	const size_t cap = v->cap ? 2 * v->cap : 16;
	struct verdict_result *votes = reallocarray(v->votes, cap, sizeof *votes);
	if (votes)
		v->votes = votes;
	char(*names)[NODE_ID_TEXT_MAX] = reallocarray(v->names, cap, sizeof *names);
	if (names)
		v->names = names;
	char(*cells)[PLAN_CELL_MAX] = reallocarray(v->of_cells, cap, sizeof *cells);
	if (cells)
		v->of_cells = cells;
	if (!votes || !names || !cells)
		return err_set(err, ERR_NOMEM, "out of memory");
	v->cap = cap;
	return 0;
}

static void show(struct verify *v, const struct statement *st, const struct trustfile_entry *entry, const char *node)
{
	char job[ID32_TEXT_MAX];
	const bool has_operator = entry && *entry->operator_name;
	json_t *result = json_pack("{s:s,s:o,s:b,s:s,s:s,s:s,s:s}", "node", node, "operator",
				   has_operator ? json_string(entry->operator_name) : json_null(), "trusted", entry != NULL, "outcome",
				   job_outcome_name((enum job_outcome)st->outcome), "reason", st->reason, "job", id32_format(job, &st->job), "cell",
				   st->cell);
	if (!result)
		return;
	dossier_add_statement(result, st);
	json_array_append_new(v->shown, result);
}

static int take(void *user, const struct bundle_signed *s, struct err *err)
{
	struct verify *v = user;
	CLEANUP(statement_release) struct statement st = {0};
	int code = statement_read(s->payload.data, s->payload.len, &st, err);
	if (code)
		return code;
	const char *why = why_other(v, s, &st);
	if (why) {
		char node[NODE_ID_TEXT_MAX], shortened[16];
		v->others++;
		snprintf(v->other_why, sizeof v->other_why, "the signed result of %s %s", short_node(shortened, node_id_format(node, &s->key)), why);
		return 0;
	}
	code = room(v, err);
	if (code)
		return code;
	const struct trustfile_entry *entry = trustfile_find(&v->trust, &s->key);
	node_id_format(v->names[v->len], &s->key);
	snprintf(v->of_cells[v->len], PLAN_CELL_MAX, "%s", st.cell);
	v->votes[v->len] = (struct verdict_result){.vote = vote_of(&st),
						   .trusted = entry != NULL,
						   .operator_name = entry && *entry->operator_name ? entry->operator_name : NULL};
	show(v, &st, entry, v->names[v->len]);
	v->len++;
	return 0;
}

/* The cells that the verdict needs: the plan's, or (without a checkout that knows it) those that the results are of. */
static size_t needed_cells(const struct verify *v, const char *ret[PLAN_CELLS_MAX])
{
	size_t len = 0;
	for (size_t i = 0; i < v->cells_len && len < PLAN_CELLS_MAX; i++)
		ret[len++] = v->cells[i];
	for (size_t i = 0; i < v->len && !v->cells_len && len < PLAN_CELLS_MAX; i++) {
		size_t k = 0;
		while (k < len && strcmp(ret[k], v->of_cells[i]))
			k++;
		if (k == len)
			ret[len++] = v->of_cells[i];
	}
	return len;
}

static int answer(struct cli *c, struct verify *v)
{
	const char *cells[PLAN_CELLS_MAX];
	struct verdict_answer verdict;
	for (size_t i = 0; i < v->len; i++) {
		v->votes[i].node = v->names[i];
		v->votes[i].cell = v->of_cells[i];
	}
	const struct verdict_input in = {.results = v->votes,
					 .results_len = v->len,
					 .cells = cells,
					 .cells_len = needed_cells(v, cells),
					 .need = (unsigned)v->need};
	verdict_decide(&in, &verdict);
	const char *why = !v->len && v->others ? v->other_why : verdict.why;
	CLEANUP(client_free_json)
	json_t *object = json_pack("{s:i,s:b,s:s,s:s,s:s,s:I,s:I,s:s,s:I,s:O}", "v", 1, "ok", 1, "commit", v->commit, "project", v->project, "verdict",
				   verdict_name(verdict.verdict), "need", (json_int_t)v->need, "have", (json_int_t)verdict.have, "why", why, "others",
				   (json_int_t)v->others, "results", v->shown);
	verdictview_print(&c->out, object);
	if (v->others && v->len && !c->out.json)
		out_note(&c->out, OUT_WARN, "note: %zu signed result%s not counted: %s\n", v->others, v->others == 1 ? " is" : "s are", v->other_why);
	return verdict_exit_code(verdict.verdict);
}

int cmd_verify(struct cli *c, struct err *err)
{
	CLEANUP(verify_release) struct verify v = {.need = 1, .shown = json_array()};
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, BUNDLE_FILE_MAX);
	int code = cli_number(c, "need", 1, 1000, &v.need, err);
	if (!code)
		code = find_trust(c, &v.trust, err);
	if (!code)
		code = find_subject(c, &v, err);
	if (!code)
		code = io_read_file(cli_arg(c, 0), &text, err);
	if (!code)
		code = bundle_each(cli_arg(c, 0), buf_cstr(&text), text.len, take, &v, err);
	return code ? code : answer(c, &v);
}
