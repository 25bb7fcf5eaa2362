# the session engine: figures and fuzz target (its unit tests are listed in p2p/local.mk)
BENCH_TARGETS += bench_session
bench_session_SOURCES = tests/bench/bench_session.c
bench_session_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS)
bench_session_LDADD = libtalkoo-p2p.la $(SODIUM_LIBS)

UNIT_TESTS += test_session_hostile
test_session_hostile_SOURCES = tests/unit/test_session_hostile.c tests/unit/tap.c tests/unit/tap.h
test_session_hostile_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS)
test_session_hostile_LDADD = libtalkoo-p2p.la $(SODIUM_LIBS)

FUZZ_TARGETS += fuzz_session
fuzz_session_SOURCES = tests/fuzz/fuzz_session.c $(FUZZ_REPLAY)
fuzz_session_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS)
fuzz_session_LDADD = libtalkoo-p2p.la $(SODIUM_LIBS)
fuzz_session_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)

UNIT_TESTS += test_wirebuf
test_wirebuf_SOURCES = tests/unit/test_wirebuf.c tests/unit/tap.c tests/unit/tap.h
test_wirebuf_LDADD = libtalkoo-p2p.la

BENCH_TARGETS += bench_channel
bench_channel_SOURCES = tests/bench/bench_channel.c tests/unit/samples.c tests/unit/samples.h
bench_channel_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS) $(JANSSON_CFLAGS) $(UV_CFLAGS)
bench_channel_LDADD = libtalkoo-transport.la

UNIT_TESTS += test_channel_vectors
test_channel_vectors_SOURCES = tests/unit/test_channel_vectors.c tests/unit/tap.c tests/unit/tap.h
test_channel_vectors_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(JANSSON_CFLAGS)
test_channel_vectors_LDADD = libtalkoo-p2p.la $(SODIUM_LIBS) $(JANSSON_LIBS)
