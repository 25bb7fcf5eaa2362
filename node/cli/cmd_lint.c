/* talkoo lint: what is wrong with a folder's plan. */
#include <unistd.h>

#include "node/cli/client.h"
#include "node/cli/cmds.h"
#include "node/cli/exitcode.h"
#include "node/cli/gitrepo.h"
#include "node/cli/lintplace.h"
#include "node/cli/resolve.h"
#include "proto/base/cleanup.h"
#include "runner/plan/lint.h"

/* Where the plan is: the named folder, else this one, else (in a subfolder) the checkout's top. */
static const char *folder_of(const struct cli *c, const struct gitrepo *repo)
{
	if (cli_arg(c, 0))
		return cli_arg(c, 0);
	size_t len;
	const char *const *paths = plan_paths(&len);
	for (size_t i = 0; i < len; i++) {
		if (!access(paths[i], F_OK))
			return ".";
	}
	if (!repo || !*gitrepo_workdir(repo))
		return ".";
	return gitrepo_workdir(repo);
}

static json_t *finding_to_json(const struct lint_finding *f)
{
	return json_pack("{s:s,s:s,s:I,s:I,s:s,s:s}", "severity", lint_severity_name(f->severity), "file", f->file, "line",
			 (json_int_t)f->line, "column", (json_int_t)f->column, "text", f->text, "hint", f->hint);
}

static void print_finding(struct out *o, const struct lint_finding *f)
{
	out_print(o, OUT_BOLD, "%s", f->file);
	if (f->line)
		out_print(o, OUT_BOLD, ":%u", f->line);
	if (f->line && f->column)
		out_print(o, OUT_BOLD, ":%u", f->column);
	out_print(o, f->severity == LINT_ERROR ? OUT_BAD : OUT_WARN, ": %s", lint_severity_name(f->severity));
	out_print(o, OUT_PLAIN, ": %s\n", OUT_FOREIGN(f->text));
	if (*f->hint)
		out_print(o, OUT_PLAIN, "  hint: %s\n", OUT_FOREIGN(f->hint));
}

static void print_sum(struct out *o, const struct lint *lint, size_t errors)
{
	const struct plan_found *found = &lint->found;
	if (errors) {
		out_print(o, OUT_BAD, "%zu error%s", errors, errors == 1 ? "" : "s");
		out_print(o, OUT_PLAIN, "\n");
		return;
	}
	out_print(o, OUT_GOOD, "ok");
	out_print(o, OUT_PLAIN, ": %s, %zu step%s, image %s", found->path, found->plan.steps_len, found->plan.steps_len == 1 ? "" : "s",
		  *found->plan.image ? found->plan.image : "as --image says");
	if (*lint->shell)
		out_print(o, OUT_DIM, " (syntax checked with %s)", lint->shell);
	out_print(o, OUT_PLAIN, "\n");
	for (size_t i = 0; i < found->cells_len && found->format != PLAN_FORMAT_SOURCEHUT; i++)
		out_print(o, OUT_PLAIN, "%s%s\n", i ? "       " : "cells: ", found->cells[i]);
}

/* A detected plan as the file that it would be. */
static void print_detected(struct out *o, const struct plan *plan)
{
	out_print(o, OUT_PLAIN, "image: %s\n", plan->image);
	for (size_t i = 0; i < plan->env_len; i++)
		out_print(o, OUT_PLAIN, "%s  %s: \"%s\"\n", i ? "" : "environment:\n", plan->env[i].name, plan->env[i].value);
	out_print(o, OUT_PLAIN, "steps:\n");
	for (size_t i = 0; i < plan->steps_len; i++)
		out_print(o, OUT_PLAIN, "  - name: %s\n    run: %s\n", plan->steps[i].name, plan->steps[i].run);
}

static size_t add_findings(struct cli *c, const struct lint *lint, json_t *findings)
{
	for (size_t i = 0; i < lint->len; i++) {
		json_array_append_new(findings, finding_to_json(&lint->findings[i]));
		print_finding(&c->out, &lint->findings[i]);
	}
	return lint->errors;
}

/* The other files of .builds/; a matrix has one file, and was looked at. Returns how many errors they have. */
static size_t lint_others(struct cli *c, const char *folder, const struct lint *first, json_t *findings)
{
	size_t errors = 0;
	for (size_t i = 1; i < first->found.cells_len; i++) {
		CLEANUP(lint_release) struct lint lint = {0};
		struct err err = {0};
		if (lint_folder(folder, first->found.cells[i], &lint, &err)) {
			out_note(&c->out, OUT_BAD, "%s: %s\n", first->found.cells[i], err.what);
			errors++;
			continue;
		}
		if (lint.has_plan)
			lintplace_check(&lint, c->home);
		errors += add_findings(c, &lint, findings);
		print_sum(&c->out, &lint, lint.errors);
	}
	return errors;
}

static int print_schema(struct cli *c, struct err *err)
{
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, PLAN_BYTES_MAX);
	const int code = plan_schema(&text, err);
	if (!code)
		fprintf(c->out.answer, "%s\n", buf_cstr(&text));
	return code;
}

int cmd_lint(struct cli *c, struct err *err)
{
	if (cli_has(c, "schema"))
		return print_schema(c, err);
	CLEANUP(gitrepo_close) struct gitrepo *repo = cli_arg(c, 0) ? NULL : resolve_here();
	CLEANUP(lint_release) struct lint lint = {0};
	const char *folder = folder_of(c, repo);
	const int code = lint_folder(folder, NULL, &lint, err);
	if (code == ERR_NOT_FOUND) {
		err_set(err, ERR_USAGE, "no plan: there is no %s in %s", PLAN_FILES_TEXT, folder);
		return err_hint(err, "four lines are enough: 'image: mini', 'steps:', '  - name: test', '    run: make check'");
	}
	if (code)
		return code;
	if (lint.has_plan)
		lintplace_check(&lint, c->home);
	json_t *findings = json_array();
	size_t errors = add_findings(c, &lint, findings);
	if (lint.found.format == PLAN_FORMAT_SOURCEHUT && lint.found.cells_len)
		errors += lint_others(c, folder, &lint, findings);
	CLEANUP(client_free_json)
	json_t *answer = json_pack("{s:i,s:b,s:s,s:s,s:s,s:s,s:I,s:s,s:o}", "v", 1, "ok", errors == 0, "path", lint.found.path, "format", plan_format_name(lint.found.format), "sha256",
				   lint.found.sha256, "image", lint.found.plan.image, "steps", (json_int_t)lint.found.plan.steps_len, "shell",
				   lint.shell, "findings", findings);
	json_t *cells = json_array();
	for (size_t i = 0; i < lint.found.cells_len; i++)
		json_array_append_new(cells, json_string(lint.found.cells[i]));
	json_object_set_new(answer, "cells", cells);
	if (c->out.json)
		out_json(&c->out, answer);
	if (lint.found.origin == JOB_ORIGIN_DETECTED && !c->out.json)
		print_detected(&c->out, &lint.found.plan);
	print_sum(&c->out, &lint, errors);
	return errors ? EXITCODE_USAGE : EXITCODE_DONE;
}
