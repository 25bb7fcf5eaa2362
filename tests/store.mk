# the verdict, policy and the store
UNIT_TESTS += test_verdict
test_verdict_SOURCES = tests/unit/test_verdict.c tests/unit/tap.c
test_verdict_LDADD = libtalkoo-policy.la libtalkoo-base.la
