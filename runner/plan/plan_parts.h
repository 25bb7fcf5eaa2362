/* What the plan formats share: their readers' shape, and the making of steps. Only runner/plan includes this. */
#ifndef TALKOO_RUNNER_PLAN_PARTS_H
#define TALKOO_RUNNER_PLAN_PARTS_H

#include "proto/base/yaml.h"
#include "runner/plan/plan.h"

/* The tree that a plan was found in: some formats ask what lies beside the plan. */
struct plan_tree {
	plan_read_fn read;
	void *context;
};

/* Reads one format. path: its name for sentences. ERR_INVALID, ERR_LIMIT as yaml.h says; ret untouched on failure. */
typedef int (*plan_parse_fn)(const char *path, const void *bytes, size_t len, const struct plan_tree *tree, struct plan *ret,
			     struct err *err);

int plan_ambient_parse(const char *path, const void *bytes, size_t len, const struct plan_tree *tree, struct plan *ret,
		       struct err *err) MUST_CHECK;
int plan_native_parse(const char *path, const void *bytes, size_t len, const struct plan_tree *tree, struct plan *ret,
		      struct err *err) MUST_CHECK;
/* The plan of a tree without a plan file; *ret_file: what it was made of, static. ERR_NOT_FOUND: nothing that is known. */
int plan_detect(const struct plan_tree *tree, struct plan *ret, const char **ret_file, struct err *err) MUST_CHECK;

/* One more step. name NULL: its first line. from: where it stands in the file; is_text: the commands are that very
 * text, so that the shell's line numbers mean lines of the file. prelude may be NULL. ERR_LIMIT past the ceilings. */
struct plan_new_step {
	const char *name, *prelude, *run;
	const struct yaml_node *from;
	bool is_text;
};
int plan_add_step(struct plan *plan, const struct plan_new_step *s, struct err *err) MUST_CHECK;
int plan_add_env(struct plan *plan, const char *name, const char *value, struct err *err) MUST_CHECK;
/* A remark for people; cut, and dropped past PLAN_NOTES_MAX. */
void plan_note(struct plan *plan, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* [A-Za-z_][A-Za-z0-9_]*, shorter than PLAN_ENV_NAME_MAX. */
bool plan_env_name_is_valid(const char *name);
/* 'text' for a shell: in single quotes. */
void plan_quote(struct buf *out, const char *text);

#endif
