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
	node/cli/cmd_imageimport.c \
	node/cli/imageview.h \
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
	node/cli/manpage.c node/cli/manpage.h \
	node/cli/nodecall.c node/cli/nodecall.h \
	node/cli/out.c node/cli/out.h \
	node/cli/resolve.c node/cli/resolve.h \
	node/cli/runsource.c node/cli/runsource.h \
	node/cli/shellterm.c node/cli/shellterm.h \
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

# talkoo(1) and completion are printed by talkoo itself, from its table of commands; who builds for another machine goes without
if !CROSS_COMPILING
man1_MANS = talkoo.1
bashcompdir = $(datadir)/bash-completion/completions
nodist_bashcomp_DATA = completion/talkoo
CLEANFILES += talkoo.1 completion/talkoo
talkoo.1: talkoo$(EXEEXT)
	$(AM_V_GEN)ASAN_OPTIONS=detect_leaks=0 ./talkoo$(EXEEXT) help man >$@.new && mv $@.new $@
completion/talkoo: talkoo$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) completion && ASAN_OPTIONS=detect_leaks=0 ./talkoo$(EXEEXT) help completion >$@.new && mv $@.new $@
endif
if HAVE_SCDOC
man5_MANS = talkoo.yml.5
CLEANFILES += talkoo.yml.5
talkoo.yml.5: contrib/man/talkoo.yml.5.scd
	$(AM_V_GEN)$(SCDOC) <$(top_srcdir)/contrib/man/talkoo.yml.5.scd >$@.new && mv $@.new $@
endif
