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
