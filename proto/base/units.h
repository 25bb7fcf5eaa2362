/* Sizes, durations and instants as people write them. */
#ifndef TALKOO_BASE_UNITS_H
#define TALKOO_BASE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "512", "64K", "2G": whole numbers with an optional K, M, G or T (powers of 1024; a following "iB" or "B"
 * is taken). False for anything else or past 2^62. */
bool units_parse_size(const char *text, uint64_t *ret_bytes);
/* "90s", "30m", "2h", "1d", "250ms"; a bare number is seconds. False for anything else or past 10 years. */
bool units_parse_duration(const char *text, uint64_t *ret_ms);
/* A plain decimal without sign, space or leading zeros (but "0"). */
bool units_parse_number(const char *text, uint64_t *ret);

#define UNITS_TEXT_MAX 32
/* "1.5 GiB", "312 B"; "1 h 02 min", "3.4 s", "250 ms". out: UNITS_TEXT_MAX bytes. Return out. */
const char *units_format_size(char *out, uint64_t bytes);
const char *units_format_duration(char *out, uint64_t ms);
/* RFC 3339 UTC with milliseconds: "2026-11-23T20:56:57.123Z". out: UNITS_TEXT_MAX bytes. */
const char *units_format_time(char *out, uint64_t unix_ms);
/* The reverse: RFC 3339 UTC, fraction of 0 to 3 digits, "Z" only. */
bool units_parse_time(const char *text, uint64_t *ret_unix_ms);

#endif
