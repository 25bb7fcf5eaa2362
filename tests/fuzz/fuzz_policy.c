/* policy.yml and cli.yml: any bytes. What is read as a cli.yml can be extended, and is then read again. */
#include <sodium.h>
#include <stdlib.h>

#include "policy/policy.h"
#include "proto/base/cleanup.h"
#include "tests/fuzz/fuzz.h"

static void extend(const char *text, size_t size)
{
	static struct policy_rule_spec spec;
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, POLICY_BYTES_MAX);
	struct policy *p = NULL;
	struct err err;
	const struct node_id self = {{1}};
	if (policy_cli_with(text, size, &spec, &b, &err))
		return;
	if (policy_parse(NULL, 0, buf_cstr(&b), b.len, &self, &p, &err))
		abort();
	policy_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const struct node_id self = {{1}};
	struct policy *p = NULL;
	struct err err;
	if (policy_parse(text ? text : "", size, NULL, 0, &self, &p, &err) == 0) {
		struct policy_facts facts = {.ref = "refs/heads/main", .image = "mini@1", .arch = "x86_64"};
		struct policy_decision d;
		policy_decide(p, &facts, &d);
		json_decref(policy_to_json(p));
		json_decref(policy_decision_to_json(&d));
		policy_free(p);
	}
	extend(text ? text : "", size);
	return 0;
}
