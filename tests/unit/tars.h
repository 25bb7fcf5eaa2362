/* Tars that a hostile guest might write, built byte by byte: for the tests of the collector. */
#ifndef TALKOO_TESTS_TARS_H
#define TALKOO_TESTS_TARS_H

#include <stddef.h>
#include <stdint.h>

#define MAX_COUNT 8
#define MAX_BYTES 65536

struct tar {
	uint8_t bytes[1 << 18];
	size_t len;
	uint64_t said; /* length that the guest says; 0 = the real one */
};

/* A header block, sealed. What is spoilt in it afterwards wants tars_seal() again. */
uint8_t *tars_header(struct tar *t, const char *name, char type, uint64_t size, const char *link);
void tars_seal(uint8_t *h);
void tars_content(struct tar *t, const char *text, size_t len);
uint8_t *tars_file(struct tar *t, const char *name, const char *text);
void tars_pax(struct tar *t, const char *records);
void tars_end(struct tar *t);

struct tars_case {
	const char *name;
	void (*build)(struct tar *t);
	const char *says; /* part of the sentence */
	unsigned artifacts; /* whole ones before it */
};
extern const struct tars_case tars_hostile[];
extern const size_t tars_hostile_len;

#endif
