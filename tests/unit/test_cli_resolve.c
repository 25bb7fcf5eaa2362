/* Commits and projects as a person names them: gitrepo, resolve, runsource, treeplan, against real small repositories. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/cli/gitrepo.h"
#include "node/cli/resolve.h"
#include "node/cli/runsource.h"
#include "node/cli/treeplan.h"
#include "node/cli/workplace.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "tests/unit/tap.h"

static char top[] = "/tmp/talkoo-resolve-XXXXXX";

static bool sh(const char *commands)
{
	char line[4096];
	snprintf(line, sizeof line,
		 "cd %s && GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b "
		 "GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' "
		 "sh -e -c '%s' >/dev/null 2>&1",
		 top, commands);
	return system(line) == 0;
}

static const char *path_of(const char *name)
{
	static char path[2][256];
	static int turn;
	turn = !turn;
	snprintf(path[turn], sizeof path[turn], "%s/%s", top, name);
	return path[turn];
}

static bool make_repositories(void)
{
	return sh("git init -q -b main work; cd work; echo one > f; git add f; git commit -q -m \"first one\";"
		  "mkdir sub; echo two > sub/g; printf \"project: demo\\n\" > .talkoo.yml; git add .; git commit -q -m second;"
		  "git tag -a v1 -m tagged; git branch other HEAD~1; ln -s f link; git add link; git commit -q -m third;"
		  "cd ..; git clone -q --bare work bare.git; git clone -q bare.git clone; git clone -q --shared work shared;"
		  "git -C work worktree add -q ../tree other; git init -q empty; mkdir plain");
}

static void test_commits(void)
{
	struct gitrepo *repo = NULL;
	struct err err = {0};
	OK(!gitrepo_open(path_of("work/sub"), &repo, &err), "a subfolder is in its repository");
	struct gitrepo_commit head, c;
	OK(!gitrepo_commit(repo, "HEAD", &head, &err), "HEAD %s", err.what);
	STREQ(head.ref, "refs/heads/main");
	STREQ(head.subject, "third");
	INTEQ(strlen(head.id), 40);
	OK(!gitrepo_commit(repo, "main", &c, NULL) && !strcmp(c.id, head.id), "a branch");
	OK(!gitrepo_commit(repo, "HEAD~1", &c, NULL) && strcmp(c.id, head.id) && !*c.ref, "an ancestor, on no ref by name");
	OK(!gitrepo_commit(repo, "v1", &c, NULL) && !strcmp(c.ref, "refs/tags/v1") && !strcmp(c.subject, "second"), "an annotated tag is its commit");
	char shortened[8];
	snprintf(shortened, sizeof shortened, "%s", head.id);
	OK(!gitrepo_commit(repo, shortened, &c, NULL) && !strcmp(c.id, head.id), "seven digits");
	INTEQ(gitrepo_commit(repo, "nosuch", &c, &err), ERR_NOT_FOUND);
	OK(strstr(err.what, "nosuch: no such commit"), "%s", err.what);
	INTEQ(gitrepo_commit(repo, "HEAD^{tree}", &c, &err), ERR_USAGE);
	INTEQ(gitrepo_commit(repo, "HEAD@{{", &c, &err), ERR_USAGE);
	INTEQ(gitrepo_commit(repo, "ffffffffffffffffffffffffffffffffffffffff", &c, &err), ERR_NOT_FOUND);
	size_t changes = 9;
	OK(!gitrepo_changes(repo, &changes, NULL) && changes == 0, "a clean checkout");
	OK(sh("cd work; echo more >> f; echo new > h"), "two changes");
	OK(!gitrepo_changes(repo, &changes, NULL) && changes == 2, "%zu changes", changes);
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, 1000);
	OK(!gitrepo_read(repo, head.id, "sub/g", &text, NULL) && !strcmp(buf_cstr(&text), "two\n"), "a file of the tree, not of the checkout");
	INTEQ(gitrepo_read(repo, head.id, "nosuch", &text, NULL), ERR_NOT_FOUND);
	INTEQ(gitrepo_read(repo, head.id, "link", &text, NULL), ERR_INVALID);
	INTEQ(gitrepo_read(repo, head.id, "sub", &text, NULL), ERR_INVALID);
	text.max = 3;
	buf_reset(&text);
	INTEQ(gitrepo_read(repo, head.id, "sub/g", &text, NULL), ERR_LIMIT);
	gitrepo_close(&repo);
	INTEQ(gitrepo_open(path_of("plain"), &repo, &err), ERR_NOT_FOUND);
	INTEQ(gitrepo_open(path_of("nosuch"), &repo, &err), ERR_NOT_FOUND);
	OK(!gitrepo_open(path_of("empty"), &repo, NULL), "an empty repository opens");
	INTEQ(gitrepo_commit(repo, "HEAD", &c, &err), ERR_NOT_FOUND);
	STREQ(err.what, "this repository has no commit yet");
	gitrepo_close(&repo);
}

static void test_objects(void)
{
	static const struct {
		const char *dir, *objects, *alternate;
	} cases[] = {{"work", "work/.git/objects", ""},
		     {"bare.git", "bare.git/objects", ""},
		     {"tree", "work/.git/objects", ""},
		     {"shared", "shared/.git/objects", "work/.git/objects"}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct gitrepo *repo = NULL;
		char objects[PATH_MAX], alternates[JOB_ALTERNATES_MAX][PATH_MAX], want[PATH_MAX];
		OK(!gitrepo_open(path_of(cases[i].dir), &repo, NULL), "%s opens", cases[i].dir);
		OK(!gitrepo_objects(repo, objects, alternates, JOB_ALTERNATES_MAX, NULL), "%s has objects", cases[i].dir);
		STREQ(objects, path_of(cases[i].objects));
		snprintf(want, sizeof want, "%s", *cases[i].alternate ? path_of(cases[i].alternate) : "");
		STREQ(alternates[0], want);
		gitrepo_close(&repo);
	}
	/* relative, twice the same, a comment, a missing one, and one too many */
	OK(sh("for i in 1 2 3 4 5; do git init -q --bare alt$i; done; cd shared/.git/objects/info;"
	      "printf \"# a comment\\n../../../work/.git/objects\\n../../../work/.git/objects/\\n/nosuch\\n\" > alternates"),
	   "alternates by hand");
	struct gitrepo *repo = NULL;
	char objects[PATH_MAX], alternates[JOB_ALTERNATES_MAX][PATH_MAX];
	OK(!gitrepo_open(path_of("shared"), &repo, NULL) && !gitrepo_objects(repo, objects, alternates, JOB_ALTERNATES_MAX, NULL), "reads them");
	STREQ(alternates[0], path_of("work/.git/objects"));
	STREQ(alternates[1], "");
	OK(sh("cd shared/.git/objects/info; for i in 1 2 3 4 5; do echo ../../../alt$i/objects; done > alternates"), "five of them");
	struct err err = {0};
	INTEQ(gitrepo_objects(repo, objects, alternates, JOB_ALTERNATES_MAX, &err), ERR_LIMIT);
	gitrepo_close(&repo);
	OK(sh("cd shared/.git/objects/info; echo ../../../work/.git/objects > alternates"), "as before");
}

static void test_pushed(void)
{
	struct gitrepo *repo = NULL;
	struct gitrepo_commit head;
	char ref[256];
	OK(!gitrepo_open(path_of("clone"), &repo, NULL) && !gitrepo_commit(repo, "HEAD", &head, NULL), "a clone");
	OK(!gitrepo_pushed(repo, head.id, ref, NULL), "asks");
	STREQ(ref, "refs/heads/main");
	OK(sh("cd clone; git checkout -q -b feature/x; git commit -q --allow-empty -m unpushed"), "a commit of one's own");
	OK(!gitrepo_commit(repo, "HEAD", &head, NULL) && !gitrepo_pushed(repo, head.id, ref, NULL) && !*ref, "is on no remote ref");
	OK(sh("cd clone; git push -q origin feature/x"), "pushed");
	OK(!gitrepo_pushed(repo, head.id, ref, NULL), "asks again");
	STREQ(ref, "refs/heads/feature/x");
	gitrepo_close(&repo);
	OK(!gitrepo_open(path_of("bare.git"), &repo, NULL) && !gitrepo_commit(repo, "other", &head, NULL), "a bare repository");
	OK(!gitrepo_pushed(repo, head.id, ref, NULL) && *ref, "its own branches count: %s", ref);
	gitrepo_close(&repo);
}

static void test_sources(void)
{
	static const struct {
		const char *text;
		enum runsource_kind kind;
	} kinds[] = {{".", RUNSOURCE_DIR},
		     {"/a/b", RUNSOURCE_DIR},
		     {"file:///a/b", RUNSOURCE_DIR},
		     {"./a:b", RUNSOURCE_DIR},
		     {"https://h/x", RUNSOURCE_URL},
		     {"git://h/x", RUNSOURCE_URL},
		     {"ssh://h/x", RUNSOURCE_SSH},
		     {"git@h:x/y.git", RUNSOURCE_SSH},
		     {"h:x", RUNSOURCE_SSH},
		     {":x", RUNSOURCE_DIR}};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		OK(runsource_kind_of(kinds[i].text) == kinds[i].kind, "%s", kinds[i].text);
	struct runsource s = {0};
	struct err err = {0};
	OK(!runsource_find(&(struct runsource_ask){path_of("work"), NULL, NULL, "/m", NULL}, &s, &err), "a checkout %s", err.what);
	STREQ(s.source.ref, "refs/heads/main");
	STREQ(s.source.commit, s.commit.id);
	STREQ(s.source.url, "");
	INTEQ(s.changes, 2);
	runsource_release(&s);
	OK(!runsource_find(&(struct runsource_ask){path_of("work"), "other", NULL, "/m", NULL}, &s, &err) && s.changes == 0, "another commit is not dirty");
	runsource_release(&s);
	char url[300];
	snprintf(url, sizeof url, "file://%s", path_of("bare.git"));
	OK(!runsource_find(&(struct runsource_ask){url, "v1", NULL, "/m", NULL}, &s, &err) && !strcmp(s.source.ref, "refs/tags/v1"), "file:// of a bare one");
	runsource_release(&s);
	OK(!runsource_find(&(struct runsource_ask){"https://example.org/x.git", "ABCDEF1", "dev", "/m", NULL}, &s, &err), "a URL");
	STREQ(s.source.commit, "abcdef1");
	STREQ(s.source.ref, "refs/heads/dev");
	OK(!strncmp(s.source.mirror, "/m/url-", 7) && strlen(s.source.mirror) == 7 + 32, "its mirror");
	OK(s.source.allow_loopback && s.source.allow_private, "the person typed it");
	runsource_release(&s);
	char snapshot[PATH_MAX + 32], first[65];
	snprintf(snapshot, sizeof snapshot, "%s", path_of("snapshot"));
	OK(!mkdir(snapshot, 0700), "a folder for a snapshot");
	const struct runsource_ask dirty = {path_of("work"), NULL, NULL, "/m", snapshot};
	OK(!runsource_find(&dirty, &s, &err) && s.is_snapshot && s.changes && strcmp(s.source.local_objects, s.source.local_alternates[0]) &&
	   !strcmp(runsource_place(&s.source, true), s.source.local_alternates[0]), "the working tree %s", err.what);
	memcpy(first, s.source.commit, sizeof first);
	runsource_release(&s);
	OK(!runsource_find(&dirty, &s, &err) && !strcmp(first, s.source.commit), "the same files have the same id");
	runsource_release(&s);
	INTEQ(runsource_find(&(struct runsource_ask){"https://example.org/x.git", "main", NULL, "/m", NULL}, &s, &err), ERR_USAGE);
	INTEQ(runsource_find(&(struct runsource_ask){"git@example.org:x.git", NULL, NULL, "/m", NULL}, &s, &err), ERR_USAGE);
	INTEQ(runsource_find(&(struct runsource_ask){path_of("nosuch"), NULL, NULL, "/m", NULL}, &s, &err), ERR_NOT_FOUND);
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_names(void)
{
	char project[LINK_TEXT_MAX], id[ID32_TEXT_MAX], commit[65];
	struct err err = {0};
	INTEQ(resolve_form_of("talkoo:" ID), RESOLVE_LINK);
	INTEQ(resolve_form_of(ID), RESOLVE_ID);
	INTEQ(resolve_form_of("0123456"), RESOLVE_PREFIX);
	INTEQ(resolve_form_of("012345"), RESOLVE_ALIAS);
	INTEQ(resolve_form_of("demo"), RESOLVE_ALIAS);
	OK(!resolve_project(NULL, "talkoo:" ID "?name=x", RESOLVE_GRANT, project, &err) && !resolve_project_id(project, id, &err), "a link %s", err.what);
	STREQ(id, ID);
	INTEQ(resolve_project(NULL, "talkoo:12", RESOLVE_READ, project, &err), ERR_INVALID);
	INTEQ(resolve_project(NULL, "0123456", RESOLVE_GRANT, project, &err), ERR_USAGE);
	OK(strstr(err.what, "prefix"), "a prefix grants nothing: %s", err.what);
	INTEQ(resolve_project(NULL, "demo", RESOLVE_READ, project, &err), ERR_USAGE);
	INTEQ(resolve_project(NULL, NULL, RESOLVE_GRANT, project, &err), ERR_USAGE);
	OK(!chdir(path_of("plain")), "outside");
	INTEQ(resolve_project(NULL, NULL, RESOLVE_READ, project, &err), ERR_USAGE);
	OK(!resolve_commit(NULL, "ABCDEF0", commit, &err), "digits outside a checkout");
	STREQ(commit, "abcdef0");
	INTEQ(resolve_commit(NULL, "HEAD", commit, &err), ERR_USAGE);
	INTEQ(resolve_commit(NULL, "abcdef", commit, &err), ERR_USAGE);
	struct gitrepo *repo = NULL;
	OK(!gitrepo_open(path_of("work"), &repo, NULL), "inside");
	OK(!resolve_commit(repo, "HEAD", commit, &err) && strlen(commit) == 40, "HEAD");
	OK(!resolve_commit(repo, "fffffff0", commit, &err) && !strcmp(commit, "fffffff0"), "digits that the checkout does not know are still an id");
	INTEQ(resolve_commit(repo, "nosuch", commit, &err), ERR_NOT_FOUND);
	gitrepo_close(&repo);
}

static void test_project_here(void)
{
	char project[LINK_TEXT_MAX];
	struct err err = {0};
	OK(sh("mkdir -p named/sub; cd named; git init -q; printf \"project: " ID "\\nimage: mini\\nsteps:\\n  - run: \\\"true\\\"\\n\" > .talkoo.yml"), "a plan");
	OK(!chdir(path_of("named/sub")), "in a subfolder");
	OK(!resolve_project(NULL, NULL, RESOLVE_READ, project, &err), "the checkout's project %s", err.what);
	STREQ(project, ID);
	OK(sh("cd named; printf \"image: mini\\nsteps:\\n  - run: \\\"true\\\"\\n\" > .talkoo.yml"), "without project");
	INTEQ(resolve_project(NULL, NULL, RESOLVE_READ, project, &err), ERR_USAGE);
	OK(sh("cd named; printf \"imagge: mini\\n\" > .talkoo.yml"), "a wrong plan");
	INTEQ(resolve_project(NULL, NULL, RESOLVE_READ, project, &err), ERR_INVALID);
	OK(strstr(err.what, ".talkoo.yml:1"), "names the line: %s", err.what);
	OK(!chdir("/"), "back");
}

static void test_workplace(void)
{
	struct workplace w;
	struct workplace_run run = {.lock_fd = -1}, other = {.lock_fd = -1};
	struct err err = {0};
	OK(!workplace_find(path_of("home"), &w, &err), "%s", err.what);
	OK(!workplace_run_new(&w, &run, &err) && !access(run.folder, R_OK | W_OK), "a run's folder %s", err.what);
	char first[PATH_MAX], dead[PATH_MAX];
	memcpy(first, run.folder, sizeof first);
	snprintf(dead, sizeof dead, "%s/run-dead00", w.runs);
	OK(sh("mkdir -p home/state/runs/run-dead00/job; echo x > home/state/runs/run-dead00/job/log;"
	      "touch -d \"2 hours ago\" home/state/runs/run-dead00 home/state/runs/run-??????"),
	   "a dead run's folder, and a living one, both old");
	OK(!workplace_run_new(&w, &other, &err), "another run");
	OK(access(dead, F_OK) && !access(first, F_OK), "swept the dead one only");
	OK(!workplace_run_keep(&other, &err) && strstr(other.folder, "/kept-"), "kept");
	char kept[PATH_MAX];
	memcpy(kept, other.folder, sizeof kept);
	workplace_run_release(&other);
	workplace_run_release(&run);
	OK(!access(kept, F_OK) && access(first, F_OK), "one stays, one goes");
	workplace_run_release(&run);
}

int main(void)
{
	if (!mkdtemp(top) || !make_repositories()) {
		tap_skip("git is not to be had here");
		return tap_done();
	}
	test_commits();
	test_objects();
	test_pushed();
	test_sources();
	test_names();
	test_project_here();
	test_workplace();
	OK(!io_remove_tree(top, NULL), "cleaned up");
	return tap_done();
}
