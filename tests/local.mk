# A unit test is one program tests/unit/test_NAME.c that prints TAP (tests/unit/tap.h).
TEST_LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
AM_TESTS_ENVIRONMENT = \
	TALKOO_SRCDIR='$(abs_top_srcdir)'; export TALKOO_SRCDIR; \
	TALKOO_BUILDDIR='$(abs_top_builddir)'; export TALKOO_BUILDDIR; \
	: "$${TALKOO_VECTORS:=$(abs_top_srcdir)/../shared/vectors}"; export TALKOO_VECTORS; \
	TALKOO_LIBEXECDIR='$(abs_top_builddir)'; export TALKOO_LIBEXECDIR; \
	TALKOO_DATADIR='$(abs_top_srcdir)/contrib'; export TALKOO_DATADIR; \
	: "$${TALKOO_TEST_IMAGES:=$(abs_top_builddir)/test-images}"; export TALKOO_TEST_IMAGES; \
	PATH='$(abs_top_builddir)':"$$PATH"; export PATH;

# Tests that are scripts: bash, TAP, named *.sh. The lists:
#   SELF_TESTS  checks of the sources themselves, no program needed (the project's own .talkoo.yml runs them too)
#   VM_TESTS    boot real VMs through talkoo-runner; need the image mini in TALKOO_TEST_IMAGES
#   E2E_TESTS   talkoo and talkood as real processes, real repositories, real VMs
TEST_EXTENSIONS = .sh
LOG_DRIVER = $(TEST_LOG_DRIVER)
SH_LOG_DRIVER = $(TEST_LOG_DRIVER)
SH_LOG_COMPILER = bash
SELF_TESTS =
VM_TESTS =
# programs that they start
VM_TARGETS =
E2E_TESTS =
# minutes each, by hand: make check-long
LONG_TESTS =
# one real job, for contrib/check --quick
QUICK_TESTS =
# benchmark programs, built by `make bench`
BENCH_TARGETS =

UNIT_TESTS += test_base
test_base_SOURCES = tests/unit/test_base.c tests/unit/tap.c tests/unit/tap.h
test_base_LDADD = libtalkoo-base.la

# A fuzz target is tests/fuzz/fuzz_NAME.c with its corpus in tests/fuzz/corpus/NAME/, listed here and given
#   fuzz_NAME_SOURCES = tests/fuzz/fuzz_NAME.c $(FUZZ_REPLAY)
#   fuzz_NAME_LDADD = its libraries      and      fuzz_NAME_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)
# In the ordinary build it replays the corpus as a test; with --enable-fuzzer it is a libFuzzer program.
FUZZ_REPLAY = tests/fuzz/fuzz.h
FUZZ_TARGET_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
if !LIBFUZZER
FUZZ_REPLAY += tests/fuzz/replay.c
endif

include tests/proto.mk
include tests/stages.mk
include tests/gossip.mk
include tests/guest.mk
include tests/node.mk
include tests/plan.mk
include tests/session.mk
include tests/store.mk
include tests/supervisor.mk
include tests/cli.mk
include tests/streams.mk
include tests/sim.mk

check_PROGRAMS += $(FUZZ_TARGETS)
if !LIBFUZZER
TESTS += $(FUZZ_TARGETS)
endif

check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
TESTS += $(SELF_TESTS)
EXTRA_DIST += $(SELF_TESTS) $(VM_TESTS) $(E2E_TESTS) $(LONG_TESTS)

# the image that the VM and end-to-end tests boot: built anew when what goes into it is newer, so that no test meets an old init
TEST_IMAGE = test-images/mini@1/manifest.json
test-image: all $(TEST_IMAGE)
$(TEST_IMAGE): talkoo-init$(EXEEXT) $(IMAGE_RECIPE)
	TALKOO_LIBEXECDIR='$(abs_top_builddir)' TALKOO_DATADIR='$(abs_top_srcdir)/contrib' \
	$(top_srcdir)/contrib/images/build.sh mini '$(abs_top_builddir)/test-images'
	touch $@
clean-local:
	rm -rf test-images
check-vm: test-image $(VM_TARGETS)
	$(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS='$(VM_TESTS)' TEST_SUITE_LOG=test-suite-vm.log
check-e2e: test-image
	$(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS='$(E2E_TESTS)' TEST_SUITE_LOG=test-suite-e2e.log
check-long: test-image
	$(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS='$(LONG_TESTS)' TEST_SUITE_LOG=test-suite-long.log
check-quick: test-image
	$(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS='$(QUICK_TESTS)' TEST_SUITE_LOG=test-suite-quick.log

# benchmarks: built on demand, run by hand through tests/bench/*.sh
EXTRA_PROGRAMS += $(BENCH_TARGETS) $(VM_TARGETS)
bench: all $(BENCH_TARGETS)
.PHONY: test-image check-vm check-e2e check-long check-quick bench
