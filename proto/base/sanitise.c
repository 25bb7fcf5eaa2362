#include "proto/base/sanitise.h"

#include <string.h>

#include "proto/base/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd"

void sanitise_init(struct sanitise *s, bool one_line)
{
	*s = (struct sanitise){.one_line = one_line};
}

static bool is_unsafe(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return true;
	return c == 0xad || c == 0x61c || c == 0x180e || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff) ||
	       (c & 0xfffe) == 0xfffe;
}

static void put(struct sanitise *s, uint32_t c, const uint8_t *bytes, size_t len, struct buf *out)
{
	const bool was_cr = s->saw_cr;
	s->saw_cr = c == '\r';
	if (c == '\r') {
		if (was_cr)
			buf_byte(out, s->one_line ? ' ' : '\n');
		return;
	}
	if (was_cr && c != '\n')
		buf_byte(out, s->one_line ? ' ' : '\n');
	if (c == '\n' || c == '\t')
		buf_byte(out, s->one_line ? ' ' : (uint8_t)c);
	else if (is_unsafe(c))
		buf_str(out, REPLACEMENT);
	else
		buf_append(out, bytes, len);
}

void sanitise_feed(struct sanitise *s, const void *bytes, size_t len, struct buf *out)
{
	const uint8_t *at = bytes;
	while (s->held_len && len) {
		s->held[s->held_len++] = *at++;
		len--;
		uint32_t c;
		const int n = utf8_next(s->held, s->held_len, &c);
		if (n < 0)
			continue;
		if (n > 0) {
			put(s, c, s->held, (size_t)n, out);
		} else { /* the byte just read did not continue it: it stands for itself */
			put(s, 0, NULL, 0, out);
			at--;
			len++;
		}
		s->held_len = 0;
	}
	while (len) {
		uint32_t c;
		const int n = utf8_next(at, len, &c);
		if (n < 0) {
			memcpy(s->held, at, len);
			s->held_len = len;
			return;
		}
		const size_t used = n > 0 ? (size_t)n : 1;
		put(s, n > 0 ? c : 0, at, used, out);
		at += used;
		len -= used;
	}
}

void sanitise_end(struct sanitise *s, struct buf *out)
{
	if (s->held_len)
		put(s, 0, NULL, 0, out);
	if (s->saw_cr)
		buf_byte(out, s->one_line ? ' ' : '\n');
	s->held_len = 0;
	s->saw_cr = false;
}

const char *sanitise_line(char *out, size_t size, const char *foreign)
{
	struct sanitise s;
	sanitise_init(&s, true);
	struct buf b;
	buf_init(&b, strlen(foreign) * 3 + 8);
	sanitise_feed(&s, foreign, strlen(foreign), &b);
	sanitise_end(&s, &b);
	size_t keep = b.len < size ? b.len : size - 1;
	while (keep && keep < b.len && (b.data[keep] & 0xc0) == 0x80)
		keep--;
	memcpy(out, buf_cstr(&b), keep);
	out[keep] = 0;
	buf_release(&b);
	return out;
}
