# The stages that touch foreign bytes (fetch, pack, collect), with the libraries only they may see.
noinst_LTLIBRARIES += libtalkoo-stages.la

libtalkoo_stages_la_SOURCES = \
	runner/gitlib.c runner/gitlib.h \
	runner/outfiles.c runner/outfiles.h \
	runner/remote.c runner/remote.h \
	runner/srctar.c runner/srctar.h \
	runner/srctree.c runner/srctree.h \
	runner/stage_collect.c
libtalkoo_stages_la_CFLAGS = $(AM_CFLAGS) $(GIT2_CFLAGS) $(ARCHIVE_CFLAGS) $(CURL_CFLAGS) $(SODIUM_CFLAGS) $(JANSSON_CFLAGS)
libtalkoo_stages_la_LIBADD = libtalkoo-proto.la libtalkoo-base.la $(GIT2_LIBS) $(ARCHIVE_LIBS) $(CURL_LIBS) $(SODIUM_LIBS)
