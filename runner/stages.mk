# The stages that touch foreign bytes (fetch, pack, collect), with the libraries only they may see.
noinst_LTLIBRARIES += libtalkoo-stages.la

libtalkoo_stages_la_SOURCES = \
	runner/cachetar.c runner/cachetar.h \
	runner/dial.c runner/dial.h \
	runner/fetch_link.h \
	runner/gitlib.c runner/gitlib.h \
	runner/mirror.c runner/mirror.h \
	runner/plantar.c runner/plantar.h \
	runner/outfiles.c runner/outfiles.h \
	runner/remote.c runner/remote.h \
	runner/srctar.c runner/srctar.h \
	runner/srctree.c runner/srctree.h \
	runner/stage_collect.c \
	runner/download.c runner/download.h \
	runner/stage_fetch.c \
	runner/stage_get.c \
	runner/stage_pack.c \
	runner/transport_git.c runner/transport_http.c
libtalkoo_stages_la_CFLAGS = $(AM_CFLAGS) $(GIT2_CFLAGS) $(ARCHIVE_CFLAGS) $(CURL_CFLAGS) $(SODIUM_CFLAGS) $(JANSSON_CFLAGS)
libtalkoo_stages_la_LIBADD = libtalkoo-plan.la libtalkoo-proto.la libtalkoo-base.la $(GIT2_LIBS) $(ARCHIVE_LIBS) $(CURL_LIBS) $(SODIUM_LIBS)
