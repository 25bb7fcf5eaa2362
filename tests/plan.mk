# tests of runner/job, the strict YAML and runner/plan
UNIT_TESTS += test_job
test_job_SOURCES = tests/unit/test_job.c tests/unit/tap.c tests/unit/tap.h
test_job_LDADD = libtalkoo-job.la

FUZZ_TARGETS += fuzz_job
fuzz_job_SOURCES = tests/fuzz/fuzz_job.c $(FUZZ_REPLAY)
fuzz_job_LDADD = libtalkoo-job.la
fuzz_job_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)

UNIT_TESTS += test_yaml
test_yaml_SOURCES = tests/unit/test_yaml.c tests/unit/tap.c tests/unit/tap.h
test_yaml_LDADD = libtalkoo-base.la

FUZZ_TARGETS += fuzz_yaml
fuzz_yaml_SOURCES = tests/fuzz/fuzz_yaml.c $(FUZZ_REPLAY)
fuzz_yaml_LDADD = libtalkoo-base.la
fuzz_yaml_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)

UNIT_TESTS += test_plan
test_plan_SOURCES = tests/unit/test_plan.c tests/unit/tap.c tests/unit/tap.h
test_plan_LDADD = libtalkoo-plan.la

FUZZ_TARGETS += fuzz_plan
fuzz_plan_SOURCES = tests/fuzz/fuzz_plan.c $(FUZZ_REPLAY)
fuzz_plan_LDADD = libtalkoo-plan.la
fuzz_plan_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)

UNIT_TESTS += test_lint
test_lint_SOURCES = tests/unit/test_lint.c tests/unit/tap.c tests/unit/tap.h
test_lint_LDADD = libtalkoo-lint.la

SELF_TESTS += tests/rank.sh tests/selfcheck/text.sh tests/selfcheck/headers.sh tests/selfcheck/shells.sh \
	tests/selfcheck/listed.sh tests/selfcheck/links.sh tests/selfcheck/can_fail.sh
EXTRA_DIST += tests/selfcheck/lib.sh tests/RESULTS.md .talkoo.yml

UNIT_TESTS += test_ambient
test_ambient_SOURCES = tests/unit/test_ambient.c tests/unit/tap.c tests/unit/tap.h
test_ambient_LDADD = libtalkoo-plan.la

UNIT_TESTS += test_detect
test_detect_SOURCES = tests/unit/test_detect.c tests/unit/tap.c tests/unit/tap.h
test_detect_LDADD = libtalkoo-plan.la

UNIT_TESTS += test_cells
test_cells_SOURCES = tests/unit/test_cells.c tests/unit/tap.c tests/unit/tap.h
test_cells_LDADD = libtalkoo-plan.la

UNIT_TESTS += test_outcome
test_outcome_SOURCES = tests/unit/test_outcome.c tests/unit/tap.c tests/unit/tap.h
test_outcome_LDADD = libtalkoo-proto.la

UNIT_TESTS += test_netscan
test_netscan_SOURCES = tests/unit/test_netscan.c tests/unit/tap.c tests/unit/tap.h
test_netscan_LDADD = libtalkoo-runner.la

UNIT_TESTS += test_runlog
test_runlog_SOURCES = tests/unit/test_runlog.c tests/unit/tap.c tests/unit/tap.h
test_runlog_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
test_runlog_LDADD = libtalkoo-runner.la $(JANSSON_LIBS)

FUZZ_TARGETS += fuzz_scripts
fuzz_scripts_SOURCES = tests/fuzz/fuzz_scripts.c $(FUZZ_REPLAY)
fuzz_scripts_LDADD = libtalkoo-lint.la libtalkoo-runner.la
fuzz_scripts_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)
