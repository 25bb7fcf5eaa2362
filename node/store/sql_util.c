#include <errno.h>
#include <string.h>

#include "node/store/sqlite_impl.h"
#include "proto/base/cleanup.h"

/* SQLite keeps the file name of the main database; in messages it says more than "main". */
static const char *path_of(sqlite3 *db)
{
	const char *path = sqlite3_db_filename(db, "main");
	return path && *path ? path : "the database";
}

/* sqlite3_system_errno() knows nothing of a write that failed within COMMIT; the file that was written does. */
static int last_errno(sqlite3 *db)
{
	int number = sqlite3_system_errno(db);
	sqlite3_file *wal = NULL;
	if (!number && sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) == SQLITE_OK && wal && wal->pMethods)
		(void)wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO, &number);
	return number;
}

static int io_err(sqlite3 *db, const char *doing, struct err *err)
{
	const int number = last_errno(db);
	(void)err_set(err, ERR_IO, "%s: %s: %s", doing, path_of(db), number ? strerror(number) : sqlite3_errmsg(db));
	if (number == ENOSPC || number == EDQUOT)
		return err_hint(err, "the disk is full: free some space there; nothing that was acknowledged is lost");
	if (number == EFBIG)
		return err_hint(err, "a limit on file sizes is in force (ulimit -f): raise it");
	if (number == EACCES || number == EROFS || number == EPERM)
		return err_hint(err, "the node must be able to write the file and its folder");
	return err_hint(err, "see whether the disk is full or failing; nothing that was acknowledged is lost");
}

int sql_err(sqlite3 *db, const char *doing, struct err *err)
{
	switch (sqlite3_errcode(db)) {
	case SQLITE_NOMEM:
		return err_set(err, ERR_NOMEM, "%s: out of memory", doing);
	case SQLITE_FULL:
		(void)err_set(err, ERR_IO, "%s: %s: no space left on the disk", doing, path_of(db));
		return err_hint(err, "free some space there; nothing that was acknowledged is lost");
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return io_err(db, doing, err);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		(void)err_set(err, ERR_INVALID, "%s: %s is damaged, or not a database", doing, path_of(db));
		return err_hint(err, "move it and its -wal file away and start again; the newest copy beside it (.before-N) can take its place");
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		(void)err_set(err, ERR_TIMEOUT, "%s: %s is locked by another process", doing, path_of(db));
		return err_hint(err, "is another node running on it?");
	}
	return err_set(err, ERR_BUG, "%s: %s: %s", doing, path_of(db), sqlite3_errmsg(db));
}

int sql_exec(sqlite3 *db, const char *sql, struct err *err)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : sql_err(db, "database", err);
}

int sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, struct err *err)
{
	return sqlite3_prepare_v2(db, sql, -1, ret, NULL) == SQLITE_OK ? 0 : sql_err(db, "database", err);
}

void sql_finalize(sqlite3_stmt **stmt)
{
	sqlite3_finalize(*stmt);
}

int sql_get_int(sqlite3 *db, const char *sql, int64_t *ret, struct err *err)
{
	CLEANUP(sql_finalize) sqlite3_stmt *st = NULL;
	const int code = sql_prepare(db, sql, &st, err);
	if (code)
		return code;
	if (sqlite3_step(st) != SQLITE_ROW)
		return sql_err(db, "database", err);
	*ret = sqlite3_column_int64(st, 0);
	return 0;
}

/* A checkpoint only each 16 MiB of WAL: it
 * writes each page once, however often it changed meanwhile. */
static const char pragmas[] = "PRAGMA synchronous=FULL;"
			      "PRAGMA wal_autocheckpoint=4096;"
			      "PRAGMA journal_size_limit=16777216;"
			      "PRAGMA temp_store=MEMORY;"
			      "PRAGMA trusted_schema=OFF;";

static int set_up(sqlite3 *db, unsigned cache_kib, struct err *err)
{
	char cache[48];
	snprintf(cache, sizeof cache, "PRAGMA cache_size=-%u", cache_kib);
	sqlite3_extended_result_codes(db, 0);
	sqlite3_busy_timeout(db, 2000);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	const int code = sql_exec(db, pragmas, err);
	return code ? code : sql_exec(db, cache, err);
}

int sql_open(const char *path, unsigned cache_kib, sqlite3 **ret, struct err *err)
{
	sqlite3 *db = NULL;
	int code = 0;
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		code = db ? sql_err(db, "opening the database", err) : err_set(err, ERR_NOMEM, "opening %s: out of memory", path);
	} else {
		code = set_up(db, cache_kib, err);
	}
	if (code) {
		sqlite3_close(db);
		return code;
	}
	*ret = db;
	return 0;
}
