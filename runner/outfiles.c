#include "runner/outfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "proto/base/utf8.h"

#define PART_MAX 255
#define HASH_LEN 16

enum node_kind { NODE_FILE = 1, NODE_FOLDER_IMPLIED, NODE_FOLDER };

/* Names are kept as hashes, so that what a name costs does not depend on its length. */
struct outfiles_node {
	uint8_t folded[HASH_LEN];
	uint8_t exact[HASH_LEN];
	uint8_t kind; /* enum node_kind; 0 = free */
};

int outfiles_init(struct outfiles *o, int root_fd, uint32_t max_files, uint64_t max_bytes, struct err *err)
{
	if (sodium_init() < 0)
		return err_set(err, ERR_BUG, "libsodium does not start");
	size_t cap = 1024; /* twice what may be in it: the files, the folders, and some implied ones */
	while (cap < (size_t)max_files * 8)
		cap *= 2;
	struct outfiles_node *nodes = calloc(cap, sizeof *nodes);
	if (!nodes)
		return err_set(err, ERR_NOMEM, "out of memory for artifact names");
	*o = (struct outfiles){.root_fd = root_fd, .max_files = max_files, .max_bytes = max_bytes, .nodes = nodes,
			       .nodes_cap = cap};
	return 0;
}

void outfiles_release(struct outfiles *o)
{
	if (!o)
		return;
	free(o->nodes);
	o->nodes = NULL;
}

static const char *why_not_part(const char *part, size_t len)
{
	if (len == 0)
		return "is absolute or has an empty part";
	if (len == 1 && part[0] == '.')
		return "has a '.' part";
	if (len == 2 && part[0] == '.' && part[1] == '.')
		return "leaves the folder";
	if (len > PART_MAX)
		return "has a part that is too long";
	for (size_t i = 0; i < len;) {
		uint32_t code;
		const int n = utf8_next((const uint8_t *)part + i, len - i, &code);
		if (n <= 0)
			return "is not UTF-8";
		if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code == '\\')
			return "holds a control character or a backslash";
		i += (size_t)n;
	}
	return NULL;
}

const char *outfiles_why_not(const char *path)
{
	if (strlen(path) >= OUTFILES_PATH_MAX)
		return "is too long";
	size_t parts = 0;
	for (const char *part = path;;) {
		const size_t len = strcspn(part, "/");
		const char *why = why_not_part(part, len);
		if (why)
			return why;
		if (++parts > OUTFILES_DEPTH_MAX)
			return "has too many parts";
		if (!part[len])
			return NULL;
		part += len + 1;
	}
}

/* The simple part of Unicode's case folding: letters whose small form is at a fixed distance or next door. */
static uint32_t fold(uint32_t c)
{
	static const struct {
		uint16_t first, last, distance;
	} ranges[] = {
		{'A', 'Z', 32}, {0xc0, 0xd6, 32}, {0xd8, 0xde, 32}, {0x391, 0x3a1, 32}, {0x3a3, 0x3ab, 32},
		{0x410, 0x42f, 32}, {0x400, 0x40f, 80},
	};
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return c + ranges[i].distance;
	const bool even_is_capital = (c >= 0x100 && c <= 0x137) || (c >= 0x14a && c <= 0x177) || (c >= 0x460 && c <= 0x481) ||
				     (c >= 0x48a && c <= 0x4bf) || (c >= 0x4d0 && c <= 0x52f) || (c >= 0x1e00 && c <= 0x1e95) ||
				     (c >= 0x1ea0 && c <= 0x1eff);
	const bool odd_is_capital = (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e) || (c >= 0x4c1 && c <= 0x4ce);
	if (even_is_capital)
		return c | 1;
	if (odd_is_capital)
		return c + (c & 1);
	return c;
}

/* path (checked before) up to len bytes -> both hashes */
static void hash_path(const char *path, size_t len, struct outfiles_node *ret)
{
	uint32_t folded[OUTFILES_PATH_MAX];
	size_t count = 0;
	for (size_t i = 0; i < len;) {
		uint32_t code = 0;
		const int n = utf8_next((const uint8_t *)path + i, len - i, &code);
		folded[count++] = fold(code);
		i += n > 0 ? (size_t)n : len;
	}
	crypto_generichash(ret->folded, HASH_LEN, (const uint8_t *)folded, count * sizeof folded[0], NULL, 0);
	crypto_generichash(ret->exact, HASH_LEN, (const uint8_t *)path, len, NULL, 0);
}

static struct outfiles_node *find_node(struct outfiles *o, const struct outfiles_node *key)
{
	size_t at;
	memcpy(&at, key->folded, sizeof at);
	for (;; at++) {
		struct outfiles_node *n = &o->nodes[at & (o->nodes_cap - 1)];
		if (!n->kind || !memcmp(n->folded, key->folded, HASH_LEN))
			return n;
	}
}

static int refuse(const char *path, const char *why, struct err *err)
{
	return err_set(err, ERR_REFUSED, "'%.300s' %s", path, why);
}

/* Enters the name that is path's first len bytes. */
static int enter_name(struct outfiles *o, const char *path, size_t len, enum node_kind kind, struct err *err)
{
	struct outfiles_node key = {.kind = (uint8_t)kind};
	hash_path(path, len, &key);
	struct outfiles_node *n = find_node(o, &key);
	if (!n->kind) {
		if (o->nodes_len >= o->nodes_cap / 2)
			return err_set(err, ERR_LIMIT, "'%.300s' is one folder too many", path);
		o->nodes_len++;
		*n = key;
		return 0;
	}
	if (memcmp(n->exact, key.exact, HASH_LEN) != 0)
		return refuse(path, "differs from another only in upper and lower case", err);
	if (n->kind == NODE_FILE && kind == NODE_FOLDER_IMPLIED)
		return refuse(path, "is below a file", err);
	if (n->kind == NODE_FILE || kind == NODE_FILE || (n->kind == NODE_FOLDER && kind == NODE_FOLDER))
		return refuse(path, "is there twice", err);
	if (kind == NODE_FOLDER)
		n->kind = NODE_FOLDER;
	return 0;
}

static int enter_path(struct outfiles *o, const char *path, enum node_kind kind, struct err *err)
{
	const char *why = outfiles_why_not(path);
	if (why)
		return refuse(path, why, err);
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		const int e = enter_name(o, path, (size_t)(slash - path), NODE_FOLDER_IMPLIED, err);
		if (e)
			return e;
	}
	return enter_name(o, path, strlen(path), kind, err);
}

/* Opens the folder that is path's first len bytes, making what is missing. A descriptor or -1 with errno. */
static int open_folder(const struct outfiles *o, const char *path, size_t len)
{
	int at = fcntl(o->root_fd, F_DUPFD_CLOEXEC, 0);
	for (size_t begin = 0; at >= 0 && begin < len;) {
		char part[PART_MAX + 1];
		const size_t part_len = strcspn(path + begin, "/");
		memcpy(part, path + begin, part_len);
		part[part_len] = 0;
		int next = -1;
		if (mkdirat(at, part, 0700) == 0 || errno == EEXIST)
			next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next >= 0 && fchmod(next, 0755)) {
			close(next);
			next = -1;
		}
		const int saved = errno;
		close(at);
		errno = saved;
		at = next;
		begin += part_len + 1;
	}
	return at;
}

int outfiles_folder(struct outfiles *o, const char *path, struct err *err)
{
	if (o->folders >= o->max_files)
		return err_set(err, ERR_LIMIT, "'%.300s' is more than %u folders", path, o->max_files);
	const int e = enter_path(o, path, NODE_FOLDER, err);
	if (e)
		return e;
	o->folders++;
	CLEANUP(cleanup_fd) int fd = open_folder(o, path, strlen(path));
	return fd < 0 ? err_errno(err, errno, "cannot make the folder '%.300s'", path) : 0;
}

static size_t parent_len(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? (size_t)(slash - path) : 0;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

int outfiles_create(struct outfiles *o, const char *path, bool is_executable, uint64_t size_bytes, int *ret_fd,
		    struct err *err)
{
	if (o->files >= o->max_files)
		return err_set(err, ERR_LIMIT, "'%.300s' is more than %u files", path, o->max_files);
	if (size_bytes > o->max_bytes - o->bytes)
		return err_set(err, ERR_LIMIT, "'%.300s' makes it more than %llu bytes", path,
			       (unsigned long long)o->max_bytes);
	const int e = enter_path(o, path, NODE_FILE, err);
	if (e)
		return e;
	CLEANUP(cleanup_fd) int folder = open_folder(o, path, parent_len(path));
	if (folder < 0)
		return err_errno(err, errno, "cannot make the folder of '%.300s'", path);
	const int fd = openat(folder, last_part(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, errno, "cannot make '%.300s'", path);
	if (fchmod(fd, is_executable ? 0755 : 0644)) {
		const int saved = errno;
		close(fd);
		return err_errno(err, saved, "cannot make '%.300s'", path);
	}
	o->files++;
	o->bytes += size_bytes;
	*ret_fd = fd;
	return 0;
}

void outfiles_discard(struct outfiles *o, const char *path)
{
	CLEANUP(cleanup_fd) int folder = open_folder(o, path, parent_len(path));
	if (folder >= 0)
		unlinkat(folder, last_part(path), 0);
}
