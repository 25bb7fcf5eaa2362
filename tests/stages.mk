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

UNIT_TESTS += test_collect
test_collect_SOURCES = tests/unit/test_collect.c tests/unit/tars.c tests/unit/tars.h tests/unit/tap.c tests/unit/tap.h
test_collect_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
test_collect_LDADD = libtalkoo-stages.la libtalkoo-runner.la

UNIT_TESTS += test_cache
test_cache_SOURCES = tests/unit/test_cache.c tests/unit/tap.c tests/unit/tap.h
test_cache_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
test_cache_LDADD = libtalkoo-guest.la libtalkoo-stages.la libtalkoo-runner.la libtalkoo-image.la

UNIT_TESTS += test_get
test_get_SOURCES = tests/unit/test_get.c tests/unit/tap.c tests/unit/tap.h
test_get_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
test_get_LDADD = libtalkoo-stages.la libtalkoo-runner.la

FUZZ_TARGETS += fuzz_collect
fuzz_collect_SOURCES = tests/fuzz/fuzz_collect.c $(FUZZ_REPLAY)
fuzz_collect_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
fuzz_collect_LDADD = libtalkoo-stages.la libtalkoo-runner.la
fuzz_collect_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)

# one stage as a child process, for the scripts in tests/stages
check_PROGRAMS += stage_tool
stage_tool_SOURCES = tests/stage_tool.c
stage_tool_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
stage_tool_LDADD = libtalkoo-stages.la libtalkoo-runner.la
STAGE_TESTS = tests/stages/test_fetch.sh tests/stages/test_pack.sh tests/stages/test_jailed.sh
TESTS += $(STAGE_TESTS)
EXTRA_DIST += $(STAGE_TESTS) tests/stages/lib.sh tests/stages/git_http.py tests/stages/git_liar.py

FUZZ_TARGETS += fuzz_remote
fuzz_remote_SOURCES = tests/fuzz/fuzz_remote.c $(FUZZ_REPLAY)
fuzz_remote_LDADD = libtalkoo-stages.la libtalkoo-runner.la
fuzz_remote_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)
