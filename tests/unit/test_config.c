#include <string.h>

#include "node/config.h"
#include "proto/base/cleanup.h"
#include "tests/unit/tap.h"

static const struct config_machine machine = {.cores = 8, .memory_bytes = UINT64_C(16) << 30};

static void test_defaults(void)
{
	struct config c;
	struct err err;
	INTEQ(config_parse("config.yml", "# nothing\n", 10, &machine, &c, &err), 0);
	STREQ(c.network, "main");
	STREQ(c.listen, "");
	INTEQ(c.limits.jobs, 1);
	INTEQ(c.limits.cpus, 4);
	INTEQ(c.limits.memory_bytes, 4ll << 30);
	INTEQ(c.limits.disk_bytes, 10ll << 30);
	INTEQ(c.limits.timeout_ms, 30 * 60000);
	INTEQ(c.caps.database_bytes, 512ll << 20);
	const struct config_machine small = {.cores = 1, .memory_bytes = UINT64_C(512) << 20};
	config_defaults(&small, &c);
	INTEQ(c.limits.cpus, 1);
	INTEQ(c.limits.memory_bytes, 256ll << 20);
}

static void test_full(void)
{
	static const char text[] =
		"network: lab-1\nalias: \"me \\\" too\"\nlisten: 127.0.0.1:8255\n"
		"seeds:\n  - z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK@seed.example:8255\n"
		"images: /srv/images\nlimits: {jobs: 2, cpus: 3, memory: 2G, timeout: 90s, log: 1M}\ncaps: {blobs: 1G}\n";
	struct config c;
	struct err err = {0};
	INTEQ(config_parse("config.yml", text, sizeof text - 1, &machine, &c, &err), 0);
	STREQ(err.what, "");
	STREQ(c.network, "lab-1");
	STREQ(c.alias, "me \" too");
	INTEQ(c.seeds_len, 1);
	STREQ(c.seeds[0].host, "seed.example");
	STREQ(c.images, "/srv/images");
	INTEQ(c.limits.jobs, 2);
	INTEQ(c.limits.cpus, 3);
	INTEQ(c.limits.memory_bytes, 2ll << 30);
	INTEQ(c.limits.timeout_ms, 90000);
	INTEQ(c.limits.disk_bytes, 10ll << 30);
	INTEQ(c.limits.log_bytes, 1 << 20);
	INTEQ(c.caps.blobs_bytes, 1 << 30);
}

static void test_bad(void)
{
	static const struct {
		const char *text, *in_message;
	} cases[] = {
		{"netwrok: main\n", "config.yml:1:1: netwrok"},
		{"network: Main\n", "config.yml:1"},
		{"network: a\nnetwork: b\n", "config.yml:2"},
		{"seeds: [nobody]\n", "config.yml:1"},
		{"seeds: nobody\n", "config.yml:1"},
		{"images: images\n", "absolute"},
		{"limits: {cpus: 0}\n", "cpus"},
		{"limits: {memory: lots}\n", "memory"},
		{"limits: {\n  cpu: 1}\n", "config.yml:2:3: limits.cpu"},
		{"caps: 3\n", "caps"},
		{"limits: &a {cpus: 1}\n", "config.yml:1"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct config c;
		struct err err = {0};
		INTEQ(config_parse("config.yml", cases[i].text, strlen(cases[i].text), &machine, &c, &err), ERR_INVALID);
		OK(strstr(err.what, cases[i].in_message), "%s -> %s", cases[i].in_message, err.what);
	}
}

int main(void)
{
	test_defaults();
	test_full();
	test_bad();
	return tap_done();
}
