#include "proto/outcome.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/body.h"
#include "proto/statement.h"

#define LINE_MAX_BYTES 2048 /* a path has at most 1,023 */

static void PRINTF_LIKE(2, 3) add(crypto_hash_sha256_state *h, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list args;
	va_start(args, fmt);
	const int len = vsnprintf(line, sizeof line, fmt, args);
	va_end(args);
	crypto_hash_sha256_update(h, (const uint8_t *)line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1);
}

static int compare_paths(const void *a, const void *b)
{
	const struct outcome_artifact *x = a, *y = b;
	return strcmp(x->path, y->path);
}

static int exit_code_of(const struct outcome_step *steps, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (steps[i].exit_code > 0)
			return steps[i].exit_code;
	return 0;
}

/* PROTOCOL 6.7 */
void outcome_digest(const char *outcome, const struct outcome_step *steps, size_t steps_len, struct outcome_artifact *artifacts,
		    size_t artifacts_len, char ret[65])
{
	crypto_hash_sha256_state h;
	uint8_t digest[crypto_hash_sha256_BYTES];
	crypto_hash_sha256_init(&h);
	add(&h, "talkoo-outcome-v1\noutcome %s\nexit %d\n", outcome, exit_code_of(steps, steps_len));
	for (size_t i = 0; i < steps_len; i++)
		add(&h, "step %d %s\n", steps[i].exit_code, steps[i].name);
	if (artifacts_len)
		qsort(artifacts, artifacts_len, sizeof *artifacts, compare_paths);
	for (size_t i = 0; i < artifacts_len; i++)
		add(&h, "artifact %s %" PRIu64 " %s\n", artifacts[i].sha256, artifacts[i].size_bytes, artifacts[i].path);
	crypto_hash_sha256_final(&h, digest);
	hex_encode(ret, digest, sizeof digest);
}

int outcome_digest_of_statement(const struct statement *s, char ret[65], struct err *err)
{
	if (s->has_index && !s->steps_len) {
		ret[0] = '\0';
		return 0;
	}
	CLEANUP(cleanup_free) struct outcome_step *steps = calloc(s->steps_len + 1, sizeof *steps);
	CLEANUP(cleanup_free) struct outcome_artifact *artifacts = calloc(s->artifacts_len + 1, sizeof *artifacts);
	if (!steps || !artifacts)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < s->steps_len; i++)
		steps[i] = (struct outcome_step){s->steps[i].name, s->steps[i].exit_code};
	for (size_t i = 0; i < s->artifacts_len; i++) {
		artifacts[i] = (struct outcome_artifact){.path = s->artifacts[i].path, .size_bytes = s->artifacts[i].digest.size};
		hex_encode(artifacts[i].sha256, s->artifacts[i].digest.sha256, 32);
	}
	outcome_digest(result_outcome_name(s->outcome), steps, s->steps_len, artifacts, s->artifacts_len, ret);
	return 0;
}
