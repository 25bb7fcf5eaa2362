# the simulator (tests/sim/sim.h); by hand: ./test_sim SEED [trace]
UNIT_TESTS += test_sim
test_sim_SOURCES = tests/sim/test_sim.c tests/sim/sim.c tests/sim/sim_link.c tests/sim/sim_node.c tests/sim/sim.h tests/unit/tap.c tests/unit/tap.h
test_sim_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS) $(JANSSON_CFLAGS)
test_sim_LDADD = libtalkoo-core.la

SEEDS = 10000
FIRST = 1
sim: test_sim
	./test_sim $(FIRST) $(SEEDS) | grep -v '^ok'
.PHONY: sim
