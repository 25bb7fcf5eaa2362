#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/store/sqlite_impl.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"

/* "TALK": tells our file from any other SQLite database. */
#define APPLICATION_ID 0x54414c4b

/* records: a row goes to the end of the table (n) and its id into an index; a table ordered by id would move 600 bytes to a
 * random page each time. Indices only for what is asked on the way of a job: by id, job, commit, project, kind; and `slot`,
 * author || kind || key of the replaceable kinds, so that at most one stands. */
static const char initial[] =
	"CREATE TABLE records (n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, kind INTEGER NOT NULL, author BLOB NOT NULL,"
	" topic BLOB NOT NULL, project BLOB, job BLOB, \"commit\" TEXT, key BLOB NOT NULL, sequence INTEGER NOT NULL,"
	" created INTEGER NOT NULL, expires INTEGER NOT NULL, slot BLOB, signature BLOB NOT NULL, bytes BLOB NOT NULL);"
	"CREATE UNIQUE INDEX records_slot ON records (slot) WHERE slot IS NOT NULL;"
	"CREATE INDEX records_job ON records (job) WHERE job IS NOT NULL;"
	"CREATE INDEX records_commit ON records (\"commit\") WHERE \"commit\" IS NOT NULL;"
	"CREATE INDEX records_project ON records (project, kind, created) WHERE project IS NOT NULL;"
	"CREATE INDEX records_kind ON records (kind, created);"
	"CREATE TABLE events (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, type TEXT NOT NULL, object TEXT NOT NULL);"
	"CREATE TABLE kv (space TEXT NOT NULL, key TEXT NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (space, key)) WITHOUT ROWID;";

const struct migration store_migrations[] = {
	{1, initial},
};
const size_t store_migrations_len = ARRAY_LEN(store_migrations);

static int copy_pages(sqlite3 *from, const char *path, struct err *err)
{
	sqlite3 *to = NULL;
	int code = 0;
	if (sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		code = to ? sql_err(to, "copying the database", err) : err_set(err, ERR_NOMEM, "copying the database: out of memory");
		sqlite3_close(to);
		return code;
	}
	sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
	if (backup)
		(void)sqlite3_backup_step(backup, -1);
	if (!backup || sqlite3_backup_finish(backup) != SQLITE_OK)
		code = sql_err(to, "copying the database", err);
	sqlite3_close(to);
	return code;
}

static int sync_file(const char *path, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		return err_errno(err, errno, "%s", path);
	return 0;
}

/* PATH.before-NUMBER: whole or not there. */
static int keep_copy(sqlite3 *db, const char *path, unsigned number, struct err *err)
{
	char copy[4096], part[4096 + 8];
	if ((size_t)snprintf(copy, sizeof copy, "%s.before-%u", path, number) >= sizeof copy)
		return err_set(err, ERR_LIMIT, "%s: the path is too long", path);
	snprintf(part, sizeof part, "%s.part", copy);
	(void)unlink(part);
	const mode_t mask = umask(0077);
	int code = copy_pages(db, part, err);
	umask(mask);
	if (!code)
		code = sync_file(part, err);
	if (!code && rename(part, copy))
		code = err_errno(err, errno, "renaming %s", part);
	if (!code)
		code = io_sync_folder_of(copy, err);
	if (code)
		(void)unlink(part);
	return code;
}

static int run_one(sqlite3 *db, const struct migration *m, struct err *err)
{
	char version[128];
	snprintf(version, sizeof version, "PRAGMA application_id=%d; PRAGMA user_version=%u; COMMIT", APPLICATION_ID, m->number);
	int code = sql_exec(db, "BEGIN IMMEDIATE", err);
	if (!code)
		code = sql_exec(db, m->sql, err);
	if (!code)
		code = sql_exec(db, version, err);
	if (code && !sqlite3_get_autocommit(db))
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return code;
}

int migrations_check(sqlite3 *db, const char *path, const struct migration *list, size_t len, struct err *err)
{
	const unsigned newest = list[len - 1].number;
	int64_t version, application, tables;
	int code = sql_get_int(db, "PRAGMA user_version", &version, err);
	if (!code)
		code = sql_get_int(db, "PRAGMA application_id", &application, err);
	if (!code)
		code = sql_get_int(db, "SELECT count(*) FROM sqlite_schema", &tables, err);
	if (code)
		return code;
	if (tables && application != APPLICATION_ID) {
		(void)err_set(err, ERR_INVALID, "%s is a database, but not a node's", path);
		return err_hint(err, "move it away, or give the node another home");
	}
	if (version > newest) {
		(void)err_set(err, ERR_UNSUPPORTED, "%s has schema %lld, this talkoo knows up to %u", path, (long long)version, newest);
		return err_hint(err, "run the newer talkoo that wrote it, or put the copy %s.before-%u in its place", path, newest + 1);
	}
	return 0;
}

int migrations_run(sqlite3 *db, const char *path, const struct migration *list, size_t len, struct err *err)
{
	int64_t version;
	int code = migrations_check(db, path, list, len, err);
	if (!code)
		code = sql_get_int(db, "PRAGMA user_version", &version, err);
	for (size_t i = 0; !code && i < len; i++) {
		if (list[i].number <= version)
			continue;
		if (version)
			code = keep_copy(db, path, list[i].number, err);
		if (!code)
			code = run_one(db, &list[i], err);
		if (code)
			return err ? err_context(err, "bringing the database to schema %u", list[i].number) : code;
		version = list[i].number;
	}
	return code;
}
