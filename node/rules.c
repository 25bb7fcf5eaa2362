#include "node/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"

/* What tells that a file is another one than before. */
struct stamp {
	bool is_there;
	ino_t inode;
	off_t size;
	struct timespec mtime, ctime;
};

struct rules {
	struct home home;
	struct node_id self;
	struct policy *policy;
	bool is_wrong;
	struct err why;
	struct stamp file, cli;
	bool was_read;
};

struct rules *rules_new(const struct home *home, const struct node_id *self)
{
	struct rules *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->home = *home;
	r->self = *self;
	return r;
}

void rules_free(struct rules *r)
{
	if (!r)
		return;
	policy_free(r->policy);
	free(r);
}

static struct stamp stamp_of(const char *path)
{
	struct stat st;
	struct stamp s;
	memset(&s, 0, sizeof s); /* compared as bytes */
	if (stat(path, &st))
		return s;
	s.is_there = true;
	s.inode = st.st_ino;
	s.size = st.st_size;
	s.mtime = st.st_mtim;
	s.ctime = st.st_ctim;
	return s;
}

/* An absent file is no text: *ret_text NULL. */
static int read_text(const char *path, struct buf *b, const char **ret_text, struct err *err)
{
	buf_init(b, POLICY_BYTES_MAX);
	const int rc = io_read_file(path, b, err);
	*ret_text = rc ? NULL : buf_cstr(b);
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int load(struct rules *r, struct policy **ret, struct err *err)
{
	CLEANUP(buf_release) struct buf file;
	CLEANUP(buf_release) struct buf cli;
	const char *file_text, *cli_text = NULL;
	buf_init(&cli, 0);
	int rc = read_text(r->home.policy_file, &file, &file_text, err);
	if (!rc)
		rc = read_text(r->home.policy_cli, &cli, &cli_text, err);
	return rc ? rc : policy_parse(file_text, file.len, cli_text, cli.len, &r->self, ret, err);
}

bool rules_refresh(struct rules *r)
{
	const struct stamp file = stamp_of(r->home.policy_file), cli = stamp_of(r->home.policy_cli);
	if (r->was_read && !memcmp(&file, &r->file, sizeof file) && !memcmp(&cli, &r->cli, sizeof cli))
		return false;
	r->file = file;
	r->cli = cli;
	r->was_read = true;
	policy_free(r->policy);
	r->policy = NULL;
	r->is_wrong = load(r, &r->policy, &r->why) != 0;
	return true;
}

const struct err *rules_error(const struct rules *r)
{
	return r->is_wrong ? &r->why : NULL;
}

const struct policy *rules_policy(const struct rules *r)
{
	return r->policy;
}

void rules_decide(const struct rules *r, const struct policy_facts *facts, struct policy_decision *ret)
{
	if (r->policy) {
		policy_decide(r->policy, facts, ret);
		return;
	}
	*ret = (struct policy_decision){.verdict = POLICY_DENY};
	snprintf(ret->rule, sizeof ret->rule, "error");
	snprintf(ret->reason, sizeof ret->reason, "the policy cannot be read: %.450s", r->is_wrong ? r->why.what : "not yet");
	ret->is_own = rules_is_own(r, &facts->announcer);
}

bool rules_is_own(const struct rules *r, const struct node_id *key)
{
	return r->policy ? policy_is_own(r->policy, key) : node_id_eq(key, &r->self);
}

int rules_write_file(const struct home *home, const struct policy_rule_spec *spec, struct err *err)
{
	CLEANUP(buf_release) struct buf old;
	CLEANUP(buf_release) struct buf text;
	const char *old_text;
	buf_init(&text, POLICY_BYTES_MAX);
	int rc = read_text(home->policy_cli, &old, &old_text, err);
	if (!rc)
		rc = policy_cli_with(old_text, old.len, spec, &text, err);
	if (!rc)
		rc = buf_check(&text, "policy.d/cli.yml", err);
	if (!rc)
		rc = io_mkdirs(home->policy_dir, 0700, err);
	if (!rc)
		rc = io_replace_file(home->policy_cli, text.data, text.len, 0600, err);
	return rc;
}

void rules_written(struct rules *r, const struct policy_rule_spec *spec, char ret_other[256])
{
	rules_refresh(r);
	ret_other[0] = 0;
	if (r->policy)
		policy_file_rule(r->policy, &spec->project, spec->deny ? POLICY_ALLOW : POLICY_DENY, ret_other);
}
