# tests of the stages fetch, pack, collect
UNIT_TESTS += test_remote
test_remote_SOURCES = tests/unit/test_remote.c tests/unit/tap.c tests/unit/tap.h
test_remote_LDADD = libtalkoo-stages.la
