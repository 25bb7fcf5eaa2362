/* The outcome digest: a vector, and what must and must not change it. */
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/outcome.h"
#include "proto/statement.h"
#include "tests/unit/tap.h"

#define SUM "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SUM2 "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void digest(const char *outcome, const char *name, int code, const char *path, const char *sum, char ret[65])
{
	const struct outcome_step steps[] = {{"build it", 0}, {name, code}};
	struct outcome_artifact artifacts[] = {{.path = path, .size_bytes = 5}, {.path = "a/a", .size_bytes = 0}};
	strcpy(artifacts[0].sha256, sum);
	strcpy(artifacts[1].sha256, SUM2);
	outcome_digest(outcome, steps, 2, artifacts, 2, ret);
}

int main(void)
{
	char first[65], other[65];
	digest("failed", "check", 3, "out/log", SUM, first);
	/* printf 'talkoo-outcome-v1\noutcome failed\nexit 3\nstep 0 build it\nstep 3 check\nartifact ff11… 0 a/a\nartifact 0011… 5 out/log\n' */
	STREQ(first, "c6d0be48f745ef664b00a8e22b6f157e01e299fddbb1a0a4616859713b628af1");
	digest("failed", "check", 3, "out/log", SUM, other);
	STREQ(first, other);
	digest("passed", "check", 3, "out/log", SUM, other);
	OK(strcmp(first, other) != 0, "the outcome counts");
	digest("failed", "test", 3, "out/log", SUM, other);
	OK(strcmp(first, other) != 0, "a step's name counts");
	digest("failed", "check", 4, "out/log", SUM, other);
	OK(strcmp(first, other) != 0, "an exit code counts");
	digest("failed", "check", 3, "out/lag", SUM, other);
	OK(strcmp(first, other) != 0, "a path counts");
	digest("failed", "check", 3, "out/log", SUM2, other);
	OK(strcmp(first, other) != 0, "content counts");

	struct outcome_artifact forward[] = {{"x", SUM, 1}, {"y", SUM, 2}}, backward[] = {{"y", SUM, 2}, {"x", SUM, 1}};
	outcome_digest("passed", NULL, 0, forward, 2, first);
	outcome_digest("passed", NULL, 0, backward, 2, other);
	STREQ(first, other);

	struct err err = {0};
	CLEANUP(statement_release) struct statement s = {.outcome = 1, .has_index = true, .started_ms = 1, .duration_ms = 7};
	OK(outcome_digest_of_statement(&s, first, &err) == 0 && !first[0], "unknown while its lists are elsewhere");
	s.has_index = false;
	s.steps = calloc(1, sizeof *s.steps);
	s.steps_len = 1;
	strcpy(s.steps[0].name, "x");
	OK(outcome_digest_of_statement(&s, first, &err) == 0 && strlen(first) == 64, "of a statement");
	s.started_ms = 2;
	s.steps[0].duration_ms = s.duration_ms = 8;
	strcpy(s.accel, "kvm");
	OK(outcome_digest_of_statement(&s, other, &err) == 0 && !strcmp(first, other), "when, how long and where do not count");
	return tap_done();
}
