#include "proto/base/suggest.h"

#include <ctype.h>
#include <string.h>

static char folded(char c)
{
	return c == '-' ? '_' : (char)tolower((unsigned char)c);
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Edits between a and b, a swap of neighbours being one (optimal string alignment). Both at most SUGGEST_WORD_MAX. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][SUGGEST_WORD_MAX + 1];
	unsigned *older = rows[0], *last = rows[1], *now = rows[2];
	for (size_t j = 0; j <= b_len; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			const char x = folded(a[i - 1]), y = folded(b[j - 1]);
			now[j] = least(least(last[j] + 1, now[j - 1] + 1), last[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == folded(b[j - 2]) && folded(a[i - 2]) == y)
				now[j] = least(now[j], older[j - 2] + 1);
		}
		unsigned *const spare = older;
		older = last;
		last = now;
		now = spare;
	}
	return last[b_len];
}

const char *suggest(const char *word, const char *const *words, size_t len)
{
	const size_t word_len = strlen(word);
	const char *best = NULL;
	unsigned best_distance = 0;
	for (size_t i = 0; i < len && word_len <= SUGGEST_WORD_MAX; i++) {
		const size_t known_len = strlen(words[i]);
		if (known_len > SUGGEST_WORD_MAX)
			continue;
		const unsigned d = distance(word, word_len, words[i], known_len);
		const unsigned allowed = known_len < 3 ? 0 : (unsigned)(known_len + 2) / 3;
		if (d <= allowed && (!best || d < best_distance)) {
			best = words[i];
			best_distance = d;
		}
	}
	return best;
}
