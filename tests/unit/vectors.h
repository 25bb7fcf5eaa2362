/* Our own test vectors (the JSON files of proto/vectors), made by this code from fixed seeds. make_vectors writes the files,
 * test_vectors compares them with what is committed, tests/vectors/check.py checks them without any of our code. */
#ifndef TALKOO_TESTS_VECTORS_H
#define TALKOO_TESTS_VECTORS_H

#include <jansson.h>

struct vector_file { const char *name; json_t *(*make)(void); /* new reference */ };
extern const struct vector_file vector_files[];
extern const unsigned vector_files_len;

/* The text of a file as it is committed (free()). */
char *vector_text(const struct vector_file *f);

#endif
