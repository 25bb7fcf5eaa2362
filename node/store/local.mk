noinst_LTLIBRARIES += libtalkoo-store.la

libtalkoo_store_la_SOURCES = \
	node/store/batch.c \
	node/store/migrations.c \
	node/store/query.c \
	node/store/sql_util.c \
	node/store/sqlite_impl.h \
	node/store/sqlite_read.c \
	node/store/sqlite_write.c \
	node/store/store.c node/store/store.h \
	node/store/store_impl.h \
	node/store/store_memory.c \
	node/store/store_sqlite.c
libtalkoo_store_la_CFLAGS = $(AM_CFLAGS) $(SQLITE_CFLAGS) $(JANSSON_CFLAGS) $(SODIUM_CFLAGS)
libtalkoo_store_la_LIBADD = libtalkoo-proto.la $(SQLITE_LIBS) $(JANSSON_LIBS)
