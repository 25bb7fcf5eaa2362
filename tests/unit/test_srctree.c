#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/io.h"
#include "runner/srctree.h"
#include "tests/unit/tap.h"

static git_repository *repo;
static git_odb *odb;
static char folder[] = "/tmp/talkoo-srctree-XXXXXX";

static git_oid put_object(const void *bytes, size_t len, git_object_t type)
{
	git_oid id = {0};
	OK(git_odb_write(&id, odb, bytes, len, type) == 0, "object written");
	return id;
}

static git_oid blob(const char *text)
{
	return put_object(text, strlen(text), GIT_OBJECT_BLOB);
}

struct tree_text {
	uint8_t bytes[65536];
	size_t len;
};

/* Appends a raw tree entry: nothing stands between a test and a bad tree. */
static void add(struct tree_text *t, const char *mode, const char *name, git_oid id)
{
	t->len += (size_t)sprintf((char *)t->bytes + t->len, "%s %s", mode, name) + 1;
	memcpy(t->bytes + t->len, id.id, 20);
	t->len += 20;
}

static git_oid put_tree(const struct tree_text *t)
{
	return put_object(t->bytes, t->len, GIT_OBJECT_TREE);
}

static int pack(const git_oid *tree, uint64_t max, int64_t mtime, struct blob_digest *ret, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = memfd_create("tar", MFD_CLOEXEC);
	CLEANUP(srctar_release) struct srctar t = {0};
	int e = srctar_init(&t, fd, mtime, max, err);
	if (!e)
		e = srctree_write(repo, tree, &t, err);
	return e ? e : srctar_finish(&t, ret, err);
}

/* The tree of the vector in proto/PROTOCOL.md; tests/stages/test_pack.sh makes the same one with git. */
static git_oid vector_tree(void)
{
	static struct tree_text root, sub, deep;
	char name[130];
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = 0;
	const git_oid hello = blob("hello\n"), empty = blob(""), target = blob("sub/a"), module = {.id = {1}};
	add(&deep, "100644", name, hello);
	add(&sub, "100644", "a", empty);
	add(&sub, "40000", "deep", put_tree(&deep));
	add(&root, "100644", ".gitattributes", blob("* export-ignore text eol=crlf\n"));
	add(&root, "160000", "module", module);
	add(&root, "100755", "run.sh", blob("#!/bin/sh\ntrue\n"));
	add(&root, "100644", "sub-x", hello); /* before "sub/": tree order */
	add(&root, "40000", "sub", put_tree(&sub));
	add(&root, "120000", "to-a", target);
	add(&root, "100644", "\xc3\xa4", hello);
	return put_tree(&root);
}

static void test_vector(void)
{
	const git_oid tree = vector_tree();
	struct blob_digest digest = {0};
	struct err err = {0};
	OK(pack(&tree, 1 << 20, 1700000000, &digest, &err) == 0, "the vector packs: %s", err.what);
	char hex[65];
	STREQ(git_oid_tostr(hex, sizeof hex, &tree), "620d240e717afefa498cde700df60afc7770eae8");
	STREQ(hex_encode(hex, digest.sha256, 32), "1e01fae62d04fecc90ef47f46003a8278731fa86c3781f179ddb21fe975ceacc");
	STREQ(hex_encode(hex, digest.root, 32), "47244a0a8fa7e5641b6d89bfb8df730782ec263f7c6053cfbb8e59f0a39ba4ce");
	INTEQ(digest.size, 9728);
	OK(pack(&tree, digest.size - 1, 1700000000, &digest, &err) == ERR_LIMIT, "one byte short: %s", err.what);
}

static void expect_refusal(const struct tree_text *t, const char *names, int want, const char *what)
{
	const git_oid tree = put_tree(t);
	struct blob_digest digest;
	struct err err = {0};
	const int e = pack(&tree, 1 << 20, 0, &digest, &err);
	OK(e == want && (e == 0 || strstr(err.what, names)), "%s: %d %s", what, e, err.what);
}

static void test_names(void)
{
	static const char *const bad[] = {".", "..", ".git", ".GIT", ".Git", "a/b", "/", "../x"};
	const git_oid x = blob("x");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct tree_text t = {.len = 0};
		add(&t, "100644", bad[i], x);
		expect_refusal(&t, bad[i], ERR_REFUSED, bad[i]);
		struct tree_text sub = {.len = 0}, outer = {.len = 0};
		add(&sub, "40000", bad[i], put_tree(&outer));
		add(&outer, "40000", "folder", put_tree(&sub));
		expect_refusal(&outer, "folder/", ERR_REFUSED, bad[i]);
	}
	static const char *const good[] = {".gitignore", "...", "..a", ".gitx", "git", "a\\b", "a b", "-rf", "\x01", "\xff", "a\nb"};
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct tree_text t = {.len = 0};
		add(&t, "100644", good[i], x);
		expect_refusal(&t, "", 0, good[i]);
	}
	char name[300];
	memset(name, 'a', sizeof name);
	name[255] = 0;
	struct tree_text longest = {.len = 0}, longer = {.len = 0};
	add(&longest, "100644", name, x);
	expect_refusal(&longest, "", 0, "255 bytes");
	name[255] = 'a';
	name[256] = 0;
	add(&longer, "100644", name, x);
	expect_refusal(&longer, "aaa", ERR_REFUSED, "256 bytes");
	OK(!srctree_name_is_allowed(""), "the empty name");
}

static void test_order(void)
{
	const git_oid x = blob("x");
	struct tree_text none = {.len = 0};
	const git_oid empty = put_tree(&none);
	struct tree_text twice = {.len = 0}, wrong = {.len = 0}, both = {.len = 0}, apart = {.len = 0}, folders = {.len = 0};
	add(&twice, "100644", "a", x);
	add(&twice, "100644", "a", x);
	expect_refusal(&twice, "'a' is there twice", ERR_REFUSED, "a file twice");
	add(&wrong, "100644", "b", x);
	add(&wrong, "100644", "a", x);
	expect_refusal(&wrong, "order", ERR_REFUSED, "unordered");
	add(&both, "100644", "a", x);
	add(&both, "40000", "a", empty);
	expect_refusal(&both, "twice", ERR_REFUSED, "file and folder");
	add(&apart, "120000", "a", x);
	add(&apart, "100644", "a-b", x);
	add(&apart, "100644", "a.c", x);
	add(&apart, "40000", "a", empty);
	expect_refusal(&apart, "twice", ERR_REFUSED, "link and folder with names between");
	add(&folders, "40000", "a", empty);
	add(&folders, "40000", "a", empty);
	expect_refusal(&folders, "twice", ERR_REFUSED, "a folder twice");
	expect_refusal(&none, "", 0, "an empty tree");
}

static void test_modes(void)
{
	const git_oid x = blob("x");
	static const struct {
		const char *mode;
		int want;
	} cases[] = {{"100644", 0}, {"100664", 0}, {"100755", 0}, {"100600", 0}, {"120000", 0}, {"160000", 0},
		     {"0", ERR_REFUSED}, {"644", ERR_REFUSED}, {"20000", ERR_REFUSED}, {"60000", ERR_REFUSED}, {"10000", ERR_REFUSED}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tree_text t = {.len = 0};
		add(&t, cases[i].mode, "thing", x);
		expect_refusal(&t, "thing", cases[i].want, cases[i].mode);
	}
}

static void test_contents(void)
{
	struct tree_text nul = {.len = 0}, empty = {.len = 0}, missing = {.len = 0}, typed = {.len = 0}, none = {.len = 0},
			 lost = {.len = 0}, long_link = {.len = 0};
	static char target[SRCTAR_LINK_MAX + 2];
	memset(target, 't', sizeof target - 1);
	add(&nul, "120000", "l", put_object("a\0b", 3, GIT_OBJECT_BLOB));
	expect_refusal(&nul, "'l'", ERR_REFUSED, "a target with a 0 byte");
	add(&empty, "120000", "l", blob(""));
	expect_refusal(&empty, "'l'", ERR_REFUSED, "an empty target");
	add(&long_link, "120000", "l", blob(target));
	expect_refusal(&long_link, "'l'", ERR_REFUSED, "a long target");
	add(&missing, "100644", "gone", (git_oid){.id = {9}});
	expect_refusal(&missing, "'gone'", ERR_NOT_FOUND, "a missing blob");
	add(&typed, "100644", "tree", put_tree(&none));
	expect_refusal(&typed, "'tree'", ERR_INVALID, "a tree as a file");
	add(&lost, "40000", "sub", (git_oid){.id = {9}});
	expect_refusal(&lost, "'sub/'", ERR_NOT_FOUND, "a missing tree");
	struct tree_text garbage = {.bytes = "100644 a", .len = 8};
	const git_oid id = put_tree(&garbage);
	struct blob_digest digest;
	struct err err = {0};
	OK(pack(&id, 1 << 20, 0, &digest, &err) == ERR_INVALID, "a tree that is none: %s", err.what);
}

/* 40 levels of two equal subtrees each are 2^40 entries in a few hundred bytes. */
static void test_bombs(void)
{
	const git_oid x = blob("x");
	git_oid inner = x;
	struct blob_digest digest;
	struct err err = {0};
	for (int i = 0; i < 40; i++) {
		struct tree_text t = {.len = 0};
		add(&t, i ? "40000" : "100644", "a", inner);
		add(&t, i ? "40000" : "100644", "b", inner);
		inner = put_tree(&t);
	}
	OK(pack(&inner, 4 << 20, 0, &digest, &err) == ERR_LIMIT, "a bomb of trees: %s", err.what);
	for (int i = 0; i < 200; i++) {
		struct tree_text t = {.len = 0};
		add(&t, "40000", "d", inner);
		inner = put_tree(&t);
	}
	OK(pack(&inner, 4 << 20, 0, &digest, &err) == ERR_REFUSED && strstr(err.what, "deep"), "too deep: %s", err.what);
	char name[256];
	memset(name, 'n', sizeof name);
	name[255] = 0;
	inner = x;
	for (int i = 0; i < 17; i++) {
		struct tree_text t = {.len = 0};
		add(&t, i ? "40000" : "100644", name, inner);
		inner = put_tree(&t);
	}
	OK(pack(&inner, 4 << 20, 0, &digest, &err) == ERR_REFUSED && strstr(err.what, "path"), "too long: %.300s", err.what);
	OK(pack(&x, 4 << 20, 0, &digest, &err) == ERR_NOT_FOUND, "a blob is no root: %s", err.what);
}

/* A loose object whose bytes do not hash to its name. */
static void test_corruption(void)
{
	const git_oid x = blob("some content to be damaged");
	struct tree_text t = {.len = 0};
	add(&t, "100644", "victim", x);
	const git_oid tree = put_tree(&t), other = blob("something else");
	char hex[41], from[200], to[200];
	git_oid_tostr(hex, sizeof hex, &other);
	snprintf(from, sizeof from, "%s/objects/%.2s/%s", folder, hex, hex + 2);
	git_oid_tostr(hex, sizeof hex, &x);
	snprintf(to, sizeof to, "%s/objects/%.2s/%s", folder, hex, hex + 2);
	OK(rename(from, to) == 0, "object exchanged");
	struct blob_digest digest;
	struct err err = {0};
	OK(pack(&tree, 1 << 20, 0, &digest, &err) == ERR_INVALID && strstr(err.what, "victim"), "%s", err.what);
	OK(chmod(to, 0600) == 0 && truncate(to, 5) == 0, "object cut");
	git_odb_refresh(odb);
	const int e = pack(&tree, 1 << 20, 0, &digest, &err);
	OK(e && e != ERR_REFUSED && strstr(err.what, "victim"), "%s", err.what);
}

int main(void)
{
	struct err err = {0};
	if (sodium_init() < 0 || gitlib_setup(&err) || !mkdtemp(folder) || git_repository_init(&repo, folder, 1) ||
	    git_repository_odb(&odb, repo))
		return 1;
	test_vector();
	test_names();
	test_order();
	test_modes();
	test_contents();
	test_bombs();
	test_corruption();
	git_odb_free(odb);
	git_repository_free(repo);
	git_libgit2_shutdown();
	OK(io_remove_tree(folder, &err) == 0, "cleaned up");
	return tap_done();
}
