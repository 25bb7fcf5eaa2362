# talkoo: the command line. All but main() is a library, so that unit tests link it.
noinst_LTLIBRARIES += libtalkoo-cli.la
bin_PROGRAMS += talkoo

libtalkoo_cli_la_SOURCES = \
	node/cli/bundle.c node/cli/bundle.h \
	node/cli/cli.c node/cli/cli.h \
	node/cli/client.c node/cli/client.h \
	node/cli/cmd_daemon.c \
	node/cli/cmd_doctor.c \
	node/cli/cmd_export.c \
	node/cli/cmd_image.c \
	node/cli/cmd_job.c \
	node/cli/cmd_lint.c \
	node/cli/cmd_log.c \
	node/cli/cmd_net.c \
	node/cli/cmd_node.c \
	node/cli/cmd_policy.c \
	node/cli/cmd_project.c \
	node/cli/cmd_results.c \
	node/cli/cmd_run.c \
	node/cli/cmd_trust.c \
	node/cli/cmd_verify.c \
	node/cli/cmds.h \
	node/cli/exitcode.c node/cli/exitcode.h \
	node/cli/failview.c node/cli/failview.h \
	node/cli/gitrepo.c node/cli/gitrepo.h \
	node/cli/help.c node/cli/help.h \
	node/cli/launch.c node/cli/launch.h \
	node/cli/lintplace.c node/cli/lintplace.h \
	node/cli/nodecall.c node/cli/nodecall.h \
	node/cli/out.c node/cli/out.h \
	node/cli/resolve.c node/cli/resolve.h \
	node/cli/runsource.c node/cli/runsource.h \
	node/cli/table.c node/cli/table.h \
	node/cli/treeplan.c node/cli/treeplan.h \
	node/cli/trustfile.c node/cli/trustfile.h \
	node/cli/verdictview.c node/cli/verdictview.h \
	node/cli/view.c node/cli/view.h \
	node/cli/workplace.c node/cli/workplace.h \
	node/cli/writeout.c node/cli/writeout.h
libtalkoo_cli_la_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(SODIUM_CFLAGS) $(GIT2_CFLAGS)
libtalkoo_cli_la_LIBADD = $(GIT2_LIBS)

talkoo_SOURCES = node/cli/main.c
talkoo_CFLAGS = $(libtalkoo_cli_la_CFLAGS)
talkoo_LDADD = libtalkoo-cli.la libtalkoo-node.la libtalkoo-policy.la libtalkoo-machine.la libtalkoo-image.la libtalkoo-stages.la libtalkoo-lint.la libtalkoo-plan.la \
	libtalkoo-job.la libtalkoo-proto.la libtalkoo-base.la $(GIT2_LIBS) $(SODIUM_LIBS) $(JANSSON_LIBS)
