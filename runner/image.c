#include "runner/image.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/buf.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/io.h"

#define PACKAGE_MAX 256
#define SIZE_MAX_BYTES (1ll << 46)

static const struct {
	const char *file, *key;
} file_names[IMAGE_FILES_LEN] = {
#define X(name, value, file, key) [value] = {file, key},
	IMAGE_FILES(X)
#undef X
};

static void cleanup_json(json_t **object)
{
	json_decref(*object);
}

void image_release(struct image *img)
{
	if (!img)
		return;
	for (size_t i = 0; i < img->packages_len; i++)
		free(img->packages[i]);
	free(img->packages);
	*img = (struct image){0};
}

void image_list_release(struct image_list *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->len; i++)
		image_release(&list->images[i]);
	free(list->images);
	*list = (struct image_list){0};
}

/* One part of a reference: first a letter or digit, then also ._+- */
static bool part_is_valid(const char *text, size_t len, bool capitals)
{
	if (len == 0 || len >= IMAGE_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		const char c = text[i];
		const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (capitals && c >= 'A' && c <= 'Z');
		if (!plain && (i == 0 || !strchr("._+-", c) || !c))
			return false;
	}
	return true;
}

bool image_ref_parse(const char *text, char *name, char *version)
{
	const size_t name_len = strcspn(text, "@");
	const char *const rest = text[name_len] ? text + name_len + 1 : NULL;
	if (!part_is_valid(text, name_len, false) || (rest && !part_is_valid(rest, strlen(rest), true)))
		return false;
	if (name)
		snprintf(name, IMAGE_NAME_MAX, "%.*s", (int)name_len, text);
	if (version)
		snprintf(version, IMAGE_NAME_MAX, "%s", rest ? rest : "");
	return true;
}

int image_version_compare(const char *a, const char *b)
{
	while (*a && *b) {
		if (!isdigit((unsigned char)*a) || !isdigit((unsigned char)*b)) {
			if (*a != *b)
				return (unsigned char)*a - (unsigned char)*b;
			a++;
			b++;
			continue;
		}
		while (*a == '0')
			a++;
		while (*b == '0')
			b++;
		const size_t a_len = strspn(a, "0123456789"), b_len = strspn(b, "0123456789");
		const int order = a_len != b_len ? (a_len < b_len ? -1 : 1) : memcmp(a, b, a_len);
		if (order)
			return order;
		a += a_len;
		b += b_len;
	}
	return *a ? 1 : *b ? -1 : 0;
}

static int bad(struct err *err, const char *key, const char *why)
{
	return err_set(err, ERR_INVALID, "image manifest: %s: %s", key, why);
}

/* A text of the manifest; NULL with err set when it is missing or no short text. */
static const char *get_text(const json_t *object, const char *key, size_t max, struct err *err)
{
	const json_t *const value = json_object_get(object, key);
	const char *const text = json_string_value(value);
	if (!text || json_string_length(value) != strlen(text) || strlen(text) >= max) {
		bad(err, key, value ? "not a short text" : "missing");
		return NULL;
	}
	return text;
}

static int parse_file(const json_t *manifest, enum image_file_id id, struct image_file *ret, struct err *err)
{
	const char *const key = file_names[id].key;
	const json_t *const object = json_object_get(manifest, key);
	if (json_is_null(object) && id == IMAGE_FILE_ROOT)
		return 0;
	if (!json_is_object(object) || json_object_size(object) != 2)
		return bad(err, key, object ? "not an object of sha256 and size" : "missing");
	const char *const sha256 = get_text(object, "sha256", sizeof ret->sha256, err);
	if (!sha256 || !hex_is_digits(sha256, 64, 64) || strpbrk(sha256, "ABCDEF"))
		return bad(err, key, "sha256 is not 64 lower-case hex digits");
	const json_t *const size = json_object_get(object, "size");
	if (!json_is_integer(size) || json_integer_value(size) < 1 || json_integer_value(size) > SIZE_MAX_BYTES)
		return bad(err, key, "size is not a positive number");
	memcpy(ret->sha256, sha256, sizeof ret->sha256);
	ret->size_bytes = (uint64_t)json_integer_value(size);
	return 0;
}

static int parse_packages(const json_t *manifest, struct image *ret, struct err *err)
{
	const json_t *const list = json_object_get(manifest, "packages");
	if (!json_is_array(list) || json_array_size(list) > IMAGE_PACKAGES_MAX)
		return bad(err, "packages", list ? "not a list, or too long" : "missing");
	ret->packages = calloc(json_array_size(list) + 1, sizeof *ret->packages);
	if (!ret->packages)
		return err_set(err, ERR_NOMEM, "out of memory for an image manifest");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *const item = json_array_get(list, i);
		const char *const text = json_string_value(item);
		if (!text || !text[0] || strlen(text) >= PACKAGE_MAX || json_string_length(item) != strlen(text))
			return bad(err, "packages", "an entry is not a short text");
		ret->packages[i] = strdup(text);
		if (!ret->packages[i])
			return err_set(err, ERR_NOMEM, "out of memory for an image manifest");
		ret->packages_len++;
	}
	return 0;
}

static int check_keys(const json_t *manifest, struct err *err)
{
	static const char *const keys[] = {"v",    "name",  "version",  "arch",  "kernel",
					   "initramfs", "root", "shell", "packages", "recipe"};
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)manifest, key, value) {
		bool known = false;
		for (size_t i = 0; i < ARRAY_LEN(keys); i++)
			known = known || !strcmp(key, keys[i]);
		if (!known)
			return err_set(err, ERR_INVALID, "image manifest: unknown key '%.60s'", key);
	}
	const json_t *const version = json_object_get(manifest, "v");
	if (!json_is_integer(version) || json_integer_value(version) != 1)
		return bad(err, "v", version ? "not 1, this build knows no other" : "missing");
	return 0;
}

/* The texts of the manifest, each with what makes it valid. */
static int parse_texts(const json_t *manifest, struct image *ret, struct err *err)
{
	const struct {
		const char *key;
		char *out;
		bool capitals;
	} texts[] = {{"name", ret->name, false},
		     {"version", ret->version, true},
		     {"arch", ret->arch, false},
		     {"recipe", ret->recipe, false}};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const char *const text = get_text(manifest, texts[i].key, IMAGE_NAME_MAX, err);
		if (!text)
			return ERR_INVALID;
		if (!part_is_valid(text, strlen(text), texts[i].capitals))
			return bad(err, texts[i].key, "not a name of letters, digits and ._+-");
		snprintf(texts[i].out, IMAGE_NAME_MAX, "%s", text);
	}
	const char *const shell = get_text(manifest, "shell", sizeof ret->shell, err);
	if (!shell)
		return ERR_INVALID;
	if (strcmp(shell, "sh") && strcmp(shell, "bash"))
		return bad(err, "shell", "neither sh nor bash");
	snprintf(ret->shell, sizeof ret->shell, "%s", shell);
	return 0;
}

int image_manifest_parse(const void *bytes, size_t len, struct image *ret, struct err *err)
{
	if (len > IMAGE_MANIFEST_MAX)
		return err_set(err, ERR_INVALID, "image manifest: over %u bytes", IMAGE_MANIFEST_MAX);
	json_error_t where;
	CLEANUP(cleanup_json) json_t *manifest = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &where);
	if (!manifest)
		return err_set(err, ERR_INVALID, "image manifest: line %d: %s", where.line, where.text);
	if (!json_is_object(manifest))
		return err_set(err, ERR_INVALID, "image manifest: not an object");
	struct image img = {0};
	int rc = check_keys(manifest, err);
	if (!rc)
		rc = parse_texts(manifest, &img, err);
	for (int id = 0; id < IMAGE_FILES_LEN && !rc; id++)
		rc = parse_file(manifest, (enum image_file_id)id, &img.files[id], err);
	if (!rc)
		rc = parse_packages(manifest, &img, err);
	if (rc) {
		image_release(&img);
		return rc;
	}
	uint8_t digest[crypto_hash_sha256_BYTES];
	crypto_hash_sha256(digest, bytes, len);
	hex_encode(img.digest, digest, sizeof digest);
	*ret = img;
	return 0;
}

static int join(char *out, size_t size, const char *dir, const char *name, struct err *err)
{
	const int len = snprintf(out, size, "%s/%s", dir, name);
	if (len < 0 || (size_t)len >= size)
		return err_set(err, ERR_LIMIT, "the path of an image is too long: %.60s…", dir);
	return 0;
}

int image_manifest_path(const struct image *img, char *out, size_t size, struct err *err)
{
	return join(out, size, img->dir, "manifest.json", err);
}

int image_file_path(const struct image *img, enum image_file_id id, char *out, size_t size, struct err *err)
{
	if (!img->files[id].size_bytes)
		return err_set(err, ERR_NOT_FOUND, "the image %s@%s has no file %s", img->name, img->version, file_names[id].file);
	return join(out, size, img->dir, file_names[id].file, err);
}

static int damaged(const struct image *img, struct err *err, const char *why)
{
	err_set(err, ERR_INVALID, "the image %s@%s is damaged: %s", img->name, img->version, why);
	err_hint(err, "`talkoo image build %s` makes it anew", img->recipe);
	return ERR_INVALID;
}

static int check_sizes(const struct image *img, struct err *err)
{
	for (int id = 0; id < IMAGE_FILES_LEN; id++) {
		char path[PATH_MAX], why[128];
		struct stat st;
		if (!img->files[id].size_bytes)
			continue;
		const int rc = image_file_path(img, (enum image_file_id)id, path, sizeof path, err);
		if (rc)
			return rc;
		const bool is_there = !lstat(path, &st) && S_ISREG(st.st_mode);
		snprintf(why, sizeof why, "%s is %s", file_names[id].file, is_there ? "of another size" : "missing");
		if (!is_there || (uint64_t)st.st_size != img->files[id].size_bytes)
			return damaged(img, err, why);
	}
	return 0;
}

/* STORE/ref, where ref has a version. */
static int load(const char *store, const char *ref, struct image *ret, struct err *err)
{
	char dir[PATH_MAX], path[PATH_MAX], name[IMAGE_NAME_MAX], version[IMAGE_NAME_MAX];
	int rc = join(dir, sizeof dir, store, ref, err);
	if (!rc)
		rc = join(path, sizeof path, dir, "manifest.json", err);
	if (rc)
		return rc;
	CLEANUP(buf_release) struct buf bytes;
	buf_init(&bytes, IMAGE_MANIFEST_MAX);
	rc = io_read_file(path, &bytes, err);
	if (rc)
		return rc;
	CLEANUP(image_release) struct image img = {0};
	rc = image_manifest_parse(bytes.data ? (const void *)bytes.data : "", bytes.len, &img, err);
	if (rc)
		return err_context(err, "the image %s", ref);
	if (!image_ref_parse(ref, name, version) || strcmp(name, img.name) || strcmp(version, img.version))
		return err_set(err, ERR_INVALID, "the image in the folder %s says that it is %s@%s", ref, img.name, img.version);
	snprintf(img.dir, sizeof img.dir, "%s", dir);
	rc = check_sizes(&img, err);
	if (rc)
		return rc;
	*ret = img;
	img = (struct image){0};
	return 0;
}

static int compare_images(const void *a, const void *b)
{
	const struct image *const x = a, *const y = b;
	const int by_name = strcmp(x->name, y->name);
	return by_name ? by_name : image_version_compare(y->version, x->version);
}

int image_list(const char *store, struct image_list *ret, struct err *err)
{
	DIR *const dir = opendir(store);
	if (!dir && errno == ENOENT) {
		*ret = (struct image_list){0};
		return 0;
	}
	if (!dir)
		return err_errno(err, errno, "reading the image store %s", store);
	CLEANUP(image_list_release) struct image_list list = {.images = calloc(IMAGE_LIST_MAX, sizeof(struct image))};
	int rc = list.images ? 0 : err_set(err, ERR_NOMEM, "out of memory for the list of images");
	const struct dirent *e;
	while (!rc && (e = readdir(dir))) {
		if (!strchr(e->d_name, '@') || !image_ref_parse(e->d_name, NULL, NULL))
			continue;
		if (list.len == IMAGE_LIST_MAX)
			rc = err_set(err, ERR_LIMIT, "the image store %s has over %d images", store, IMAGE_LIST_MAX);
		else if (load(store, e->d_name, &list.images[list.len], NULL))
			list.broken++;
		else
			list.len++;
	}
	closedir(dir);
	if (rc)
		return rc;
	qsort(list.images, list.len, sizeof *list.images, compare_images);
	*ret = list;
	list = (struct image_list){0};
	return 0;
}

static int not_found(const char *store, const char *ref, const char *name, struct err *err)
{
	err_set(err, ERR_NOT_FOUND, "there is no image %s in %s", ref, store);
	err_hint(err, "`talkoo image build %s` builds it, `talkoo image list` shows what is there", name);
	return ERR_NOT_FOUND;
}

static int find_newest(const char *store, const char *name, struct image *ret, struct err *err)
{
	CLEANUP(image_list_release) struct image_list list = {0};
	const int rc = image_list(store, &list, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < list.len; i++) {
		if (strcmp(list.images[i].name, name))
			continue;
		*ret = list.images[i];
		list.images[i] = (struct image){0};
		return 0;
	}
	return not_found(store, name, name, err);
}

int image_find(const char *store, const char *ref, struct image *ret, struct err *err)
{
	char name[IMAGE_NAME_MAX], version[IMAGE_NAME_MAX];
	if (!image_ref_parse(ref, name, version)) {
		err_set(err, ERR_USAGE, "'%.60s' is not an image's name", ref);
		return err_hint(err, "images are written NAME or NAME@VERSION, for example mini or mini@1"), ERR_USAGE;
	}
	if (!version[0])
		return find_newest(store, name, ret, err);
	struct err local = {0};
	const int rc = load(store, ref, ret, &local);
	if (rc == ERR_NOT_FOUND)
		return not_found(store, ref, name, err);
	if (rc && err)
		*err = local;
	return rc;
}

static int hash_file(const char *path, char *ret_hex, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_errno(err, errno, "opening %s", path);
	CLEANUP(cleanup_free) uint8_t *bytes = malloc(1 << 18);
	if (!bytes)
		return err_set(err, ERR_NOMEM, "out of memory for reading %s", path);
	crypto_hash_sha256_state state;
	crypto_hash_sha256_init(&state);
	ssize_t n;
	while ((n = io_read_full(fd, bytes, 1 << 18, err)) > 0)
		crypto_hash_sha256_update(&state, bytes, (unsigned long long)n);
	if (n < 0)
		return (int)n;
	uint8_t digest[crypto_hash_sha256_BYTES];
	crypto_hash_sha256_final(&state, digest);
	hex_encode(ret_hex, digest, sizeof digest);
	return 0;
}

int image_verify(const struct image *img, struct err *err)
{
	int rc = check_sizes(img, err);
	for (int id = 0; id < IMAGE_FILES_LEN && !rc; id++) {
		char path[PATH_MAX], hex[65], why[128];
		if (!img->files[id].size_bytes)
			continue;
		rc = image_file_path(img, (enum image_file_id)id, path, sizeof path, err);
		if (!rc)
			rc = hash_file(path, hex, err);
		snprintf(why, sizeof why, "%s has another digest than its manifest says", file_names[id].file);
		if (!rc && strcmp(hex, img->files[id].sha256))
			rc = damaged(img, err, why);
	}
	return rc;
}

static json_t *manifest_of(const struct image *img)
{
	json_t *packages = json_array();
	for (size_t i = 0; i < img->packages_len; i++)
		json_array_append_new(packages, json_string(img->packages[i]));
	json_t *json = json_pack("{s:i,s:s,s:s,s:s,s:s,s:o,s:s}", "v", 1, "name", img->name, "version", img->version, "arch", img->arch, "shell", img->shell,
				 "packages", packages, "recipe", img->recipe);
	for (int id = 0; json && id < IMAGE_FILES_LEN; id++) {
		const struct image_file *const f = &img->files[id];
		json_object_set_new(json, file_names[id].key,
				    f->size_bytes ? json_pack("{s:s,s:I}", "sha256", f->sha256, "size", (json_int_t)f->size_bytes) : json_null());
	}
	return json;
}

int image_write_manifest(struct image *img, struct err *err)
{
	int rc = 0;
	char path[PATH_MAX];
	for (int id = 0; id < IMAGE_FILES_LEN && !rc; id++) {
		struct stat st;
		rc = join(path, sizeof path, img->dir, file_names[id].file, err);
		if (rc || (id == IMAGE_FILE_ROOT && lstat(path, &st) && errno == ENOENT))
			continue;
		if (lstat(path, &st))
			rc = err_errno(err, errno, "looking at %s", path);
		else
			rc = hash_file(path, img->files[id].sha256, err);
		img->files[id].size_bytes = rc ? 0 : (uint64_t)st.st_size;
	}
	if (!rc)
		rc = image_manifest_path(img, path, sizeof path, err);
	CLEANUP(cleanup_json) json_t *json = rc ? NULL : manifest_of(img);
	CLEANUP(cleanup_free) char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	if (!rc && !text)
		rc = err_set(err, ERR_NOMEM, "out of memory for an image manifest");
	return rc ? rc : io_replace_file(path, text, strlen(text), 0644, err);
}

void image_touch(const struct image *img)
{
	(void)!utimensat(AT_FDCWD, img->dir, NULL, 0); /* a store that is read only has no last use */
}
