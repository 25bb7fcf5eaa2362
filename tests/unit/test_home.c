#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/home.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "tests/unit/tap.h"

static char root[] = "/tmp/talkoo-home-XXXXXX";

static const char *in_root(const char *path)
{
	static char out[4][512];
	static int at;
	at = (at + 1) % 4;
	snprintf(out[at], sizeof out[at], "%s%s", root, path);
	return out[at];
}

/* HOME, XDG_*: all from the test */
static void set_environment(void)
{
	setenv("HOME", in_root("/h"), 1);
	setenv("TALKOO_SYSTEM_PREFIX", in_root("/sys"), 1);
	unsetenv("TALKOO_HOME");
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("XDG_STATE_HOME");
	unsetenv("XDG_RUNTIME_DIR");
}

static void test_named_folder(void)
{
	struct home h;
	struct err err;
	INTEQ(home_find("/a/b///", &h, &err), 0);
	INTEQ(h.kind, HOME_DIR);
	STREQ(h.config_file, "/a/b/config.yml");
	STREQ(h.key, "/a/b/state/key");
	STREQ(h.socket, "/a/b/run/control.sock");
	STREQ(h.policy_cli, "/a/b/policy.d/cli.yml");
	setenv("TALKOO_HOME", "/c", 1);
	INTEQ(home_find(NULL, &h, &err), 0);
	STREQ(h.database, "/c/state/talkoo.db");
	INTEQ(home_find("/a", &h, &err), 0);
	STREQ(h.database, "/a/state/talkoo.db");
	INTEQ(home_find("", &h, &err), ERR_USAGE);
	char longish[200];
	memset(longish, 'x', sizeof longish - 1);
	longish[0] = '/';
	longish[sizeof longish - 1] = 0;
	INTEQ(home_find(longish, &h, &err), ERR_LIMIT);
	OK(strstr(err.hint, "shorter"), "says what to do about a long path");
	INTEQ(chdir("/tmp"), 0);
	INTEQ(home_find("x", &h, &err), 0);
	STREQ(h.config, "/tmp/x");
}

static void test_order(void)
{
	struct home h;
	struct err err;
	set_environment();
	INTEQ(home_find(NULL, &h, &err), 0);
	INTEQ(h.kind, HOME_USER);
	STREQ(h.config, in_root("/h/.config/talkoo"));
	STREQ(h.state, in_root("/h/.local/state/talkoo"));
	STREQ(h.run, in_root("/h/.local/state/talkoo/run"));
	OK(!home_is_made(&h), "nothing there yet");

	INTEQ(io_mkdirs(in_root("/sys/etc/talkoo"), 0700, &err), 0);
	INTEQ(home_find(NULL, &h, &err), 0);
	INTEQ(h.kind, HOME_SYSTEM);
	STREQ(h.database, in_root("/sys/var/lib/talkoo/talkoo.db"));

	unsetenv("HOME");
	INTEQ(home_find(NULL, &h, &err), 0);
	INTEQ(h.kind, HOME_SYSTEM);
	set_environment();

	INTEQ(io_mkdirs(in_root("/h/.config/talkoo"), 0700, &err), 0);
	setenv("XDG_RUNTIME_DIR", in_root("/rt"), 1);
	INTEQ(home_find(NULL, &h, &err), 0);
	INTEQ(h.kind, HOME_USER);
	STREQ(h.socket, in_root("/rt/talkoo/control.sock"));

	setenv("XDG_CONFIG_HOME", "relative", 1);
	INTEQ(home_find(NULL, &h, &err), 0);
	STREQ(h.config, in_root("/h/.config/talkoo"));

	INTEQ(home_make_folders(&h, &err), 0);
	struct stat st;
	OK(!stat(h.jobs, &st) && (st.st_mode & 0777) == 0700, "folders are 0700");
	OK(!home_is_made(&h), "folders alone are not a home");
	INTEQ(io_replace_file(h.key, "k", 1, 0600, &err), 0);
	INTEQ(io_replace_file(h.config_file, "", 0, 0600, &err), 0);
	OK(home_is_made(&h), "key and config are");
}

static void test_no_home_at_all(void)
{
	struct home h;
	struct err err;
	set_environment();
	unsetenv("HOME");
	setenv("TALKOO_SYSTEM_PREFIX", in_root("/nosys"), 1);
	INTEQ(home_find(NULL, &h, &err), ERR_USAGE);
	OK(strstr(err.hint, "--home"), "says what to do without HOME");
}

int main(void)
{
	if (!mkdtemp(root))
		return 1;
	set_environment();
	test_named_folder();
	test_order();
	test_no_home_at_all();
	INTEQ(io_remove_tree(root, NULL), 0);
	return tap_done();
}
