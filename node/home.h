/* Which node is meant, and where its files are.
 *
 * CLI.md: `--home DIR`, else TALKOO_HOME, else the user's own if it exists, else the system's if that exists, else the
 * user's own (not made yet). Used by talkoo and talkood alike, so that both always mean the same node.
 * Must not know: what is in the files. Links: base.
 *
 * How it is used:
 *   struct home home;
 *   if (home_find(option_or_null, &home, err)) return …;   // computes paths only, creates nothing
 *   … home.socket …
 *
 * With a folder given everything is below it:  DIR/config.yml policy.yml policy.d/ state/ run/
 * The user's:    ~/.config/talkoo (XDG_CONFIG_HOME), ~/.local/state/talkoo (XDG_STATE_HOME), XDG_RUNTIME_DIR/talkoo
 * The system's:  /etc/talkoo, /var/lib/talkoo, /run/talkoo
 * (TALKOO_SYSTEM_PREFIX in the environment is put before the system's paths: for tests.) */
#ifndef TALKOO_NODE_HOME_H
#define TALKOO_NODE_HOME_H

#include <limits.h>
#include <stdbool.h>

#include "proto/base/err.h"

enum home_kind { HOME_DIR = 1 /* a folder was named */, HOME_USER, HOME_SYSTEM };

struct home {
	enum home_kind kind;
	/* folders */
	char config[PATH_MAX], state[PATH_MAX], run[PATH_MAX];
	char policy_dir[PATH_MAX]; /* CONFIG/policy.d */
	char images[PATH_MAX];     /* STATE/images, unless config.yml names another (config.h) */
	char mirrors[PATH_MAX];    /* STATE/mirrors/PROJECT */
	char caches[PATH_MAX];     /* STATE/caches: what jobs keep over runs (runner/cachekey.h) */
	char fetched[PATH_MAX];    /* STATE/fetched: files that plans fetched, by digest */
	char jobs[PATH_MAX];       /* STATE/jobs/JOB: only while it runs; swept at start */
	char blobs[PATH_MAX];      /* STATE/blobs/JOB/NODE: log and artifacts of a result */
	/* files */
	char config_file[PATH_MAX]; /* CONFIG/config.yml */
	char policy_file[PATH_MAX]; /* CONFIG/policy.yml: a person's */
	char policy_cli[PATH_MAX];  /* CONFIG/policy.d/cli.yml: allow's and deny's */
	char key[PATH_MAX];         /* STATE/key: the identity */
	char database[PATH_MAX];    /* STATE/talkoo.db */
	char log[PATH_MAX];         /* STATE/talkood.log */
	char accel_cache[PATH_MAX]; /* STATE/accel.json (runner/accel.h) */
	char socket[PATH_MAX];      /* RUN/control.sock */
	char lock[PATH_MAX];        /* STATE/lock: held by the running node */
};

/* dir: the option --home, or NULL. ERR_USAGE: an empty or relative HOME where one is needed; ERR_LIMIT: a path that does
 * not fit (a socket's is limited to 107 bytes), the hint saying which. */
int home_find(const char *dir, struct home *ret, struct err *err) MUST_CHECK;
/* Whether `talkoo init` has been here: the key file and config.yml exist. */
bool home_is_made(const struct home *h);
/* Makes the folders (0700; the socket's folder too). */
int home_make_folders(const struct home *h, struct err *err) MUST_CHECK;

#endif
