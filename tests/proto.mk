# unit tests and fuzz targets of proto/
UNIT_TESTS += test_merkle test_ids
test_merkle_SOURCES = tests/unit/test_merkle.c tests/unit/tap.c
test_merkle_LDADD = libtalkoo-proto.la
test_ids_SOURCES = tests/unit/test_ids.c tests/unit/tap.c
test_ids_LDADD = libtalkoo-proto.la

FUZZ_TARGETS += fuzz_ids fuzz_link
fuzz_ids_SOURCES = tests/fuzz/fuzz_ids.c $(FUZZ_REPLAY)
fuzz_ids_LDADD = libtalkoo-proto.la
fuzz_ids_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)
fuzz_link_SOURCES = tests/fuzz/fuzz_link.c $(FUZZ_REPLAY)
fuzz_link_LDADD = libtalkoo-proto.la
fuzz_link_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)

UNIT_TESTS += test_mp test_url test_ed25519 test_record
test_mp_SOURCES = tests/unit/test_mp.c tests/unit/tap.c
test_mp_LDADD = libtalkoo-proto.la
test_url_SOURCES = tests/unit/test_url.c tests/unit/tap.c
test_url_LDADD = libtalkoo-proto.la
test_ed25519_SOURCES = tests/unit/test_ed25519.c tests/unit/tap.c tests/unit/samples.c tests/unit/samples.h
test_ed25519_LDADD = libtalkoo-proto.la
test_record_SOURCES = tests/unit/test_record.c tests/unit/tap.c tests/unit/samples.c tests/unit/samples.h
test_record_LDADD = libtalkoo-proto.la
UNIT_TESTS += test_body
test_body_SOURCES = tests/unit/test_body.c tests/unit/tap.c tests/unit/samples.c tests/unit/samples.h
test_body_LDADD = libtalkoo-proto.la

FUZZ_TARGETS += fuzz_record fuzz_url
fuzz_record_SOURCES = tests/fuzz/fuzz_record.c tests/unit/samples.c $(FUZZ_REPLAY)
fuzz_record_LDADD = libtalkoo-proto.la
fuzz_record_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)
fuzz_url_SOURCES = tests/fuzz/fuzz_url.c $(FUZZ_REPLAY)
fuzz_url_LDADD = libtalkoo-proto.la
fuzz_url_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)

# our own vectors: `make make_vectors && ./make_vectors SRC/proto/vectors` writes them anew
VECTOR_SOURCES = tests/unit/vectors.c tests/unit/vectors.h tests/unit/vectors_gossip.c tests/unit/vectors_impl.h tests/unit/samples.c tests/unit/samples.h
UNIT_TESTS += test_vectors
test_vectors_SOURCES = tests/unit/test_vectors.c tests/unit/tap.c $(VECTOR_SOURCES)
test_vectors_LDADD = libtalkoo-p2p.la $(JANSSON_LIBS)
EXTRA_PROGRAMS += make_vectors
make_vectors_SOURCES = tests/unit/make_vectors.c $(VECTOR_SOURCES)
make_vectors_LDADD = libtalkoo-p2p.la $(JANSSON_LIBS)
EXTRA_DIST += proto/vectors proto/PROTOCOL.md tests/vectors
SELF_TESTS += tests/vectors/check.sh
UNIT_TESTS += test_dsse test_statement
test_dsse_SOURCES = tests/unit/test_dsse.c tests/unit/tap.c tests/unit/tap.h
test_dsse_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(JANSSON_CFLAGS)
test_dsse_LDADD = libtalkoo-proto.la
test_statement_SOURCES = tests/unit/test_statement.c tests/unit/tap.c tests/unit/tap.h
test_statement_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(JANSSON_CFLAGS)
test_statement_LDADD = libtalkoo-proto.la

UNIT_TESTS += test_result
test_result_SOURCES = tests/unit/test_result.c tests/unit/tap.c tests/unit/samples.c tests/unit/samples.h
test_result_LDADD = libtalkoo-proto.la

FUZZ_TARGETS += fuzz_dsse fuzz_statement
fuzz_dsse_SOURCES = tests/fuzz/fuzz_dsse.c $(FUZZ_REPLAY)
fuzz_dsse_LDADD = libtalkoo-proto.la
fuzz_dsse_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)
fuzz_statement_SOURCES = tests/fuzz/fuzz_statement.c $(FUZZ_REPLAY)
fuzz_statement_LDADD = libtalkoo-proto.la $(JANSSON_LIBS)
fuzz_statement_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)
