/* What every fuzz target defines: libFuzzer's entry point, also called by replay.c for each file of the corpus. */
#ifndef TALKOO_TESTS_FUZZ_H
#define TALKOO_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Any bytes; must return 0 and neither crash, leak nor take long. data may be NULL when size is 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
