#include "runner/plan/lint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/sanitise.h"
#include "runner/plan/script_check.h"
#include "runner/plan/shell_check.h"

#define STEP_DEADLINE_MS 5000

const char *lint_severity_name(enum lint_severity s)
{
	switch (s) {
#define X(name, value, text)                                                                                           \
	case name: return text;
		LINT_SEVERITIES(X)
#undef X
	}
	return "unknown";
}

void lint_release(struct lint *l)
{
	if (!l)
		return;
	plan_found_release(&l->found);
	free(l->findings);
	memset(l, 0, sizeof *l);
}

/* Room for one more finding; at most one a step and a few about the whole. */
struct lint_finding *lint_add(struct lint *l, enum lint_severity severity)
{
	if (l->len >= 2 * PLAN_STEPS_MAX + 16)
		return NULL;
	struct lint_finding *grown = realloc(l->findings, (l->len + 1) * sizeof *grown);
	if (!grown)
		return NULL;
	l->findings = grown;
	struct lint_finding *f = &grown[l->len++];
	*f = (struct lint_finding){.severity = severity};
	snprintf(f->file, sizeof f->file, "%s", l->found.path[0] ? l->found.path : PLAN_FILE);
	l->errors += severity == LINT_ERROR;
	return f;
}

int lint_read_file(void *context, const char *path, struct buf *ret, struct err *err)
{
	const int folder = *(const int *)context;
	CLEANUP(cleanup_fd) int fd = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_set(err, ERR_NOT_FOUND, "%s: there is no such file", path);
	if (fd < 0 && errno == ELOOP)
		return err_set(err, ERR_INVALID, "%s: is a link; a plan must be a regular file", path);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, errno, "cannot read %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "%s: is not a regular file", path);
	/* one byte more than may be, so that too long a file is noticed without reading it all */
	CLEANUP(cleanup_free) uint8_t *room = malloc(ret->max + 1);
	if (!room)
		return err_set(err, ERR_NOMEM, "%s: out of memory", path);
	const ssize_t got = io_read_full(fd, room, ret->max + 1, err);
	if (got < 0)
		return (int)got;
	if ((size_t)got > ret->max)
		return err_set(err, ERR_LIMIT, "%s: more than %zu bytes", path, ret->max);
	buf_append(ret, room, (size_t)got);
	return buf_check(ret, path, err);
}

static void close_folder(DIR **d)
{
	if (*d)
		closedir(*d);
}

int lint_list_folder(void *context, const char *path, struct buf *ret, struct err *err)
{
	const int fd = openat(*(const int *)context, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	CLEANUP(close_folder) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		const bool is_there = fd >= 0 || (errno != ENOENT && errno != ENOTDIR && errno != ELOOP);
		if (fd >= 0)
			close(fd);
		return is_there ? err_errno(err, errno, "cannot list %s", path) : err_set(err, ERR_NOT_FOUND, "there is no %s", path);
	}
	for (const struct dirent *e; (e = readdir(d));)
		buf_printf(ret, "%s\n", e->d_name);
	return buf_check(ret, path, err);
}

/* "FILE:LINE:COLUMN: text" -> its parts; what has no place keeps line 0. */
static void split_place(const struct err *err, struct lint_finding *f)
{
	const size_t file_len = strlen(f->file);
	const char *text = err->what;
	if (!strncmp(text, f->file, file_len) && text[file_len] == ':') {
		unsigned line = 0, column = 0;
		int used = 0;
		text += file_len + 1;
		if (sscanf(text, "%u:%u:%n", &line, &column, &used) == 2 && used > 0) {
			f->line = line;
			f->column = column;
			text += used;
		}
		text += strspn(text, " ");
	}
	snprintf(f->text, sizeof f->text, "%s", text);
	snprintf(f->hint, sizeof f->hint, "%s", err->hint);
}

/* Says where in the file the shell's line is. */
static void place(struct lint_finding *f, const struct plan_step *step, uint32_t shell_line, const char *text)
{
	uint32_t lines = 0;
	for (const char *p = step->run; *p; p++)
		lines += *p == '\n' || !p[1];
	/* for what ends too early shells name the line after the last */
	if (shell_line > lines)
		shell_line = lines;
	if (step->first_line && shell_line) {
		f->line = step->first_line + shell_line - 1;
		snprintf(f->text, sizeof f->text, "%s", text);
		return;
	}
	f->line = step->line;
	f->column = step->column;
	if (shell_line)
		snprintf(f->text, sizeof f->text, "%s (line %u of the commands)", text, shell_line);
	else
		snprintf(f->text, sizeof f->text, "%s", text);
}

static int report(struct lint *l, size_t index, const struct shell_result *r, struct err *err)
{
	if (r->status == SHELL_OK)
		return 0;
	const bool is_warning = r->status == SHELL_WARNED || r->status == SHELL_HUNG;
	struct lint_finding *f = lint_add(l, is_warning ? LINT_WARNING : LINT_ERROR);
	if (!f)
		return err_set(err, ERR_NOMEM, "lint: out of memory");
	char safe[256], text[400];
	snprintf(text, sizeof text, "steps[%zu].run: %s", index, sanitise_line(safe, sizeof safe, r->text));
	place(f, &l->found.plan.steps[index], r->line, text);
	if (r->status == SHELL_REFUSED && strcmp(l->shell, "bash") != 0)
		snprintf(f->hint, sizeof f->hint, "the image mini runs steps with busybox ash, which knows less than bash");
	return 0;
}

static int cannot_check(struct lint *l, enum shell_kind kind, struct err *err)
{
	struct lint_finding *f = lint_add(l, LINT_WARNING);
	if (!f)
		return err_set(err, ERR_NOMEM, "lint: out of memory");
	const char *name = kind == SHELL_ASH ? "busybox" : "bash";
	snprintf(f->text, sizeof f->text, "the shell syntax of the steps was not checked: there is no %s here", name);
	snprintf(f->hint, sizeof f->hint, "install %s", name);
	return 0;
}

int lint_steps(struct lint *l, unsigned deadline_ms, struct err *err)
{
	const struct plan *plan = &l->found.plan;
	const bool is_mini = !strncmp(plan->image, "mini", 4) && (!plan->image[4] || plan->image[4] == '@');
	const enum shell_kind kind = is_mini ? SHELL_ASH : SHELL_BASH;
	CLEANUP(cleanup_free) struct shell_result *results = calloc(plan->steps_len, sizeof *results);
	CLEANUP(cleanup_free) const char **scripts = calloc(plan->steps_len, sizeof *scripts);
	if (!results || !scripts)
		return err_set(err, ERR_NOMEM, "lint: out of memory");
	for (size_t i = 0; i < plan->steps_len; i++)
		scripts[i] = plan->steps[i].run;
	const char *shell = NULL;
	int rc = shell_check(kind, scripts, plan->steps_len, deadline_ms, results, &shell, err);
	if (rc == ERR_UNSUPPORTED)
		return cannot_check(l, kind, err);
	if (!rc)
		snprintf(l->shell, sizeof l->shell, "%s", shell);
	for (size_t i = 0; i < plan->steps_len && !rc; i++)
		rc = report(l, i, &results[i], err);
	return rc;
}

/* What the format's reader remarked, and files that steps run but the source lacks. */
static int lint_notes(struct lint *l, int folder, struct err *err)
{
	const struct plan *plan = &l->found.plan;
	for (size_t i = 0; i < plan->notes_len; i++) {
		struct lint_finding *f = lint_add(l, LINT_WARNING);
		if (!f)
			return err_set(err, ERR_NOMEM, "lint: out of memory");
		snprintf(f->text, sizeof f->text, "%s", plan->notes[i]);
	}
	for (size_t i = 0; i < plan->steps_len; i++) {
		const struct plan_step *step = &plan->steps[i];
		struct stat st;
		if (!step->file[0] || (!fstatat(folder, step->file, &st, 0) && st.st_mode & 0111))
			continue;
		struct lint_finding *f = lint_add(l, LINT_ERROR);
		if (!f)
			return err_set(err, ERR_NOMEM, "lint: out of memory");
		f->line = step->line;
		f->column = step->column;
		snprintf(f->text, sizeof f->text, "steps[%zu]: %s is not there, or is not executable", i, step->file);
		snprintf(f->hint, sizeof f->hint, "add it to the repository: git add --chmod=+x %s", step->file);
	}
	return 0;
}

/* Whether a line before it may make the file. */
static bool may_be_made(const struct plan *plan, size_t step, size_t before, const char *path)
{
	for (size_t i = 0; i < step; i++) {
		if (script_check_mentions(plan->steps[i].run, path))
			return true;
	}
	char earlier[4096];
	snprintf(earlier, sizeof earlier, "%.*s", (int)(before < sizeof earlier ? before : sizeof earlier - 1), plan->steps[step].run);
	return script_check_mentions(earlier, path);
}

/* Scripts of the source that the steps name and that are not there. */
static int lint_scripts(struct lint *l, int folder, struct err *err)
{
	const struct plan *plan = &l->found.plan;
	for (size_t i = 0; i < plan->steps_len; i++) {
		/* SourceHut's tasks start elsewhere */
		if (l->found.format == PLAN_FORMAT_SOURCEHUT)
			return 0;
		struct script_use use;
		for (size_t at = 0; script_check_next(plan->steps[i].run, &at, &use);) {
			struct stat st;
			const bool is_there = !fstatat(folder, use.path, &st, 0);
			if ((is_there && (!use.is_executed || st.st_mode & 0111)) || may_be_made(plan, i, use.offset, use.path))
				continue;
			struct lint_finding *f = lint_add(l, LINT_ERROR);
			if (!f)
				return err_set(err, ERR_NOMEM, "lint: out of memory");
			char text[400];
			snprintf(text, sizeof text, "steps[%zu].run: %s is %s", i, use.path, is_there ? "not executable" : "not there");
			place(f, &plan->steps[i], use.line, text);
			snprintf(f->hint, sizeof f->hint, "git add %s%s", is_there ? "--chmod=+x " : "", use.path);
		}
	}
	return 0;
}

/* A plan that cannot be parsed is a finding, the only one. */
static int refused(struct lint *l, const struct err *why, struct err *err)
{
	size_t len;
	const char *const *paths = plan_paths(&len);
	for (size_t i = 0; i < len; i++) {
		if (!strncmp(why->what, paths[i], strlen(paths[i])))
			snprintf(l->found.path, sizeof l->found.path, "%s", paths[i]);
	}
	if (!strncmp(why->what, PLAN_FOLDER_BUILDS, strlen(PLAN_FOLDER_BUILDS)))
		snprintf(l->found.path, sizeof l->found.path, "%.*s", (int)strcspn(why->what, ":"), why->what);
	struct lint_finding *f = lint_add(l, LINT_ERROR);
	if (!f)
		return err_set(err, ERR_NOMEM, "lint: out of memory");
	split_place(why, f);
	return 0;
}

int lint_folder(const char *folder, const char *cell, struct lint *ret, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_set(err, ERR_NOT_FOUND, "%s: there is no such folder", folder);
	if (fd < 0)
		return err_errno(err, errno, "cannot open %s", folder);
	CLEANUP(lint_release) struct lint l = {0};
	struct err why = {0};
	int rc = plan_discover(&(struct plan_tree){lint_read_file, lint_list_folder, &fd}, cell, &l.found, &why);
	if (rc == ERR_NOT_FOUND) {
		err_set(err, rc, "no plan: there is no %s in %s", PLAN_FILES_TEXT, folder);
		err_hint(err, "write one with image and steps");
		return rc;
	}
	if (rc == ERR_INVALID || rc == ERR_LIMIT || rc == ERR_REFUSED) {
		rc = refused(&l, &why, err);
	} else if (rc) {
		if (err)
			*err = why;
	} else {
		l.has_plan = true;
		rc = lint_notes(&l, fd, err);
		if (!rc)
			rc = lint_scripts(&l, fd, err);
		if (!rc)
			rc = lint_steps(&l, STEP_DEADLINE_MS, err);
	}
	if (rc)
		return rc;
	*ret = l;
	memset(&l, 0, sizeof l);
	return 0;
}
