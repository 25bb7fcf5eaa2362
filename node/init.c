#include "node/init.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "node/config.h"
#include "node/identity.h"
#include "proto/base/buf.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"

static const char policy_text[] =
	"# Whose code is built here. Nothing, until a rule allows a project:\n"
	"# `talkoo allow LINK` writes one into policy.d/cli.yml; this file is yours, no program writes it.\n"
	"# The first rule that matches decides: the deny rules of policy.d/cli.yml, then these, then its allow rules.\n"
	"rules: []\n";

static bool exists(const char *path)
{
	struct stat st;
	return !lstat(path, &st);
}

static void cleanup_identity(struct identity **id)
{
	identity_free(*id);
}

/* As a quoted YAML scalar: JSON's escapes are YAML's. */
static void put_quoted(struct buf *b, const char *text)
{
	buf_byte(b, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_byte(b, '\\');
		buf_byte(b, (uint8_t)*text);
	}
	buf_byte(b, '"');
}

static void put_setting(struct buf *b, const char *key, const char *value, const char *when_absent)
{
	if (!value) {
		buf_printf(b, "# %s\n", when_absent);
		return;
	}
	buf_printf(b, "%s: ", key);
	put_quoted(b, value);
	buf_byte(b, '\n');
}

static void write_config_text(const struct init_options *o, struct buf *b)
{
	buf_str(b, "# This node's settings; what is absent has its default (`talkoo help config` lists all).\n");
	put_setting(b, "network", o->network, "network: main");
	put_setting(b, "alias", o->alias, "alias: a name for people");
	put_setting(b, "listen", o->listen, "listen: 0.0.0.0:8255     # absent: dial out only");
	if (!o->seeds_len)
		buf_str(b, "# seeds: [z6Mk…@host:8255]\n");
	else
		buf_str(b, "seeds:\n");
	for (size_t i = 0; i < o->seeds_len; i++) {
		buf_str(b, "  - ");
		put_quoted(b, o->seeds[i]);
		buf_byte(b, '\n');
	}
	buf_str(b, "# limits: {jobs: 1, cpus: 2, memory: 2G, disk: 10G, timeout: 30m}\n");
}

/* The text is read back before it is written, so that init never leaves a config that start refuses. */
static int make_config_text(const struct init_options *o, struct buf *text, struct err *err)
{
	write_config_text(o, text);
	int rc = buf_check(text, "config.yml", err);
	if (rc)
		return rc;
	const struct config_machine machine = {.cores = 1, .memory_bytes = 1};
	CLEANUP(cleanup_free) struct config *parsed = malloc(sizeof *parsed);
	if (!parsed)
		return err_set(err, ERR_NOMEM, "out of memory");
	rc = config_parse("options", buf_cstr(text), text->len, &machine, parsed, err);
	if (rc != ERR_INVALID && rc != ERR_LIMIT)
		return rc;
	/* "options:6:5: seeds[0]: …": whoever gave an option has not seen that text */
	if (err) {
		const char *const what = strchr(err->what, ' ');
		const struct err old = *err;
		err_set(err, ERR_USAGE, "%s", what ? old.what + (what + 1 - err->what) : old.what);
		if (old.hint[0])
			return err_hint(err, "%s", old.hint);
	}
	return ERR_USAGE;
}

static int refuse_made(const struct home *home, struct err *err)
{
	CLEANUP(cleanup_identity) struct identity *id = NULL;
	char text[NODE_ID_TEXT_MAX];
	if (identity_load(home->key, &id, err))
		return err_context(err, "%s is a node already", home->config);
	err_set(err, ERR_REFUSED, "%s is a node already: %s", home->config, node_id_format(text, identity_id(id)));
	return err_hint(err, "another node beside it: talkoo --home DIR init");
}

static int make_key(const struct home *home, const char *backup, struct init_result *ret, struct err *err)
{
	CLEANUP(cleanup_identity) struct identity *id = NULL;
	int rc;
	ret->made_key = !exists(home->key);
	if (!ret->made_key && backup)
		rc = err_set(err, ERR_REFUSED, "%s exists: a key is never overwritten", home->key);
	else if (!ret->made_key)
		rc = identity_load(home->key, &id, err);
	else if (backup)
		rc = identity_copy(backup, home->key, &id, err);
	else
		rc = identity_create(home->key, &id, err);
	if (!rc)
		ret->id = *identity_id(id);
	return rc;
}

static int write_absent(const char *path, const char *text, size_t len, bool *ret_made, struct err *err)
{
	*ret_made = !exists(path);
	return *ret_made ? io_replace_file(path, text, len, 0600, err) : 0;
}

int init_home(const struct home *home, const struct init_options *o, struct init_result *ret, struct err *err)
{
	if (home_is_made(home))
		return refuse_made(home, err);
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, CONFIG_BYTES_MAX);
	struct init_result made = {0};
	int rc = make_config_text(o, &text, err);
	if (!rc)
		rc = home_make_folders(home, err);
	if (!rc)
		rc = make_key(home, o->key_file, &made, err);
	if (!rc)
		rc = write_absent(home->policy_file, policy_text, sizeof policy_text - 1, &made.made_policy, err);
	if (!rc) /* last: with it the home is made */
		rc = write_absent(home->config_file, buf_cstr(&text), text.len, &made.made_config, err);
	if (!rc)
		*ret = made;
	return rc;
}
