# The simulator (tests/sim/sim.h); by hand: ./test_sim SEED [trace]. In check: seeds 1 to 500, half of them in either program, so that
# two cores share them; with sanitizers, which take four times as long, 120.
UNIT_TESTS += test_sim test_sim_more
SIM_SOURCES = tests/sim/test_sim.c tests/sim/check.c tests/sim/lies.c tests/sim/play.h tests/sim/sim.c tests/sim/sim_evil.c \
	tests/sim/sim_link.c tests/sim/sim_node.c tests/sim/sim.h tests/unit/tap.c tests/unit/tap.h
SIM_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS) $(JANSSON_CFLAGS)
test_sim_SOURCES = $(SIM_SOURCES)
test_sim_CFLAGS = $(SIM_CFLAGS)
test_sim_LDADD = libtalkoo-core.la
test_sim_more_SOURCES = $(SIM_SOURCES)
test_sim_more_CFLAGS = $(SIM_CFLAGS) -DFIRST_SEED=251
test_sim_more_LDADD = libtalkoo-core.la

# other seeds, as many as wanted; only what failed is shown
SEEDS = 10000
FIRST = 501
sim: test_sim
	@./test_sim $(FIRST) $(SEEDS) >sim.log; code=$$?; grep -v '^ok' sim.log; exit $$code
check-long: sim
.PHONY: sim check-long
