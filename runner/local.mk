# runner: talkoo-runner and its stages, the plan, the guest
include runner/plan/local.mk
include runner/guest/local.mk
include runner/machine.mk
include runner/stages.mk
include runner/supervisor.mk

noinst_LTLIBRARIES += libtalkoo-job.la
libtalkoo_job_la_SOURCES = runner/shellwire.c runner/shellwire.h runner/job.c runner/job.h runner/job_fields.c runner/job_fields.h
libtalkoo_job_la_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
libtalkoo_job_la_LIBADD = libtalkoo-base.la $(JANSSON_LIBS)
