#include "proto/base/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/base/cleanup.h"

static bool parse_digits(const char **at, uint64_t *ret)
{
	const char *p = *at;
	uint64_t value = 0;
	if (*p < '0' || *p > '9' || (p[0] == '0' && p[1] >= '0' && p[1] <= '9'))
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (value > (UINT64_MAX - 9) / 10)
			return false;
		value = value * 10 + (uint64_t)(*p - '0');
	}
	*at = p;
	*ret = value;
	return true;
}

bool units_parse_number(const char *text, uint64_t *ret)
{
	uint64_t value;
	if (!parse_digits(&text, &value) || *text)
		return false;
	*ret = value;
	return true;
}

bool units_parse_size(const char *text, uint64_t *ret_bytes)
{
	uint64_t value;
	if (!parse_digits(&text, &value))
		return false;
	static const char letters[] = "KMGT";
	const char *at = *text ? strchr(letters, *text) : NULL;
	const unsigned shift = at ? 10u * (unsigned)(at - letters + 1) : 0;
	if (at)
		text++;
	if (strcmp(text, "") && strcmp(text, "B") && !(at && !strcmp(text, "iB")))
		return false;
	if (value > (UINT64_C(1) << 62) >> shift)
		return false;
	*ret_bytes = value << shift;
	return true;
}

bool units_parse_duration(const char *text, uint64_t *ret_ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} table[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	const uint64_t max_ms = UINT64_C(3650) * 86400000;
	uint64_t value;
	if (!parse_digits(&text, &value))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (strcmp(text, table[i].unit))
			continue;
		if (value > max_ms / table[i].ms)
			return false;
		*ret_ms = value * table[i].ms;
		return true;
	}
	return false;
}

const char *units_format_size(char *out, uint64_t bytes)
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	size_t unit = 0;
	double value = (double)bytes;
	while (value >= 1024 && unit + 1 < ARRAY_LEN(names)) {
		value /= 1024;
		unit++;
	}
	snprintf(out, UNITS_TEXT_MAX, unit && value < 100 ? "%.1f %s" : "%.0f %s", value, names[unit]);
	return out;
}

const char *units_format_duration(char *out, uint64_t ms)
{
	const uint64_t s = ms / 1000;
	if (ms < 1000)
		snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 " ms", ms);
	else if (s < 60)
		snprintf(out, UNITS_TEXT_MAX, "%.1f s", (double)(ms / 100) / 10);
	else if (s < 3600)
		snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 " min %02" PRIu64 " s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 " h %02" PRIu64 " min", s / 3600, s / 60 % 60);
	else
		snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
	return out;
}

const char *units_format_time(char *out, uint64_t unix_ms)
{
	const time_t seconds = (time_t)(unix_ms / 1000);
	struct tm utc;
	if (unix_ms / 1000 > INT64_C(253402300799) || !gmtime_r(&seconds, &utc)) {
		snprintf(out, UNITS_TEXT_MAX, "never");
		return out;
	}
	const size_t used = strftime(out, UNITS_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(out + used, UNITS_TEXT_MAX - used, ".%03uZ", (unsigned)(unix_ms % 1000));
	return out;
}

/* Exactly len digits, then the character `behind`. */
static bool parse_field(const char **at, unsigned len, char behind, int *ret)
{
	int value = 0;
	for (; len; len--, (*at)++) {
		if (**at < '0' || **at > '9')
			return false;
		value = value * 10 + (**at - '0');
	}
	*ret = value;
	return *(*at)++ == behind;
}

/* strptime() would take blanks, single digits and a 31st of February. */
bool units_parse_time(const char *text, uint64_t *ret_unix_ms)
{
	const char *at = text;
	struct tm utc = {0};
	int year, month, fraction = 0;
	if (!parse_field(&at, 4, '-', &year) || !parse_field(&at, 2, '-', &month) || !parse_field(&at, 2, 'T', &utc.tm_mday) ||
	    !parse_field(&at, 2, ':', &utc.tm_hour) || !parse_field(&at, 2, ':', &utc.tm_min))
		return false;
	const bool has_fraction = at[0] && at[1] && at[2] == '.';
	if (!parse_field(&at, 2, has_fraction ? '.' : 'Z', &utc.tm_sec) || (has_fraction && !parse_field(&at, 3, 'Z', &fraction)) || *at)
		return false;
	utc.tm_year = year - 1900;
	utc.tm_mon = month - 1;
	struct tm normal = utc; /* timegm() brings it into range: what changes was no date */
	const time_t seconds = timegm(&normal);
	if (seconds < 0 || normal.tm_mday != utc.tm_mday || normal.tm_mon != utc.tm_mon || normal.tm_hour != utc.tm_hour ||
	    normal.tm_min != utc.tm_min || normal.tm_sec != utc.tm_sec)
		return false;
	*ret_unix_ms = (uint64_t)seconds * 1000 + (uint64_t)fraction;
	return true;
}
