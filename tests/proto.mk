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
