/* "Did you mean": the known word nearest to a mistyped one. */
#ifndef TALKOO_BASE_SUGGEST_H
#define TALKOO_BASE_SUGGEST_H

#include <stddef.h>

#define SUGGEST_WORD_MAX 64 /* bytes; a longer word is near to nothing */

/* The word of words[0..len) that is nearest to `word`, or NULL when none is near: at most a third of its letters added,
 * dropped, changed or swapped. Case, '-' and '_' do not count as different. Lent from words. */
const char *suggest(const char *word, const char *const *words, size_t len);

#endif
