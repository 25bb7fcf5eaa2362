# tests of the node
UNIT_TESTS += test_home
test_home_SOURCES = tests/unit/test_home.c tests/unit/tap.c tests/unit/tap.h
test_home_LDADD = libtalkoo-node.la
UNIT_TESTS += test_config
test_config_SOURCES = tests/unit/test_config.c tests/unit/tap.c tests/unit/tap.h
test_config_LDADD = libtalkoo-node.la

UNIT_TESTS += test_attestor
test_attestor_SOURCES = tests/unit/test_attestor.c tests/unit/tap.c tests/unit/tap.h
test_attestor_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS) $(JANSSON_CFLAGS)
test_attestor_LDADD = libtalkoo-node.la

UNIT_TESTS += test_scheduler
test_scheduler_SOURCES = tests/unit/test_scheduler.c tests/unit/tap.c tests/unit/tap.h
test_scheduler_LDADD = libtalkoo-core.la

UNIT_TESTS += test_dossier
test_dossier_SOURCES = tests/unit/test_dossier.c tests/unit/tap.c tests/unit/tap.h
test_dossier_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS) $(JANSSON_CFLAGS)
test_dossier_LDADD = libtalkoo-core.la

UNIT_TESTS += test_intake
test_intake_SOURCES = tests/unit/test_intake.c tests/unit/samples.c tests/unit/samples.h tests/unit/tap.c tests/unit/tap.h
test_intake_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS) $(JANSSON_CFLAGS)
test_intake_LDADD = libtalkoo-core.la

UNIT_TESTS += test_intake_order
test_intake_order_SOURCES = tests/unit/test_intake_order.c tests/unit/samples.c tests/unit/samples.h tests/unit/tap.c tests/unit/tap.h
test_intake_order_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS) $(JANSSON_CFLAGS)
test_intake_order_LDADD = libtalkoo-core.la

UNIT_TESTS += test_peers
test_peers_SOURCES = tests/unit/test_peers.c tests/unit/samples.c tests/unit/samples.h tests/unit/tap.c tests/unit/tap.h
test_peers_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS) $(JANSSON_CFLAGS)
test_peers_LDADD = libtalkoo-core.la

E2E_TESTS += tests/e2e/test_node_trouble.sh
