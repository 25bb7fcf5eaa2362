/* stage get (stage.h): what a plan fetches, each by URL and digest, into the store of such files and then into one tar. */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/io.h"
#include "proto/base/units.h"
#include "runner/download.h"
#include "runner/srctar.h"
#include "runner/stage.h"

#define CHUNK 65536

struct item {
	char url[1024], sha256[65], name[128];
};

struct get {
	const struct stage_get *stage;
	struct download download;
	struct srctar tar;
	size_t items_len;
	struct item items[STAGE_FETCH_ITEMS_MAX];
	uint8_t chunk[CHUNK];
};

/* The supervisor's word; foreign to nobody, but the sizes are looked at. False: nothing is to be fetched. */
static bool read_items(struct get *g)
{
	for (;;) {
		struct stage_msg msg;
		ssize_t len;
		do
			len = recv(g->stage->msg_fd, &msg, sizeof msg, 0);
		while (len < 0 && errno == EINTR);
		if (len != (ssize_t)sizeof msg)
			return false;
		if (msg.type == STAGE_MSG_FETCH_GO)
			return g->items_len > 0;
		if (msg.type != STAGE_MSG_FETCH_ITEM || g->items_len == STAGE_FETCH_ITEMS_MAX)
			return false;
		struct item *i = &g->items[g->items_len++];
		snprintf(i->url, sizeof i->url, "%s", msg.u.fetch.url);
		snprintf(i->sha256, sizeof i->sha256, "%s", msg.u.fetch.sha256);
		snprintf(i->name, sizeof i->name, "%s", msg.u.fetch.name);
	}
}

static void note(const struct get *g, const char *what, const struct item *i, uint64_t size)
{
	char text[UNITS_TEXT_MAX];
	struct stage_msg msg = {.type = STAGE_MSG_NOTE};
	snprintf(msg.u.text, sizeof msg.u.text, "%s %s (%s)", what, i->name, units_format_size(text, size));
	(void)!stage_send(g->stage->msg_fd, &msg, NULL);
}

/* From the file's beginning; *ret_size too. */
static int digest_of(struct get *g, int fd, char ret[65], uint64_t *ret_size, struct err *err)
{
	uint8_t hash[crypto_hash_sha256_BYTES];
	crypto_hash_sha256_state state;
	crypto_hash_sha256_init(&state);
	*ret_size = 0;
	for (ssize_t n = 1; n > 0;) {
		n = pread(fd, g->chunk, CHUNK, (off_t)*ret_size);
		if (n < 0)
			return err_errno(err, errno, "cannot be read");
		crypto_hash_sha256_update(&state, g->chunk, (size_t)n);
		*ret_size += (uint64_t)n;
	}
	crypto_hash_sha256_final(&state, hash);
	hex_encode(ret, hash, sizeof hash);
	return 0;
}

/* A descriptor of what the store has under that digest and still is it; -1. */
static int find_stored(struct get *g, const struct item *i, const char *path, uint64_t *ret_size)
{
	char digest[65];
	CLEANUP(cleanup_fd) int fd = i->sha256[0] ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (fd < 0 || digest_of(g, fd, digest, ret_size, NULL) || strcasecmp(digest, i->sha256) != 0)
		return -1;
	return fd_take(&fd);
}

static int check_digest(struct get *g, const struct item *i, int fd, uint64_t *ret_size, struct err *err)
{
	char digest[65];
	const int rc = digest_of(g, fd, digest, ret_size, err);
	if (rc || !i->sha256[0] || !strcasecmp(digest, i->sha256))
		return rc;
	err_set(err, ERR_INVALID, "has the sha256 %s, not %s", digest, i->sha256);
	return err_hint(err, "the file has changed, or the server lies: look at it before the plan gets another digest");
}

/* Into the store. *ret_fd: the file, open; one without a digest has no name any more. */
static int fetch(struct get *g, const struct item *i, const char *path, int *ret_fd, uint64_t *ret_size, struct err *err)
{
	char part[PATH_MAX];
	if ((size_t)snprintf(part, sizeof part, "%s/new.XXXXXX", g->stage->plan->fetch_store) >= sizeof part)
		return err_set(err, ERR_LIMIT, "the store's path is too long");
	CLEANUP(cleanup_fd) int fd = mkostemp(part, O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "no file can be made in the store");
	int rc = download(&g->download, i->url, fd, err);
	if (!rc)
		rc = check_digest(g, i, fd, ret_size, err);
	if (!rc && i->sha256[0]) {
		char folder[PATH_MAX];
		snprintf(folder, sizeof folder, "%s", path);
		*strrchr(folder, '/') = '\0';
		if ((mkdir(folder, 0700) && errno != EEXIST) || rename(part, path))
			rc = err_errno(err, errno, "cannot be stored");
	}
	if (rc || !i->sha256[0])
		unlink(part);
	if (!rc)
		*ret_fd = fd_take(&fd);
	return rc;
}

static int put(struct get *g, const struct item *i, int fd, uint64_t size, struct err *err)
{
	int rc = srctar_file_begin(&g->tar, i->name, false, size, err);
	for (uint64_t at = 0; !rc && at < size;) {
		const ssize_t n = pread(fd, g->chunk, size - at < CHUNK ? (size_t)(size - at) : CHUNK, (off_t)at);
		if (n <= 0)
			return err_set(err, ERR_IO, "its file cannot be read");
		rc = srctar_bytes(&g->tar, g->chunk, (size_t)n, err);
		at += (uint64_t)n;
	}
	return rc ? rc : srctar_file_end(&g->tar, err);
}

static int get_one(struct get *g, const struct item *i, struct err *err)
{
	char path[PATH_MAX];
	uint64_t size = 0;
	int rc = 0;
	if ((size_t)snprintf(path, sizeof path, "%s/%s/file", g->stage->plan->fetch_store, i->sha256) >= sizeof path)
		return err_set(err, ERR_LIMIT, "the store's path is too long");
	CLEANUP(cleanup_fd) int fd = find_stored(g, i, path, &size);
	const bool was_here = fd >= 0;
	if (!was_here)
		rc = fetch(g, i, path, &fd, &size, err);
	if (rc)
		return rc;
	note(g, was_here ? "was here already:" : "fetched", i, size);
	return put(g, i, fd, size, err);
}

static int get_all(struct get *g, struct err *err)
{
	struct blob_digest digest;
	struct stage_msg msg = {.type = STAGE_MSG_DEPS};
	int rc = srctar_init(&g->tar, g->stage->deps_fd, 0, g->stage->plan->fetch_bytes + STAGE_FETCH_ITEMS_MAX * 4096, err);
	for (size_t i = 0; !rc && i < g->items_len; i++) {
		rc = get_one(g, &g->items[i], err);
		if (rc)
			return err_context(err, "%s from %.300s", g->items[i].name, g->items[i].url);
	}
	if (!rc)
		rc = srctar_finish(&g->tar, &digest, err);
	if (rc)
		return rc;
	hex_encode(msg.u.digest.digest.sha256, digest.sha256, sizeof digest.sha256);
	hex_encode(msg.u.digest.digest.root, digest.root, sizeof digest.root);
	msg.u.digest.digest.size_bytes = digest.size;
	return stage_send(g->stage->msg_fd, &msg, err);
}

int stage_get_run(const struct stage_get *s)
{
	CLEANUP(cleanup_free) struct get *g = calloc(1, sizeof *g);
	struct err err = {0};
	if (!g || sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT))
		return stage_fail(s->msg_fd, JOB_ERROR, NULL, "the get stage does not start");
	g->stage = s;
	if (!read_items(g))
		return 0;
	const struct job_source *source = &s->plan->source;
	const bool is_home = s->plan->fetch_any_host;
	g->download = (struct download){.rules = {.allow_loopback = is_home || source->allow_loopback, .allow_private = is_home || source->allow_private},
					.hosts = is_home ? NULL : s->plan->fetch_hosts,
					.budget_bytes = s->plan->fetch_bytes};
	const int rc = get_all(g, &err);
	srctar_release(&g->tar);
	if (!rc)
		return 0;
	return stage_fail(s->msg_fd, rc == ERR_REFUSED ? JOB_REFUSED : JOB_ERROR, err.hint[0] ? err.hint : NULL, "cannot fetch %s", err.what);
}
