# runner/plan: the plan (pure), and lint, which starts shells
noinst_LTLIBRARIES += libtalkoo-plan.la libtalkoo-lint.la
libtalkoo_plan_la_SOURCES = \
	runner/plan/ambient.c \
	runner/plan/ambient_args.c runner/plan/ambient_args.h \
	runner/plan/detect.c \
	runner/plan/discover.c \
	runner/plan/fetch.c \
	runner/plan/matrix.c \
	runner/plan/native.c \
	runner/plan/plan_parts.c runner/plan/plan_parts.h \
	runner/plan/plan.c runner/plan/plan.h \
	runner/plan/sourcehut.c
libtalkoo_plan_la_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(JANSSON_CFLAGS)
libtalkoo_plan_la_LIBADD = libtalkoo-proto.la libtalkoo-base.la $(SODIUM_LIBS) $(JANSSON_LIBS) -lm

libtalkoo_lint_la_SOURCES = \
	runner/plan/lint.c runner/plan/lint.h \
	runner/plan/script_check.c runner/plan/script_check.h \
	runner/plan/shell_check.c runner/plan/shell_check.h
libtalkoo_lint_la_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(JANSSON_CFLAGS)
libtalkoo_lint_la_LIBADD = libtalkoo-plan.la
