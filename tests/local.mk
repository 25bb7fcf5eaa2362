# A unit test is one program tests/unit/test_NAME.c that prints TAP (tests/unit/tap.h).
TEST_LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
AM_TESTS_ENVIRONMENT = \
	TALKOO_SRCDIR='$(abs_top_srcdir)'; export TALKOO_SRCDIR; \
	TALKOO_BUILDDIR='$(abs_top_builddir)'; export TALKOO_BUILDDIR; \
	: "$${TALKOO_VECTORS:=$(abs_top_srcdir)/../shared/vectors}"; export TALKOO_VECTORS;

UNIT_TESTS += test_base
test_base_SOURCES = tests/unit/test_base.c tests/unit/tap.c tests/unit/tap.h
test_base_LDADD = libtalkoo-base.la

include tests/stages.mk

check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
