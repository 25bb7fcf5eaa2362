# runner/plan: the plan (pure)
noinst_LTLIBRARIES += libtalkoo-plan.la
libtalkoo_plan_la_SOURCES = \
	runner/plan/discover.c \
	runner/plan/plan.c runner/plan/plan.h
libtalkoo_plan_la_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(JANSSON_CFLAGS)
libtalkoo_plan_la_LIBADD = libtalkoo-proto.la libtalkoo-base.la $(SODIUM_LIBS) $(JANSSON_LIBS)
