#include "proto/mp.h"

#include <assert.h>
#include <string.h>

#include "proto/base/utf8.h"

enum mp_class { MP_REFUSED, MP_UINT, MP_NIL, MP_BOOL, MP_STR, MP_BIN, MP_ARRAY };

/* One value's head: its class, the length of the head itself, and the number that it carries (an integer's value, a
 * length, a count). `floor`: the least number for which this form is the shortest. */
struct mp_head { enum mp_class class; size_t len; uint64_t number; const char *why; };

static const struct mp_form { uint8_t lead; enum mp_class class; uint8_t width; uint64_t floor; } forms[] = {
	{0xc4, MP_BIN, 1, 0},         {0xc5, MP_BIN, 2, 0x100},   {0xc6, MP_BIN, 4, 0x10000},
	{0xcc, MP_UINT, 1, 0x80},     {0xcd, MP_UINT, 2, 0x100},  {0xce, MP_UINT, 4, 0x10000},  {0xcf, MP_UINT, 8, UINT64_C(0x100000000)},
	{0xd9, MP_STR, 1, 0x20},      {0xda, MP_STR, 2, 0x100},   {0xdb, MP_STR, 4, 0x10000},
	{0xdc, MP_ARRAY, 2, 0x10},    {0xdd, MP_ARRAY, 4, 0x10000},
};

static struct mp_head refused(const char *why)
{
	return (struct mp_head){MP_REFUSED, 0, 0, why};
}

static const char *refused_name(uint8_t lead)
{
	if (lead >= 0xe0 || (lead >= 0xd0 && lead <= 0xd3))
		return "a signed integer";
	if ((lead & 0xf0) == 0x80 || lead == 0xde || lead == 0xdf)
		return "a map";
	if (lead == 0xca || lead == 0xcb)
		return "a float";
	return lead == 0xc1 ? "the byte c1, which is never used" : "an extension";
}

static struct mp_head head_read(const uint8_t *bytes, size_t len)
{
	const uint8_t lead = bytes[0];
	if (lead <= 0x7f)
		return (struct mp_head){MP_UINT, 1, lead, NULL};
	if ((lead & 0xf0) == 0x90)
		return (struct mp_head){MP_ARRAY, 1, lead & 0x0f, NULL};
	if ((lead & 0xe0) == 0xa0)
		return (struct mp_head){MP_STR, 1, lead & 0x1f, NULL};
	if (lead == 0xc0)
		return (struct mp_head){MP_NIL, 1, 0, NULL};
	if (lead == 0xc2 || lead == 0xc3)
		return (struct mp_head){MP_BOOL, 1, 0, NULL};
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		if (forms[i].lead != lead)
			continue;
		if (len < 1u + forms[i].width)
			return refused("it ends within a value");
		uint64_t number = 0;
		for (unsigned j = 1; j <= forms[i].width; j++)
			number = number << 8 | bytes[j];
		if (number < forms[i].floor)
			return refused("not the shortest form");
		return (struct mp_head){forms[i].class, 1u + forms[i].width, number, NULL};
	}
	return refused(refused_name(lead));
}

static int scan_error(struct err *err, int code, size_t at, const char *why)
{
	return err_set(err, code, "not canonical msgpack: byte %zu: %s", at, why);
}

int mp_scan(const uint8_t *bytes, size_t len, const struct mp_limits *limits, struct err *err)
{
	assert(limits->depth_max <= MP_DEPTH_MAX);
	if (len > limits->bytes_max)
		return err_set(err, ERR_LIMIT, "%zu bytes, at most %zu are taken", len, limits->bytes_max);
	uint64_t left[MP_DEPTH_MAX]; /* elements still to come, of each open array */
	unsigned depth = 0, items = 0;
	size_t at = 0;
	do {
		if (at == len)
			return scan_error(err, ERR_INVALID, at, "it ends within a value");
		const struct mp_head h = head_read(bytes + at, len - at);
		if (h.class == MP_REFUSED)
			return scan_error(err, ERR_INVALID, at, h.why);
		if (++items > limits->items_max)
			return scan_error(err, ERR_LIMIT, at, "too many values");
		const bool counts_bytes = h.class == MP_STR || h.class == MP_BIN;
		/* each element is at least one byte, so the same test holds for an array's count */
		if ((counts_bytes || h.class == MP_ARRAY) && h.number > len - at - h.len)
			return scan_error(err, ERR_INVALID, at, "longer than what follows");
		if (h.class == MP_STR && !utf8_is_valid(bytes + at + h.len, (size_t)h.number))
			return scan_error(err, ERR_INVALID, at, "a str that is not UTF-8");
		at += h.len + (counts_bytes ? (size_t)h.number : 0);
		if (depth)
			left[depth - 1]--;
		if (h.class == MP_ARRAY) {
			if (depth == limits->depth_max)
				return scan_error(err, ERR_LIMIT, at, "arrays nested too deep");
			left[depth++] = h.number;
		}
		while (depth && !left[depth - 1])
			depth--;
	} while (depth);
	return at == len ? 0 : scan_error(err, ERR_INVALID, at, "bytes after the value");
}

size_t mp_element_offset(const uint8_t *bytes, size_t len, uint32_t index)
{
	struct mp_head h = head_read(bytes, len);
	assert(h.class == MP_ARRAY && index <= h.number);
	size_t at = h.len;
	/* values to step over: an array adds its elements */
	for (uint64_t todo = index; todo; todo--) {
		assert(at < len);
		h = head_read(bytes + at, len - at);
		assert(h.class != MP_REFUSED);
		at += h.len + (h.class == MP_STR || h.class == MP_BIN ? (size_t)h.number : 0);
		todo += h.class == MP_ARRAY ? h.number : 0;
	}
	return at;
}

static void put_number(struct buf *b, uint8_t lead, uint64_t number, unsigned width)
{
	buf_byte(b, lead);
	while (width)
		buf_byte(b, (uint8_t)(number >> 8 * --width));
}

/* The widest form whose floor the number reaches is the shortest one for it. */
static void put_head(struct buf *b, enum mp_class class, uint64_t number)
{
	for (size_t i = sizeof forms / sizeof *forms; i--;) {
		if (forms[i].class == class && number >= forms[i].floor) {
			put_number(b, forms[i].lead, number, forms[i].width);
			return;
		}
	}
	buf_byte(b, (uint8_t)((class == MP_ARRAY ? 0x90 : class == MP_STR ? 0xa0 : 0) | number));
}

void mp_put_uint(struct buf *b, uint64_t value) { put_head(b, MP_UINT, value); }
void mp_put_bool(struct buf *b, bool value) { buf_byte(b, value ? 0xc3 : 0xc2); }
void mp_put_nil(struct buf *b) { buf_byte(b, 0xc0); }
void mp_put_array(struct buf *b, uint32_t len) { put_head(b, MP_ARRAY, len); }

void mp_put_str(struct buf *b, const char *text)
{
	const size_t len = strlen(text);
	put_head(b, MP_STR, len);
	buf_append(b, text, len);
}

void mp_put_bin(struct buf *b, const void *bytes, size_t len)
{
	put_head(b, MP_BIN, len);
	if (len)
		buf_append(b, bytes, len);
}

void mp_put_text(struct buf *b, const char *text, size_t size)
{
	char line[1024];
	assert(size && size <= sizeof line);
	const uint8_t *p = (const uint8_t *)text;
	size_t left = strlen(text), n = 0;
	while (left) {
		uint32_t code;
		const int len = utf8_next(p, left, &code);
		const size_t step = len > 0 ? (size_t)len : 1;
		if (n + step >= size)
			break;
		if (len <= 0 || code < 0x20 || code == 0x7f)
			line[n] = ' ';
		else
			memcpy(line + n, p, step);
		n += step;
		p += step;
		left -= step;
	}
	line[n] = 0;
	mp_put_str(b, line);
}
