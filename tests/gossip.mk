# gossip and reconciliation: unit tests and fuzz target
UNIT_TESTS += test_gossip
test_gossip_SOURCES = tests/unit/test_gossip.c tests/unit/samples.c tests/unit/samples.h tests/unit/tap.c tests/unit/tap.h
test_gossip_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS) $(JANSSON_CFLAGS)
test_gossip_LDADD = libtalkoo-p2p.la

FUZZ_TARGETS += fuzz_gossip
fuzz_gossip_SOURCES = tests/fuzz/fuzz_gossip.c $(FUZZ_REPLAY)
fuzz_gossip_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS)
fuzz_gossip_LDADD = libtalkoo-p2p.la $(SODIUM_LIBS)
fuzz_gossip_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)

FUZZ_TARGETS += fuzz_peers
fuzz_peers_SOURCES = tests/fuzz/fuzz_peers.c $(FUZZ_REPLAY)
fuzz_peers_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS)
fuzz_peers_LDADD = libtalkoo-p2p.la $(SODIUM_LIBS)
fuzz_peers_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)
