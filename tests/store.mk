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
