# tests of the command line
UNIT_TESTS += test_cli test_cli_client test_cli_resolve test_cli_trust
test_cli_SOURCES = tests/unit/test_cli.c tests/unit/tap.c tests/unit/tap.h
test_cli_CFLAGS = $(libtalkoo_cli_la_CFLAGS)
test_cli_LDADD = $(talkoo_LDADD)
test_cli_client_SOURCES = tests/unit/test_cli_client.c tests/unit/tap.c tests/unit/tap.h
test_cli_client_CFLAGS = $(libtalkoo_cli_la_CFLAGS)
test_cli_client_LDADD = $(talkoo_LDADD)
test_cli_resolve_SOURCES = tests/unit/test_cli_resolve.c tests/unit/tap.c tests/unit/tap.h
test_cli_resolve_CFLAGS = $(libtalkoo_cli_la_CFLAGS)
test_cli_resolve_LDADD = $(talkoo_LDADD)
test_cli_trust_SOURCES = tests/unit/test_cli_trust.c tests/unit/tap.c tests/unit/tap.h
test_cli_trust_CFLAGS = $(libtalkoo_cli_la_CFLAGS)
test_cli_trust_LDADD = $(talkoo_LDADD)

E2E_TESTS += tests/e2e/test_cli.sh tests/e2e/test_run.sh tests/e2e/test_node.sh tests/e2e/test_net.sh tests/e2e/test_debian.sh tests/e2e/test_plans.sh tests/e2e/test_cells.sh tests/e2e/test_steps.sh tests/e2e/test_shell.sh tests/e2e/test_schema.sh tests/e2e/test_help.sh tests/e2e/test_control.sh tests/e2e/test_kill.sh
LONG_TESTS += tests/e2e/long_kill.sh
QUICK_TESTS += tests/e2e/test_help.sh tests/e2e/test_node.sh tests/e2e/test_control.sh
EXTRA_DIST += tests/e2e/lib.sh tests/e2e/terminal.py
CLEANFILES += e2e.lock
EXTRA_DIST += contrib/man/talkoo.yml.5.scd
