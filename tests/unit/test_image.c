/* runner/image: names, versions, manifests with a table of hostile ones, a store on disk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/image.h"
#include "tests/unit/tap.h"

/* the sha256 of "k", and one that is not that of "ii" */
#define KERNEL "{\"sha256\":\"8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a\",\"size\":1}"
#define INITRAMFS "{\"sha256\":\"5c6cc1a01d0bc16d4b3c10dde0a30ffa6ad9a0a3a4b1e8b9d6d0f9d6f8e33f5f\",\"size\":2}"
#define HEAD "{\"v\":1,\"name\":\"mini\",\"version\":\"1\",\"arch\":\"x86_64\","
#define FILES "\"kernel\":" KERNEL ",\"initramfs\":" INITRAMFS ",\"root\":null,"
#define TAIL "\"shell\":\"sh\",\"packages\":[\"busybox=1\",\"linux=2\"],\"recipe\":\"mini\"}"
#define GOOD HEAD FILES TAIL

static void test_refs(void)
{
	static const struct {
		const char *text;
		bool ok;
		const char *name, *version;
	} table[] = {
		{"mini", true, "mini", ""},
		{"mini@1", true, "mini", "1"},
		{"c-dev@2026.1-RC", true, "c-dev", "2026.1-RC"},
		{"", false, NULL, NULL},
		{"@1", false, NULL, NULL},
		{"mini@", false, NULL, NULL},
		{"mini@1@2", false, NULL, NULL},
		{"Mini", false, NULL, NULL},
		{"../x", false, NULL, NULL},
		{".hidden", false, NULL, NULL},
		{"a/b@1", false, NULL, NULL},
		{"mini@../1", false, NULL, NULL},
		{"mini@.", false, NULL, NULL},
		{"mi ni", false, NULL, NULL},
		{"mini\n", false, NULL, NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		char name[IMAGE_NAME_MAX], version[IMAGE_NAME_MAX];
		const bool ok = image_ref_parse(table[i].text, name, version);
		OK(ok == table[i].ok, "'%s' is %sa reference", table[i].text, table[i].ok ? "" : "not ");
		if (ok && table[i].ok) {
			STREQ(name, table[i].name);
			STREQ(version, table[i].version);
		}
	}
	char text[80];
	memset(text, 'a', 64);
	text[64] = 0;
	OK(!image_ref_parse(text, NULL, NULL), "64 bytes are too long for a name");
	text[63] = 0;
	OK(image_ref_parse(text, NULL, NULL), "63 are not");
}

static void test_versions(void)
{
	static const struct {
		const char *a, *b;
		int order;
	} table[] = {{"1", "1", 0},    {"9", "10", -1},      {"1.2", "1.10", -1}, {"1", "1.1", -1}, {"01", "1", 0},
		     {"2", "1.9", 1},  {"a", "b", -1},       {"1a", "1", 1},      {"", "1", -1},
		     {"99999999999999999999999", "100000000000000000000000", -1}};
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const int there = image_version_compare(table[i].a, table[i].b), back = image_version_compare(table[i].b, table[i].a);
		OK((there > 0) - (there < 0) == table[i].order && (back > 0) - (back < 0) == -table[i].order, "%s against %s",
		   table[i].a, table[i].b);
	}
}

static void test_good_manifest(void)
{
	CLEANUP(image_release) struct image img = {0};
	struct err err = {0};
	INTEQ(image_manifest_parse(GOOD, strlen(GOOD), &img, &err), 0);
	STREQ(img.name, "mini");
	STREQ(img.version, "1");
	STREQ(img.arch, "x86_64");
	STREQ(img.shell, "sh");
	INTEQ(img.files[IMAGE_FILE_KERNEL].size_bytes, 1);
	INTEQ(img.files[IMAGE_FILE_INITRAMFS].size_bytes, 2);
	INTEQ(img.files[IMAGE_FILE_ROOT].size_bytes, 0);
	INTEQ(img.packages_len, 2);
	STREQ(img.packages[1], "linux=2");
	INTEQ(strlen(img.digest), 64);
	char path[64];
	INTEQ(image_file_path(&img, IMAGE_FILE_ROOT, path, sizeof path, &err), ERR_NOT_FOUND);
}

/* Each is refused, and the sentence has the word. */
static void test_bad_manifests(void)
{
	static const struct {
		const char *text, *word;
	} table[] = {
		{"", "line"},
		{"{", "line"},
		{"[]", "not an object"},
		{"{}", "v: missing"},
		{"null", "line"},
		{GOOD GOOD, "line"},
		{"{\"v\":2,\"name\":\"mini\"}", "v: not 1"},
		{"{\"v\":\"1\"}", "v: not 1"},
		{"{\"v\":1.0}", "v: not 1"},
		{"{\"v\":1,\"v\":1}", "duplicate"},
		{"{\"v\":1}", "name: missing"},
		{HEAD FILES "\"surprise\":1," TAIL, "surprise"},
		{"{\"v\":1,\"name\":\"../up\",\"version\":\"1\",\"arch\":\"x86_64\"," FILES TAIL, "name: not a name"},
		{"{\"v\":1,\"name\":\"mini\",\"version\":\"a/b\",\"arch\":\"x86_64\"," FILES TAIL, "version: not a name"},
		{"{\"v\":1,\"name\":\"mini\",\"version\":1,\"arch\":\"x86_64\"," FILES TAIL, "version: not a short text"},
		{"{\"v\":1,\"name\":\"mi\\u0000ni\",\"version\":\"1\",\"arch\":\"x86_64\"," FILES TAIL, "\\u0000"},
		{HEAD "\"kernel\":null,\"initramfs\":" INITRAMFS ",\"root\":null," TAIL, "kernel"},
		{HEAD "\"initramfs\":" INITRAMFS ",\"root\":null," TAIL, "kernel: missing"},
		{HEAD "\"kernel\":" KERNEL ",\"initramfs\":" INITRAMFS "," TAIL, "root: missing"},
		{HEAD "\"kernel\":{\"sha256\":\"00\",\"size\":1},\"initramfs\":" INITRAMFS ",\"root\":null," TAIL, "sha256"},
		{HEAD "\"kernel\":{\"sha256\":\"8254C329A92850F6D539DD376F4816EE2764517DA5E0235514AF433164480D7A\",\"size\":1},"
		      "\"initramfs\":" INITRAMFS ",\"root\":null," TAIL,
		 "lower-case"},
		{HEAD "\"kernel\":{\"sha256\":\"8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a\",\"size\":0},"
		      "\"initramfs\":" INITRAMFS ",\"root\":null," TAIL,
		 "size"},
		{HEAD "\"kernel\":{\"sha256\":\"8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a\",\"size\":-1},"
		      "\"initramfs\":" INITRAMFS ",\"root\":null," TAIL,
		 "size"},
		{HEAD "\"kernel\":{\"sha256\":\"8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a\","
		      "\"size\":99999999999999999999},\"initramfs\":" INITRAMFS ",\"root\":null," TAIL,
		 "line"},
		{HEAD "\"kernel\":{\"sha256\":\"8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a\","
		      "\"size\":1,\"more\":1},\"initramfs\":" INITRAMFS ",\"root\":null," TAIL,
		 "kernel"},
		{HEAD FILES "\"shell\":\"zsh\",\"packages\":[],\"recipe\":\"mini\"}", "shell: neither"},
		{HEAD FILES "\"shell\":\"sh\",\"packages\":{},\"recipe\":\"mini\"}", "packages: not a list"},
		{HEAD FILES "\"shell\":\"sh\",\"packages\":[1],\"recipe\":\"mini\"}", "packages"},
		{HEAD FILES "\"shell\":\"sh\",\"packages\":[\"\"],\"recipe\":\"mini\"}", "packages"},
		{HEAD FILES "\"shell\":\"sh\",\"packages\":[],\"recipe\":\"\"}", "recipe"},
		{HEAD FILES "\"shell\":\"sh\",\"packages\":[]}", "recipe: missing"},
	};
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct image img = {.name = "before"};
		struct err err = {0};
		const int rc = image_manifest_parse(table[i].text, strlen(table[i].text), &img, &err);
		OK(rc == ERR_INVALID && strstr(err.what, table[i].word), "%zu: '%s' has '%s'", i, err.what, table[i].word);
		STREQ(img.name, "before");
	}
	char *const big = calloc(1, IMAGE_MANIFEST_MAX + 1);
	INTEQ(image_manifest_parse(big, IMAGE_MANIFEST_MAX + 1, &(struct image){0}, NULL), ERR_INVALID);
	free(big);
	CLEANUP(buf_release) struct buf many;
	buf_init(&many, 1 << 20);
	buf_str(&many, HEAD FILES "\"shell\":\"sh\",\"packages\":[\"x\"");
	for (int i = 0; i < IMAGE_PACKAGES_MAX; i++)
		buf_str(&many, ",\"x\"");
	buf_str(&many, "],\"recipe\":\"mini\"}");
	INTEQ(image_manifest_parse(many.data, many.len, &(struct image){0}, NULL), ERR_INVALID);
}

static void put(const char *dir, const char *sub, const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", dir, sub);
	OK(!io_mkdirs(path, 0755, NULL), "folder %s", sub);
	snprintf(path, sizeof path, "%s/%s/%s", dir, sub, name);
	OK(!io_replace_file(path, text, strlen(text), 0644, NULL), "file %s/%s", sub, name);
}

static void put_image(const char *dir, const char *version)
{
	char sub[32], manifest[1024];
	snprintf(sub, sizeof sub, "mini@%s", version);
	snprintf(manifest, sizeof manifest, "{\"v\":1,\"name\":\"mini\",\"version\":\"%s\",\"arch\":\"x86_64\",%s", version, FILES TAIL);
	put(dir, sub, "manifest.json", manifest);
	put(dir, sub, "kernel", "k");
	put(dir, sub, "initramfs", "ii");
}

static void test_broken_images(const char *dir)
{
	struct image img = {0};
	struct err err = {0};
	put(dir, "mini@1", "initramfs", "too long");
	INTEQ(image_find(dir, "mini@1", &img, &err), ERR_INVALID);
	OK(strstr(err.what, "initramfs is of another size") && strstr(err.hint, "image build mini"), "%s", err.what);
	put(dir, "mini@1", "manifest.json", "{\"v\":1}");
	INTEQ(image_find(dir, "mini@1", &img, &err), ERR_INVALID);
	put(dir, "other@1", "manifest.json", GOOD);
	INTEQ(image_find(dir, "other@1", &img, &err), ERR_INVALID);
	OK(strstr(err.what, "says that it is mini@1"), "%s", err.what);
	CLEANUP(image_list_release) struct image_list list = {0};
	INTEQ(image_list(dir, &list, &err), 0);
	INTEQ(list.len, 2);
	INTEQ(list.broken, 2);
}

static void test_store(void)
{
	char dir[] = "/tmp/talkoo-test-image-XXXXXX";
	struct err err = {0};
	if (!OK(mkdtemp(dir) != NULL, "a folder"))
		return;
	CLEANUP(image_release) struct image img = {0};
	CLEANUP(image_list_release) struct image_list none = {0};
	INTEQ(image_list("/tmp/talkoo-no-such-store", &none, &err), 0);
	INTEQ(none.len, 0);
	INTEQ(image_find(dir, "mini", &img, &err), ERR_NOT_FOUND);
	OK(strstr(err.hint, "talkoo image build mini"), "hint: %s", err.hint);
	INTEQ(image_find(dir, "../mini", &img, &err), ERR_USAGE);
	put_image(dir, "1");
	put_image(dir, "9");
	put_image(dir, "10");
	put(dir, ".build-mini-x", "manifest.json", GOOD);
	INTEQ(image_find(dir, "mini@2", &img, &err), ERR_NOT_FOUND);
	INTEQ(image_find(dir, "mini", &img, &err), 0);
	STREQ(img.version, "10");
	char path[PATH_MAX];
	INTEQ(image_file_path(&img, IMAGE_FILE_KERNEL, path, sizeof path, &err), 0);
	OK(strstr(path, "/mini@10/kernel"), "%s", path);
	INTEQ(image_file_path(&img, IMAGE_FILE_KERNEL, path, 8, &err), ERR_LIMIT);
	INTEQ(image_verify(&img, &err), ERR_INVALID);
	OK(strstr(err.what, "initramfs has another digest"), "the made-up digest is seen: %s", err.what);
	test_broken_images(dir);
	INTEQ(io_remove_tree(dir, &err), 0);
}

int main(void)
{
	test_refs();
	test_versions();
	test_good_manifest();
	test_bad_manifests();
	test_store();
	return tap_done();
}
