# tests of the stages fetch, pack, collect
UNIT_TESTS += test_remote test_srctar test_srctree
test_remote_SOURCES = tests/unit/test_remote.c tests/unit/tap.c tests/unit/tap.h
test_remote_LDADD = libtalkoo-stages.la
test_srctar_SOURCES = tests/unit/test_srctar.c tests/unit/tap.c tests/unit/tap.h
test_srctar_LDADD = libtalkoo-stages.la
test_srctree_SOURCES = tests/unit/test_srctree.c tests/unit/tap.c tests/unit/tap.h
test_srctree_CFLAGS = $(AM_CFLAGS) $(GIT2_CFLAGS)
test_srctree_LDADD = libtalkoo-stages.la
EXTRA_DIST += tests/srctar.py
