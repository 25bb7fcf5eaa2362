/* What the plan formats share: their readers' shape, and the making of steps. Only runner/plan includes this. */
#ifndef TALKOO_RUNNER_PLAN_PARTS_H
#define TALKOO_RUNNER_PLAN_PARTS_H

#include "proto/base/schema.h"
#include "runner/plan/plan.h"

/* Reads one format. path: its name for sentences; tree: some ask what lies beside the plan. ERR_INVALID, ERR_LIMIT as yaml.h says; ret untouched on failure. */
typedef int (*plan_parse_fn)(const char *path, const void *bytes, size_t len, const struct plan_tree *tree, struct plan *ret,
			     struct err *err);

int plan_ambient_parse(const char *path, const void *bytes, size_t len, const struct plan_tree *tree, struct plan *ret,
		       struct err *err) MUST_CHECK;
int plan_native_parse(const char *path, const void *bytes, size_t len, const struct plan_tree *tree, struct plan *ret,
		      struct err *err) MUST_CHECK;
int plan_sourcehut_parse(const char *path, const void *bytes, size_t len, const struct plan_tree *tree, struct plan *ret,
			 struct err *err) MUST_CHECK;
#define PLAN_JSON_TEXT "{\"type\":[\"string\",\"number\",\"boolean\"]}"
#define PLAN_JSON_IMAGE "{\"type\":\"string\",\"pattern\":\"^[a-z0-9][a-z0-9._-]{0,63}(@[A-Za-z0-9_-][A-Za-z0-9._-]{0,31})?$\"}"
#define PLAN_JSON_ENV_NAMES "\"propertyNames\":{\"pattern\":\"^(?!TALKOO_)[A-Za-z_][A-Za-z0-9_]{0,62}$\"}"
/* The table of the key matrix. */
#define PLAN_MATRIX_FIELDS_LEN 2
extern const struct schema_field plan_matrix_fields[PLAN_MATRIX_FIELDS_LEN];
/* The key `matrix` of a .talkoo.yml. record: struct plan. */
int plan_read_matrix(const struct yaml_node *value, void *record, struct err *err) MUST_CHECK;
/* One NAME: text entry of a map of variables is checked, not read. Its hint says what is wrong with the name. */
int plan_check_env_name(const struct yaml_node *entry, struct err *err) MUST_CHECK;
/* What is wrong with an artifact glob; NULL when nothing is. */
const char *plan_glob_fault(const char *glob);
/* The key `fetch` of a .talkoo.yml, and the table of one of its entries. record: struct plan. */
#define PLAN_FETCH_FIELDS_LEN 3
extern const struct schema_field plan_fetch_fields[PLAN_FETCH_FIELDS_LEN];
int plan_read_fetch(const struct yaml_node *value, void *record, struct err *err) MUST_CHECK;
/* Ambient's http_get: the same, with `filename`, and a digest only where it is given. */
int plan_read_http_get(const struct yaml_node *items, struct plan *plan, struct err *err) MUST_CHECK;
void plan_matrix_release(struct plan_matrix *m);
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
