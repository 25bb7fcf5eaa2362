# tests of runner/job, the strict YAML and runner/plan
UNIT_TESTS += test_job
test_job_SOURCES = tests/unit/test_job.c tests/unit/tap.c tests/unit/tap.h
test_job_LDADD = libtalkoo-job.la

FUZZ_TARGETS += fuzz_job
fuzz_job_SOURCES = tests/fuzz/fuzz_job.c $(FUZZ_REPLAY)
fuzz_job_LDADD = libtalkoo-job.la
fuzz_job_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)
