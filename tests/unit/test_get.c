/* What a plan fetches: its key, and the get stage's refusals (tests/e2e/test_plans.sh fetches for real). */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/download.h"
#include "runner/plan/plan.h"
#include "runner/stage.h"
#include "tests/unit/tap.h"

#define SUM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PLAN(entry) "image: mini\nsteps: [{run: x}]\nfetch:\n  - " entry "\n"

static void test_key(void)
{
	static const struct {
		const char *text, *what;
	} bad[] = {
		{PLAN("{url: \"https://h/x\"}"), "the key \"sha256\" is missing"},
		{PLAN("{sha256: " SUM "}"), "the key \"url\" is missing"},
		{PLAN("{url: \"https://h/x\", sha256: abc}"), "is no sha256"},
		{PLAN("{url: \"file:///etc/passwd\", sha256: " SUM "}"), "is no URL of a file"},
		{PLAN("{url: \"https://u:p@h/x\", sha256: " SUM "}"), "is no URL of a file"},
		{PLAN("{url: \"https://h/x?y\", sha256: " SUM "}"), "is no URL of a file"},
		{PLAN("{url: \"https:///x\", sha256: " SUM "}"), "is no URL of a file"},
		{PLAN("{url: \"https://h/x y\", sha256: " SUM "}"), "is no URL of a file"},
		{PLAN("{url: \"https://h/x/\", sha256: " SUM "}"), "the URL ends in no file's name"},
		{PLAN("{url: \"https://h/..\", sha256: " SUM "}"), "the URL ends in no file's name"},
		{PLAN("{url: \"https://h/x\", sha256: " SUM ", name: ../x}"), "is no file name below /ci/deps"},
		{PLAN("{url: \"https://h/x\", sha256: " SUM ", name: /etc/x}"), "is no file name below /ci/deps"},
		{PLAN("{url: \"https://h/x\", sha256: " SUM "}\n  - {url: \"https://i/x\", sha256: " SUM "}"), "there is another file of that name"},
		{"image: mini\nsteps: [{run: x}]\ncache: [\"*.o\"]\n", "must be a path, not a pattern"},
		{"image: mini\nsteps: [{run: x}]\ncache: [../x]\n", "has a part \"..\""},
		{"image: mini\nsteps: [{run: x}]\ncache: [/ci/cache]\n", "must be relative to the source"},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct plan plan = {0};
		struct err err = {0};
		OK(plan_parse("p", bad[i].text, strlen(bad[i].text), &plan, &err) == ERR_INVALID && strstr(err.what, bad[i].what), "%s", err.what);
	}
	static const char good[] = PLAN("{url: \"https://h/a/x.gz\", sha256: " SUM "}\n  - {url: \"http://h:8080/x\", sha256: " SUM ", name: a/y}")
				   "cache: [node_modules, a/b]\n";
	CLEANUP(plan_release) struct plan plan = {0};
	struct err err = {0};
	OK(plan_parse("p", good, strlen(good), &plan, &err) == 0, "good: %s", err.what);
	INTEQ(plan.fetch_len, 2);
	STREQ(plan.fetch[0].name, "x.gz");
	STREQ(plan.fetch[1].name, "a/y");
	OK(plan.has_cache && plan.cache_len == 2, "and a cache");
}

/* What the stage says of one URL: the outcome, and its sentence in reason. */
static uint32_t ask(const struct job_plan *plan, const char *url, char reason[JOB_REASON_MAX])
{
	int pair[2];
	CLEANUP(cleanup_fd) int deps = memfd_create("deps", MFD_CLOEXEC);
	if (deps < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		abort();
	struct stage_msg msg = {.type = STAGE_MSG_FETCH_ITEM, .u.fetch = {.sha256 = SUM, .name = "x"}};
	snprintf(msg.u.fetch.url, sizeof msg.u.fetch.url, "%s", url);
	const struct stage_msg go = {.type = STAGE_MSG_FETCH_GO};
	if (*url && (stage_send(pair[0], &msg, NULL) || stage_send(pair[0], &go, NULL)))
		abort();
	if (!*url)
		shutdown(pair[0], SHUT_WR);
	const struct stage_get s = {.msg_fd = pair[1], .plan = plan, .deps_fd = deps};
	const int status = stage_get_run(&s);
	close(pair[1]);
	struct stage_msg answer = {0};
	const bool has_answer = stage_recv(pair[0], STAGE_GET, &answer) == STAGE_RECV_MSG;
	close(pair[0]);
	snprintf(reason, JOB_REASON_MAX, "%s", has_answer ? answer.u.failed.reason : "");
	OK(status == (has_answer ? 1 : 0), "its status");
	return has_answer && answer.type == STAGE_MSG_FAILED ? answer.u.failed.outcome : 0;
}

static void test_refusals(void)
{
	CLEANUP(cleanup_free) struct job_plan *plan = calloc(1, sizeof *plan);
	char reason[JOB_REASON_MAX];
	snprintf(plan->fetch_store, sizeof plan->fetch_store, "/tmp/talkoo-get-XXXXXX");
	if (!mkdtemp(plan->fetch_store))
		abort();
	strcpy(plan->fetch_hosts, "files.example.org,127.0.0.1");
	plan->fetch_bytes = 1 << 20;
	INTEQ(ask(plan, "", reason), 0);
	INTEQ(ask(plan, "https://example.org/x", reason), JOB_REFUSED);
	OK(strstr(reason, "the host example.org is none that this node fetches from"), "%s", reason);
	INTEQ(ask(plan, "https://127.0.0.1:1234/x", reason), JOB_REFUSED);
	OK(strstr(reason, "127.0.0.1") != NULL, "listed, but no public address: %s", reason);
	INTEQ(ask(plan, "http://files.example.org/x", reason), JOB_REFUSED);
	OK(strstr(reason, "http") != NULL, "not encrypted: %s", reason);
	INTEQ(ask(plan, "file:///etc/passwd", reason), JOB_REFUSED);
	OK(download_host_is_listed("a.b,C.d", "c.D") && !download_host_is_listed("a.b", "xa.b") && !download_host_is_listed("a.b", "a") &&
		   !download_host_is_listed("", "a") && !download_host_is_listed("a,,b", ""),
	   "hosts are compared whole");
	OK(rmdir(plan->fetch_store) == 0, "nothing of it is left in the store");
}

int main(void)
{
	test_key();
	test_refusals();
	return tap_done();
}
