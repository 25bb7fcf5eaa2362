# The supervisor, its jails and the stages that need no library of foreign formats (vm, log).
noinst_LTLIBRARIES += libtalkoo-runner.la

libtalkoo_runner_la_SOURCES = \
	runner/frame_reader.c runner/frame_reader.h \
	runner/jail.c runner/jail.h runner/jail_parts.h \
	runner/jail_cradle.c \
	runner/jail_filter.c \
	runner/jail_landlock.c \
	runner/stage.c runner/stage.h \
	runner/stage_log.c
libtalkoo_runner_la_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(JANSSON_CFLAGS) $(SECCOMP_CFLAGS)
libtalkoo_runner_la_LIBADD = libtalkoo-job.la libtalkoo-proto.la libtalkoo-base.la $(SECCOMP_LIBS) $(JANSSON_LIBS)
