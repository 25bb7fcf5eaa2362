# tests of the node
UNIT_TESTS += test_home
test_home_SOURCES = tests/unit/test_home.c tests/unit/tap.c tests/unit/tap.h
test_home_LDADD = libtalkoo-node.la
