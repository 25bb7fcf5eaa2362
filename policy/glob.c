#include "policy/glob.h"

#include <stddef.h>

bool glob_match(const char *pattern, const char *text)
{
	/* where to go on after a mismatch: the latest star takes one character more (an earlier star never needs to) */
	const char *star = NULL, *taken = NULL;
	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			taken = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = ++taken;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}
