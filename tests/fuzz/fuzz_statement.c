/* Any bytes as a statement and as an index: what reads, writes, and what was written reads to the same text. */
#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/statement.h"
#include "tests/fuzz/fuzz.h"

static void round_trip(const struct statement *s)
{
	CLEANUP(buf_release) struct buf text = {0};
	CLEANUP(buf_release) struct buf again = {0};
	CLEANUP(buf_release) struct buf index = {0};
	struct statement got = {0};
	struct err err;
	buf_init(&text, STATEMENT_LEN_MAX);
	buf_init(&again, STATEMENT_LEN_MAX);
	buf_init(&index, 1 << 20);
	/* a statement that was read may be longer in our spelling, or name an index that is not here */
	if (s->has_index || statement_write(s, &text, &index, &err) || index.len)
		return;
	assert(!statement_read(text.data, text.len, &got, &err));
	assert(!statement_write(&got, &again, &index, &err) && text.len == again.len && !memcmp(text.data, again.data, text.len));
	statement_release(&got);
}

static void as_index(const uint8_t *data, size_t size)
{
	struct statement s = {.has_index = true};
	struct err err;
	digest_bytes(data, size, &s.index);
	(void)!statement_read_index(&s, data, size, &err);
	statement_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct statement s = {0};
	struct err err;
	if (sodium_init() < 0 || !data)
		return 0;
	if (!statement_read(data, size, &s, &err)) {
		round_trip(&s);
		json_decref(statement_to_json(&s));
		statement_release(&s);
	}
	as_index(data, size);
	return 0;
}
