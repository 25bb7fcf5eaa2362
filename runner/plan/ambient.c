/* `.radicle/ambient.yaml`: Ambient's plans become steps, action by action. What cannot be honoured is refused here, by
 * name, so that no machine starts for it.
 *
 * Ambient keeps its phases apart: pre_plan fetches (with a network), plan builds (without), post_plan publishes. Nothing
 * fetches yet, so of pre_plan only what has nothing to fetch is honoured; nobody here has configured a place to publish to,
 * so post_plan does nothing and succeeds, as in Ambient. */
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/sanitise.h"
#include "proto/base/schema.h"
#include "proto/base/suggest.h"
#include "runner/plan/ambient_args.h"
#include "runner/plan/plan_parts.h"

#define EXPORTS_MAX 65536
#define LOCK_BYTES_MAX (8u << 20)
#define FIELDS_MAX 5
#define NPM_FIRST "npm-shrinkwrap.json" /* counts before package-lock.json */
#define TRACE "set -xeuo pipefail\n"
#define VERSIONS "cargo --version\nrustc --version\n"

enum phase { PHASE_PRE, PHASE_PLAN, PHASE_POST };
static const char *const phase_names[] = {"pre_plan", "plan", "post_plan"};

struct maker {
	const struct plan_tree *tree;
	struct plan *plan;
	struct buf exports; /* what setenv said so far, for all later actions */
};

struct action;
typedef int (*make_fn)(struct maker *m, const struct action *a, const struct yaml_node *item, struct err *err);

struct action {
	const char *name;
	enum phase phase;
	make_fn make;
	const char *fields[FIELDS_MAX];
	const char *text; /* make_fixed: the commands; make_refused: why; make_fetch: file and what in it asks for a fetch */
};

static int add_step(struct maker *m, const char *name, const char *run, const struct yaml_node *from, bool is_text, struct err *err)
{
	CLEANUP(buf_release) struct buf prelude;
	buf_init(&prelude, 2 * EXPORTS_MAX);
	buf_append(&prelude, m->exports.data, m->exports.len);
	buf_str(&prelude, TRACE);
	const int rc = buf_check(&prelude, "the plan's variables", err);
	const struct plan_new_step step = {.name = name, .prelude = buf_cstr(&prelude), .run = run, .from = from, .is_text = is_text};
	return rc ? rc : plan_add_step(m->plan, &step, err);
}

/* The text of a field that must be there. */
static int field(const struct yaml_node *item, const char *key, size_t max, const struct yaml_node **ret, struct err *err)
{
	const struct yaml_node *node = yaml_get(item, key);
	const char *text;
	if (!node)
		return yaml_err(item, err, "the field %s is missing", key);
	const int rc = schema_text(node, 0, max, &text, err);
	if (!rc)
		*ret = node;
	return rc;
}

static int make_fixed(struct maker *m, const struct action *a, const struct yaml_node *item, struct err *err)
{
	return add_step(m, a->name, a->text, item, false, err);
}

static int make_refused(struct maker *m, const struct action *a, const struct yaml_node *item, struct err *err)
{
	(void)m;
	yaml_err(yaml_get(item, "action"), err, "%s cannot be honoured: %s", a->name, a->text);
	err_hint(err, "have what it fetches in the image or in the repository, and leave the action out");
	return ERR_INVALID;
}

static int make_http_get(struct maker *m, const struct action *a, const struct yaml_node *item, struct err *err)
{
	const struct yaml_node *items = yaml_get(item, "items");
	if (!items)
		return yaml_err(item, err, "the field items is missing (%s)", a->name);
	const size_t before = m->plan->fetch_len;
	const int rc = plan_read_http_get(items, m->plan, err);
	for (size_t i = before; !rc && i < m->plan->fetch_len; i++) {
		if (!m->plan->fetch[i].sha256[0])
			plan_note(m->plan, "http_get: %.60s has no sha256: whatever comes is taken", m->plan->fetch[i].name);
	}
	return rc;
}

static int make_nothing(struct maker *m, const struct action *a, const struct yaml_node *item, struct err *err)
{
	(void)item;
	(void)err;
	plan_note(m->plan, "%s publishes nothing here: no target is configured", a->name);
	return 0;
}

static int make_shell(struct maker *m, const struct action *a, const struct yaml_node *item, struct err *err)
{
	const struct yaml_node *shell = NULL;
	const int rc = field(item, "shell", PLAN_BYTES_MAX, &shell, err);
	if (rc)
		return rc;
	const bool is_blank = !shell->text[strspn(shell->text, " \t\n")];
	return is_blank ? add_step(m, a->name, ":", shell, false, err) : add_step(m, NULL, shell->text, shell, true, err);
}

static int make_setenv(struct maker *m, const struct action *a, const struct yaml_node *item, struct err *err)
{
	const struct yaml_node *set = yaml_get(item, "set");
	if (!set)
		return yaml_err(item, err, "the field set is missing (%s)", a->name);
	int rc = schema_map(set, 0, PLAN_ENV_MAX, err);
	for (const struct yaml_node *c = rc ? NULL : set->first; c && !rc; c = c->next) {
		const char *value;
		if (!plan_env_name_is_valid(c->key) || !strncmp(c->key, "TALKOO_", 7))
			return yaml_err_key(c, err, "is no name for an environment variable of a plan");
		rc = schema_text(c, 0, EXPORTS_MAX, &value, err);
		if (rc)
			return rc;
		buf_printf(&m->exports, "export %s=", c->key);
		plan_quote(&m->exports, value);
		buf_byte(&m->exports, '\n');
	}
	return rc ? rc : buf_check(&m->exports, "the variables of setenv", err);
}

static int make_mkdir(struct maker *m, const struct action *a, const struct yaml_node *item, struct err *err)
{
	(void)a;
	const struct yaml_node *path = NULL;
	int rc = field(item, "pathname", 4096, &path, err);
	if (rc)
		return rc;
	if (!path->text_len)
		return yaml_err(path, err, "is empty");
	CLEANUP(buf_release) struct buf run;
	buf_init(&run, EXPORTS_MAX);
	buf_str(&run, "mkdir -p -- ");
	plan_quote(&run, path->text);
	rc = buf_check(&run, "mkdir", err);
	return rc ? rc : add_step(m, NULL, buf_cstr(&run), path, false, err);
}

static bool is_plain_name(const char *name, bool may_start_with_dot)
{
	return *name && strlen(name) < 128 && (may_start_with_dot || *name != '.') &&
	       !name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")];
}

static int dump(struct buf *out, const json_t *value, bool in_quotes, struct err *err)
{
	CLEANUP(cleanup_free) char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	if (!text)
		return err_set(err, ERR_NOMEM, "out of memory");
	if (in_quotes)
		plan_quote(out, text);
	else
		buf_str(out, text);
	return 0;
}

/* env AMBIENT_CI_<key>=<JSON> … ./.ambient/NAME, the whole map on its standard input */
static int write_custom(struct buf *run, const char *name, json_t *args, struct err *err)
{
	const char *key;
	json_t *value;
	int rc = 0;
	buf_str(run, "env");
	json_object_foreach(args, key, value) {
		if (rc)
			break;
		buf_printf(run, " 'AMBIENT_CI_%s='", key);
		rc = dump(run, value, true, err);
	}
	buf_printf(run, " ./.ambient/%s <<'TALKOO_ARGS'\n", name);
	if (!rc)
		rc = dump(run, args, false, err);
	buf_str(run, "\nTALKOO_ARGS\n");
	return rc ? rc : buf_check(run, "the arguments of custom", err);
}

static int make_custom(struct maker *m, const struct action *a, const struct yaml_node *item, struct err *err)
{
	const struct yaml_node *name = NULL, *args = yaml_get(item, "args");
	int rc = field(item, "name", 127, &name, err);
	if (!rc && !is_plain_name(name->text, false))
		rc = yaml_err(name, err, "is no file name below .ambient");
	const bool has_args = !rc && args && !(args->type == YAML_TEXT && !args->text_len);
	if (has_args)
		rc = schema_map(args, 0, 256, err);
	for (const struct yaml_node *c = !rc && has_args ? args->first : NULL; c && !rc; c = c->next)
		rc = is_plain_name(c->key, true) ? 0 : yaml_err_key(c, err, "is no name for an argument");
	if (rc)
		return rc;
	CLEANUP(buf_release) struct buf run;
	buf_init(&run, 4 * PLAN_BYTES_MAX);
	json_t *object = has_args ? ambient_args_json(args) : json_object();
	rc = write_custom(&run, name->text, object, err);
	json_decref(object);
	char title[160];
	snprintf(title, sizeof title, "%s %s", a->name, name->text);
	rc = rc ? rc : add_step(m, title, buf_cstr(&run), item, false, err);
	if (!rc)
		snprintf(m->plan->steps[m->plan->steps_len - 1].file, PLAN_STEP_FILE_MAX, ".ambient/%s", name->text);
	return rc;
}

static bool has_line(const char *text, const char *start)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		const char *at = line + strspn(line, " \t");
		if (!strncmp(at, start, strlen(start)))
			return true;
	}
	return false;
}

/* "FILE WHAT": nothing to fetch when no line of the lock file starts with WHAT. */
static int make_fetch(struct maker *m, const struct action *a, const struct yaml_node *item, struct err *err)
{
	char file[64];
	const size_t len = strcspn(a->text, " ");
	snprintf(file, sizeof file, "%.*s", (int)len, a->text);
	CLEANUP(buf_release) struct buf lock;
	buf_init(&lock, LOCK_BYTES_MAX);
	int rc = ERR_NOT_FOUND;
	if (m->tree && !strcmp(a->name, "npm_get"))
		rc = m->tree->read(m->tree->context, NPM_FIRST, &lock, NULL);
	if (m->tree && rc == ERR_NOT_FOUND)
		rc = m->tree->read(m->tree->context, file, &lock, NULL);
	else if (m->tree)
		snprintf(file, sizeof file, NPM_FIRST);
	const bool is_known = rc == 0;
	if (is_known && !has_line(buf_cstr(&lock), a->text + len + 1)) {
		plan_note(m->plan, "%s: %s names nothing to fetch", a->name, file);
		return 0;
	}
	yaml_err(yaml_get(item, "action"), err, "%s cannot be honoured: %s %s, and nothing fetches it yet", a->name, file,
		 is_known ? "names dependencies" : "is not there to say what it needs");
	err_hint(err, "vendor the dependencies into the repository and leave the action out");
	return ERR_INVALID;
}

#define NO_FETCH "jobs have no network, and nothing fetches for them yet"
#define DEB_COMMANDS                                                                                                           \
	"name=$(dpkg-parsechangelog -SSource)\nversion=$(dpkg-parsechangelog -SVersion)\nupstream=${version#*:}\n"             \
	"work=$(mktemp -d)\ncp -a . \"$work/source\"\n"                                                                        \
	"case $upstream in\n*-*) tar -C \"$work\" --exclude=source/debian -cJf \"$work/${name}_${upstream%-*}.orig.tar.xz\" source ;;\nesac\n" \
	"cd \"$work/source\"\ndpkg-buildpackage -us -uc\nfind \"$work\" -maxdepth 1 -type f -exec cp -t /ci/artifacts {} +\n"

static const struct action actions[] = {
	{"shell", PHASE_PLAN, make_shell, {"shell"}, NULL},
	{"setenv", PHASE_PLAN, make_setenv, {"set"}, NULL},
	{"mkdir", PHASE_PLAN, make_mkdir, {"pathname"}, NULL},
	{"custom", PHASE_PLAN, make_custom, {"name", "args"}, NULL},
	{"cargo_fmt", PHASE_PLAN, make_fixed, {NULL}, VERSIONS "cargo fmt --version\ncargo fmt --check"},
	{"cargo_clippy", PHASE_PLAN, make_fixed, {NULL},
	 VERSIONS "cargo clippy --version\ncargo clippy --offline --locked --workspace --all-targets --no-deps -- --deny warnings"},
	{"cargo_build", PHASE_PLAN, make_fixed, {NULL}, VERSIONS "cargo build --offline --locked --workspace --all-targets"},
	{"cargo_test", PHASE_PLAN, make_fixed, {NULL}, VERSIONS "cargo test --offline --locked --workspace"},
	{"cargo_doc", PHASE_PLAN, make_fixed, {NULL},
	 VERSIONS "env RUSTDOCFLAGS='--deny warnings' cargo doc --offline --locked --workspace"},
	{"cargo_deny", PHASE_PLAN, make_fixed, {NULL},
	 VERSIONS "cargo deny --version\ncargo deny --offline --locked --workspace check"},
	{"cargo_install", PHASE_PLAN, make_fixed, {NULL},
	 VERSIONS "cargo install --offline --locked --bins --path=. --root=/ci/artifacts"},
	{"deb", PHASE_PLAN, make_fixed, {NULL}, DEB_COMMANDS},
	{"deb_install", PHASE_PLAN, make_refused, {"packages"}, "it installs what deb_get fetched, and nothing fetches yet"},
	{"cargo_fetch", PHASE_PRE, make_fetch, {NULL}, "Cargo.lock source = "},
	{"http_get", PHASE_PRE, make_http_get, {"items"}, NULL},
	{"npm_get", PHASE_PRE, make_fetch, {NULL}, "package-lock.json \"resolved\""},
	{"rustup", PHASE_PRE, make_refused, {"channel", "target", "components", "profile"}, NO_FETCH},
	{"deb_get", PHASE_PRE, make_refused, {"packages", "suite", "cert"}, NO_FETCH},
	{"rsync", PHASE_POST, make_nothing, {"artifacts"}, NULL},
	{"dput", PHASE_POST, make_nothing, {"artifacts"}, NULL},
};

static int unknown_action(const struct yaml_node *name, struct err *err)
{
	const char *names[ARRAY_LEN(actions)];
	char safe[64];
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		names[i] = actions[i].name;
	const char *meant = suggest(name->text, names, ARRAY_LEN(names));
	yaml_err(name, err, "%s: unknown action", sanitise_line(safe, sizeof safe, name->text));
	if (meant)
		err_hint(err, "did you mean `%s`?", meant);
	return ERR_INVALID;
}

static int check_fields(const struct action *a, const struct yaml_node *item, struct err *err)
{
	for (const struct yaml_node *c = item->first; c; c = c->next) {
		bool is_known = !strcmp(c->key, "action");
		size_t len = 0;
		for (; len < FIELDS_MAX && a->fields[len]; len++)
			is_known |= !strcmp(c->key, a->fields[len]);
		if (is_known)
			continue;
		const char *meant = suggest(c->key, a->fields, len);
		yaml_err_key(c, err, "the action %s has no such field", a->name);
		if (meant)
			err_hint(err, "did you mean `%s`?", meant);
		return ERR_INVALID;
	}
	return 0;
}

static int read_action(struct maker *m, enum phase phase, const struct yaml_node *item, struct err *err)
{
	int rc = schema_map(item, 0, 64, err);
	const struct yaml_node *name = rc ? NULL : yaml_get(item, "action");
	const char *text;
	if (rc)
		return rc;
	if (!name)
		return yaml_err(item, err, "the field action is missing");
	rc = schema_text(name, 1, 64, &text, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		const struct action *a = &actions[i];
		if (strcmp(a->name, text))
			continue;
		if (a->phase != phase) {
			yaml_err(name, err, "%s is no action of %s", text, phase_names[phase]);
			err_hint(err, "it belongs into %s", phase_names[a->phase]);
			return ERR_INVALID;
		}
		rc = check_fields(a, item, err);
		return rc ? rc : a->make(m, a, item, err);
	}
	return unknown_action(name, err);
}

static int read_phase(struct maker *m, enum phase phase, const struct yaml_node *root, struct err *err)
{
	const struct yaml_node *list = yaml_get(root, phase_names[phase]);
	if (!list || (list->type == YAML_TEXT && !list->text_len))
		return 0;
	int rc = schema_list(list, 0, 4 * PLAN_STEPS_MAX, err);
	for (const struct yaml_node *c = rc ? NULL : list->first; c && !rc; c = c->next)
		rc = read_action(m, phase, c, err);
	return rc;
}

static int check_root(const struct yaml_node *root, struct err *err)
{
	const int rc = schema_map(root, 0, 64, err);
	for (const struct yaml_node *c = rc ? NULL : root->first; c; c = c->next) {
		bool is_known = false;
		for (size_t i = 0; i < ARRAY_LEN(phase_names); i++)
			is_known |= !strcmp(c->key, phase_names[i]);
		if (is_known)
			continue;
		const char *meant = suggest(c->key, phase_names, ARRAY_LEN(phase_names));
		yaml_err_key(c, err, "unknown key");
		err_hint(err, meant ? "did you mean `%s`?" : "an Ambient plan has pre_plan, plan and post_plan", meant);
		return ERR_INVALID;
	}
	return rc;
}

/* Ambient's guest: where cargo keeps things, and where it looks for programs first. */
static int add_defaults(struct plan *plan, struct err *err)
{
	int rc = plan_add_env(plan, "PATH", "/root/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", err);
	if (!rc)
		rc = plan_add_env(plan, "CARGO_HOME", "/ci/deps", err);
	return rc ? rc : plan_add_env(plan, "CARGO_TARGET_DIR", "/ci/cache", err);
}

int plan_ambient_parse(const char *path, const void *bytes, size_t len, const struct plan_tree *tree, struct plan *ret, struct err *err)
{
	CLEANUP(yaml_release) struct yaml doc = {0};
	CLEANUP(plan_release) struct plan plan = {0};
	struct maker m = {.tree = tree, .plan = &plan};
	plan.has_cache = true;
	int rc = yaml_parse(&doc, path, bytes, len, PLAN_BYTES_MAX, err);
	if (!rc && yaml_is_empty(&doc))
		rc = yaml_err(doc.root, err, "the file is empty");
	if (!rc)
		rc = check_root(doc.root, err);
	if (!rc)
		rc = add_defaults(&plan, err);
	buf_init(&m.exports, EXPORTS_MAX);
	for (enum phase p = PHASE_PRE; p <= PHASE_POST && !rc; p++)
		rc = read_phase(&m, p, doc.root, err);
	buf_release(&m.exports);
	if (!rc && !plan.steps_len)
		rc = plan_add_step(&plan, &(struct plan_new_step){.name = "nothing to do", .run = ":"}, err);
	if (rc)
		return rc;
	*ret = plan;
	memset(&plan, 0, sizeof plan);
	return 0;
}
