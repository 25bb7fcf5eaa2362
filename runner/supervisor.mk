# The supervisor, its jails and the stages that need no library of foreign formats (vm, log).
noinst_LTLIBRARIES += libtalkoo-runner.la

libtalkoo_runner_la_SOURCES = \
	runner/cgroup.c runner/cgroup.h runner/cgroup_host.c \
	runner/events.c runner/events.h \
	runner/frame_reader.c runner/frame_reader.h \
	runner/jail.c runner/jail.h runner/jail_parts.h \
	runner/jail_cradle.c \
	runner/jail_filter.c \
	runner/jail_give.c \
	runner/jail_ids.c \
	runner/jail_landlock.c \
	runner/netscan.c runner/netscan.h \
	runner/runlog.c runner/runlog.h \
	runner/stage.c runner/stage.h \
	runner/stage_log.c \
	runner/tally.c runner/tally.h \
	runner/workdir.c runner/workdir.h
libtalkoo_runner_la_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(JANSSON_CFLAGS) $(SECCOMP_CFLAGS)
libtalkoo_runner_la_LIBADD = libtalkoo-job.la libtalkoo-proto.la libtalkoo-base.la $(SECCOMP_LIBS) $(JANSSON_LIBS)

# the runner itself
pkglibexec_PROGRAMS += talkoo-runner
talkoo_runner_SOURCES = \
	runner/convert.c runner/convert.h \
	runner/crew.c runner/crew.h \
	runner/main.c \
	runner/probe.c runner/probe.h \
	runner/stage_vm.c runner/stage_vm.h \
	runner/supervisor.c runner/supervisor.h runner/supervisor_parts.h \
	runner/supervisor_cache.c runner/supervisor_stages.c runner/supervisor_deadlines.c
talkoo_runner_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
talkoo_runner_LDADD = libtalkoo-runner.la libtalkoo-stages.la libtalkoo-machine.la libtalkoo-job.la
