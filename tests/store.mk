# the verdict, policy and the store
UNIT_TESTS += test_verdict
test_verdict_SOURCES = tests/unit/test_verdict.c tests/unit/tap.c
test_verdict_LDADD = libtalkoo-policy.la libtalkoo-base.la

UNIT_TESTS += test_policy
test_policy_SOURCES = tests/unit/test_policy.c tests/unit/tap.c
test_policy_LDADD = libtalkoo-policy.la

FUZZ_TARGETS += fuzz_policy
fuzz_policy_SOURCES = tests/fuzz/fuzz_policy.c $(FUZZ_REPLAY)
fuzz_policy_LDADD = libtalkoo-policy.la
fuzz_policy_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)

UNIT_TESTS += test_store
test_store_SOURCES = tests/unit/test_store.c tests/unit/store_util.c tests/unit/store_util.h tests/unit/tap.c
test_store_LDADD = libtalkoo-store.la

UNIT_TESTS += test_store_twins
test_store_twins_SOURCES = tests/unit/test_store_twins.c tests/unit/store_util.c tests/unit/store_util.h tests/unit/tap.c
test_store_twins_LDADD = libtalkoo-store.la

UNIT_TESTS += test_store_disk
test_store_disk_SOURCES = tests/unit/test_store_disk.c tests/unit/store_util.c tests/unit/store_util.h tests/unit/tap.c
test_store_disk_CFLAGS = $(AM_CFLAGS) $(SQLITE_CFLAGS)
test_store_disk_LDADD = libtalkoo-store.la

BENCH_TARGETS += bench_store
bench_store_SOURCES = tests/bench/bench_store.c
bench_store_LDADD = libtalkoo-core.la
BENCH_TARGETS += bench_node
bench_node_SOURCES = tests/bench/bench_node.c tests/unit/samples.c tests/unit/samples.h
bench_node_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS) $(JANSSON_CFLAGS)
bench_node_LDADD = libtalkoo-core.la
