#include "node/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/dsse.h"

#define KEY_PREFIX "talkoo-secret-key:1:"
#define KEY_PREFIX_LEN (sizeof KEY_PREFIX - 1)
#define SEED_HEX_LEN ((size_t)crypto_sign_SEEDBYTES * 2)
#define KEY_TEXT_LEN (KEY_PREFIX_LEN + SEED_HEX_LEN + 1 /* newline */)

struct identity {
	struct node_id id;
	uint8_t *secret; /* sodium_malloc: 64 bytes */
};

static void cleanup_sodium(char **text)
{
	sodium_free(*text);
}

static void cleanup_identity(struct identity **id)
{
	identity_free(*id);
}

static struct identity *identity_new(void)
{
	struct identity *id = calloc(1, sizeof *id);
	if (!id)
		return NULL;
	id->secret = sodium_malloc(crypto_sign_SECRETKEYBYTES);
	if (id->secret)
		return id;
	free(id);
	return NULL;
}

void identity_free(struct identity *id)
{
	if (!id)
		return;
	sodium_free(id->secret);
	free(id);
}

const struct node_id *identity_id(const struct identity *id)
{
	return &id->id;
}

/* text: KEY_TEXT_LEN bytes in sodium memory */
static void format_key(const struct identity *id, char *text)
{
	memcpy(text, KEY_PREFIX, KEY_PREFIX_LEN);
	/* libsodium's secret key begins with the seed */
	sodium_bin2hex(text + KEY_PREFIX_LEN, SEED_HEX_LEN + 1, id->secret, crypto_sign_SEEDBYTES);
	text[KEY_TEXT_LEN - 1] = '\n';
}

static int parse_key(const char *path, const char *text, size_t len, struct identity *id, struct err *err)
{
	if (len && text[len - 1] == '\n')
		len--;
	uint8_t *seed = sodium_malloc(crypto_sign_SEEDBYTES);
	if (!seed)
		return err_set(err, ERR_NOMEM, "out of memory");
	size_t got = 0;
	const bool ok = len == KEY_TEXT_LEN - 1 && !memcmp(text, KEY_PREFIX, KEY_PREFIX_LEN) &&
			!sodium_hex2bin(seed, crypto_sign_SEEDBYTES, text + KEY_PREFIX_LEN, SEED_HEX_LEN, NULL, &got, NULL) &&
			got == crypto_sign_SEEDBYTES && !crypto_sign_seed_keypair(id->id.b, id->secret, seed);
	sodium_free(seed);
	if (ok)
		return 0;
	err_set(err, ERR_INVALID, "%s is not a Talkoo key file", path);
	return err_hint(err, "it is one line: " KEY_PREFIX " and 64 hex digits; restore it from its backup");
}

/* O_EXCL: an identity is never overwritten. */
static int write_new(const char *path, const struct identity *id, struct err *err)
{
	CLEANUP(cleanup_sodium) char *text = sodium_malloc(KEY_TEXT_LEN);
	if (!text)
		return err_set(err, ERR_NOMEM, "out of memory");
	format_key(id, text);
	CLEANUP(cleanup_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == EEXIST) {
		err_set(err, ERR_REFUSED, "%s exists: a key is never overwritten", path);
		return err_hint(err, "move it away first, if you are sure that it is not needed");
	}
	if (fd < 0)
		return err_errno(err, errno, "cannot create %s", path);
	int rc = fchmod(fd, 0600) ? err_errno(err, errno, "cannot protect %s", path) : io_write_full(fd, text, KEY_TEXT_LEN, err);
	if (!rc && fsync(fd))
		rc = err_errno(err, errno, "cannot sync %s", path);
	if (rc) {
		unlink(path);
		return rc;
	}
	return io_sync_folder_of(path, err);
}

static int check_owner(const char *path, int fd, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st))
		return err_errno(err, errno, "cannot examine %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_REFUSED, "%s is not a regular file", path);
	if (st.st_uid != geteuid() && geteuid() != 0) {
		err_set(err, ERR_REFUSED, "%s belongs to another user", path);
		return err_hint(err, "run talkoo as the user whose node it is");
	}
	if (st.st_mode & 077) {
		err_set(err, ERR_REFUSED, "%s can be read by others (mode %03o)", path, (unsigned)(st.st_mode & 0777));
		return err_hint(err, "chmod 600 %s; if others could have read it, make a new identity", path);
	}
	return 0;
}

int identity_load(const char *path, struct identity **ret, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == ENOENT) {
		err_set(err, ERR_NOT_FOUND, "%s: no key", path);
		return err_hint(err, "`talkoo init` makes one; or restore it from its backup");
	}
	if (fd < 0)
		return err_errno(err, errno, "cannot open %s", path);
	int rc = check_owner(path, fd, err);
	if (rc)
		return rc;
	CLEANUP(cleanup_sodium) char *text = sodium_malloc(KEY_TEXT_LEN + 1);
	CLEANUP(cleanup_identity) struct identity *id = identity_new();
	if (!text || !id)
		return err_set(err, ERR_NOMEM, "out of memory");
	const ssize_t n = io_read_full(fd, text, KEY_TEXT_LEN + 1, err);
	if (n < 0)
		return (int)n;
	rc = parse_key(path, text, (size_t)n, id, err);
	if (rc)
		return rc;
	*ret = id;
	id = NULL;
	return 0;
}

int identity_create(const char *path, struct identity **ret, struct err *err)
{
	CLEANUP(cleanup_identity) struct identity *id = identity_new();
	if (!id)
		return err_set(err, ERR_NOMEM, "out of memory");
	if (crypto_sign_keypair(id->id.b, id->secret))
		return err_set(err, ERR_BUG, "cannot make a key");
	const int rc = write_new(path, id, err);
	if (rc)
		return rc;
	*ret = id;
	id = NULL;
	return 0;
}

int identity_copy(const char *from, const char *to, struct identity **ret, struct err *err)
{
	CLEANUP(cleanup_identity) struct identity *id = NULL;
	int rc = identity_load(from, &id, err);
	if (!rc)
		rc = write_new(to, id, err);
	if (rc)
		return rc;
	*ret = id;
	id = NULL;
	return 0;
}

int identity_sign_record(const struct identity *id, const struct record_fields *fields, const char *network, struct record **ret,
			 struct err *err)
{
	return record_sign(fields, id->secret, network, ret, err);
}

const uint8_t *identity_lend_secret(const struct identity *id)
{
	return id->secret;
}

int identity_sign_dsse(const struct identity *id, const char *payload_type, const uint8_t *payload, size_t len, uint8_t ret_signature[64],
		       struct err *err)
{
	return dsse_sign(payload_type, payload, len, id->secret, ret_signature, err);
}
