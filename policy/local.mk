noinst_LTLIBRARIES += libtalkoo-policy.la

libtalkoo_policy_la_SOURCES = \
	policy/verdict.c policy/verdict.h
libtalkoo_policy_la_LIBADD =
