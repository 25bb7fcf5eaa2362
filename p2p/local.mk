noinst_LTLIBRARIES += libtalkoo-p2p.la

libtalkoo_p2p_la_SOURCES = \
	p2p/noise.c p2p/noise.h
libtalkoo_p2p_la_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS)
libtalkoo_p2p_la_LIBADD = libtalkoo-base.la $(SODIUM_LIBS)

UNIT_TESTS += test_noise
test_noise_SOURCES = tests/unit/test_noise.c tests/unit/tap.c tests/unit/tap.h
test_noise_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(JANSSON_CFLAGS)
test_noise_LDADD = libtalkoo-p2p.la $(JANSSON_LIBS)
