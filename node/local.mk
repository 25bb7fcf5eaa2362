include node/store/local.mk

# node: talkood, and what it shares with talkoo (libtalkoo-node.la)
noinst_LTLIBRARIES += libtalkoo-node.la

libtalkoo_node_la_SOURCES = \
	node/attestor.c node/attestor.h \
	node/config.c node/config.h \
	node/dossier.c node/dossier.h node/dossier_json.c \
	node/blobs.c node/blobs.h \
	node/home.c node/home.h \
	node/identity.c node/identity.h \
	node/init.c node/init.h \
	node/jsonget.c node/jsonget.h
libtalkoo_node_la_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(SODIUM_CFLAGS)
libtalkoo_node_la_LIBADD = libtalkoo-job.la libtalkoo-proto.la libtalkoo-base.la
EXTRA_DIST += node/CONTROL.md

# what only the node has: its core knows no libuv (node/*_uv.c does)
noinst_LTLIBRARIES += libtalkoo-core.la
libtalkoo_core_la_SOURCES = \
	node/control.h node/control_ops.h node/control_parts.h \
	node/control_ask.c node/control_ask.h \
	node/control_events.c \
	node/control_files.c node/control_files.h \
	node/control_forget.c \
	node/control_jobs.c \
	node/control_net.c \
	node/control_ops.c \
	node/control_policy.c \
	node/control_results.c node/control_results.h \
	node/control_status.c \
	node/control_target.c node/control_target.h \
	node/control_watch.c \
	node/index.c node/index.h node/index_edit.c node/index_edit.h \
	node/intake.c node/intake.h node/intake_crowd.c node/intake_judge.c node/intake_judge.h \
	node/ixheap.c node/ixheap.h \
	node/jobs.c \
	node/net.c node/net.h node/net_files.c node/net_impl.h node/net_logs.c \
	node/node.c node/node.h \
	node/publish.c \
	node/recover.c \
	node/rules.c node/rules.h \
	node/runplan.c node/runplan.h \
	node/runs.c \
	node/scheduler.c node/scheduler.h \
	node/state.c node/state.h
libtalkoo_core_la_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS)
libtalkoo_core_la_LIBADD = libtalkoo-node.la libtalkoo-p2p.la libtalkoo-store.la libtalkoo-policy.la libtalkoo-image.la libtalkoo-job.la \
	libtalkoo-proto.la libtalkoo-base.la

bin_PROGRAMS += talkood
talkood_SOURCES = \
	node/control_uv.c node/control_uv.h \
	node/daemon_uv.c node/daemon_uv.h \
	node/logfile.c node/logfile.h \
	node/main.c \
	node/runner_uv.c node/runner_uv.h
talkood_CFLAGS = $(AM_CFLAGS) $(UV_CFLAGS) $(JANSSON_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS)
talkood_LDADD = libtalkoo-core.la libtalkoo-transport.la $(UV_LIBS)

# the node as a service of a user, to which systemd hands its control group
systemduserunitdir = $(prefix)/lib/systemd/user
nodist_systemduserunit_DATA = talkood.service
EXTRA_DIST += contrib/systemd/talkood.service.in
CLEANFILES += talkood.service
talkood.service: contrib/systemd/talkood.service.in Makefile
	$(AM_V_GEN)sed 's|[@]bindir@|$(bindir)|' $(srcdir)/contrib/systemd/talkood.service.in >$@.new && mv $@.new $@

include node/cli/local.mk
