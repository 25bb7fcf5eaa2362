noinst_LTLIBRARIES += libtalkoo-policy.la

libtalkoo_policy_la_SOURCES = \
	policy/cli_rules.c \
	policy/glob.c policy/glob.h \
	policy/parse.c \
	policy/policy.c policy/policy.h \
	policy/policy_json.c \
	policy/rules.h \
	policy/verdict.c policy/verdict.h
libtalkoo_policy_la_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
libtalkoo_policy_la_LIBADD = libtalkoo-proto.la $(JANSSON_LIBS)
