/* What a stage may say to the supervisor, and what it may not: a stage may have been taken over by its input. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "runner/frames.h"
#include "runner/stage.h"
#include "tests/unit/tap.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST {.sha256 = HEX64, .root = HEX64, .size_bytes = 5}

static const struct {
	const char *name;
	enum stage_id from;
	bool is_good;
	struct stage_msg msg;
} cases[] = {
	{"refused", STAGE_PACK, true, {.type = STAGE_MSG_FAILED, .u.failed = {.outcome = JOB_REFUSED, .reason = "no plan"}}},
	{"error", STAGE_FETCH, true, {.type = STAGE_MSG_FAILED, .u.failed = {.outcome = JOB_ERROR}}},
	{"a stage says passed", STAGE_LOG, false, {.type = STAGE_MSG_FAILED, .u.failed = {.outcome = JOB_PASSED}}},
	{"a stage says failed", STAGE_LOG, false, {.type = STAGE_MSG_FAILED, .u.failed = {.outcome = JOB_FAILED}}},
	{"a stage says timeout", STAGE_LOG, false, {.type = STAGE_MSG_FAILED, .u.failed = {.outcome = JOB_TIMEOUT}}},
	{"outcome 0", STAGE_LOG, false, {.type = STAGE_MSG_FAILED}},
	{"outcome 99", STAGE_LOG, false, {.type = STAGE_MSG_FAILED, .u.failed = {.outcome = 99}}},
	{"type 0", STAGE_LOG, false, {.type = 0}},
	{"type past the last", STAGE_LOG, false, {.type = STAGE_MSG_TYPES_LEN}},
	{"type 2^32-1", STAGE_LOG, false, {.type = 0xffffffff}},

	{"a ref", STAGE_FETCH, true, {.type = STAGE_MSG_REF_SEEN, .u.text = "refs/heads/main"}},
	{"a ref from pack", STAGE_PACK, false, {.type = STAGE_MSG_REF_SEEN, .u.text = "refs/heads/main"}},
	{"a commit", STAGE_FETCH, true, {.type = STAGE_MSG_COMMIT, .u.text = "0123456789abcdef0123456789abcdef01234567"}},
	{"a short commit", STAGE_FETCH, false, {.type = STAGE_MSG_COMMIT, .u.text = "0123456"}},
	{"a commit that is none", STAGE_FETCH, false, {.type = STAGE_MSG_COMMIT, .u.text = "0123456789abcdef0123456789abcdef0123456g"}},

	{"a plan", STAGE_PACK, true, {.type = STAGE_MSG_PLAN, .u.plan = {.sha256 = HEX64, .origin = JOB_ORIGIN_TREE, .steps = 1}}},
	{"a plan without a digest", STAGE_PACK, true, {.type = STAGE_MSG_PLAN, .u.plan = {.origin = JOB_ORIGIN_INLINE, .steps = 256}}},
	{"a plan from the guest", STAGE_LOG, false, {.type = STAGE_MSG_PLAN, .u.plan = {.origin = JOB_ORIGIN_TREE, .steps = 1}}},
	{"a plan of no steps", STAGE_PACK, false, {.type = STAGE_MSG_PLAN, .u.plan = {.origin = JOB_ORIGIN_TREE}}},
	{"a plan of 257 steps", STAGE_PACK, false, {.type = STAGE_MSG_PLAN, .u.plan = {.origin = JOB_ORIGIN_TREE, .steps = 257}}},
	{"a plan of no origin", STAGE_PACK, false, {.type = STAGE_MSG_PLAN, .u.plan = {.steps = 1}}},
	{"a plan of origin 4", STAGE_PACK, false, {.type = STAGE_MSG_PLAN, .u.plan = {.origin = 4, .steps = 1}}},
	{"a plan with a bad digest", STAGE_PACK, false, {.type = STAGE_MSG_PLAN, .u.plan = {.sha256 = "abc", .origin = 1, .steps = 1}}},

	{"a step's name", STAGE_PACK, true, {.type = STAGE_MSG_STEP_NAME, .u.step = {.index = 255, .name = "build"}}},
	{"step 256", STAGE_PACK, false, {.type = STAGE_MSG_STEP_NAME, .u.step = {.index = 256, .name = "build"}}},
	{"a step's end", STAGE_LOG, true, {.type = STAGE_MSG_STEP_END, .u.step = {.index = 0, .exit_code = 255}}},
	{"exit code 256", STAGE_LOG, false, {.type = STAGE_MSG_STEP_END, .u.step = {.index = 0, .exit_code = 256}}},
	{"exit code -1", STAGE_LOG, false, {.type = STAGE_MSG_STEP_END, .u.step = {.index = 0, .exit_code = -1}}},
	{"a step's end from pack", STAGE_PACK, false, {.type = STAGE_MSG_STEP_END, .u.step = {.index = 0}}},
	{"a limit", STAGE_LOG, true, {.type = STAGE_MSG_GUEST_LIMIT, .u.step = {.exit_code = GUEST_LIMIT_DISK}}},
	{"a network wanted", STAGE_LOG, true, {.type = STAGE_MSG_NETWORK_WANTED, .u.step = {.index = 1}}},
	{"a network wanted, says pack", STAGE_PACK, false, {.type = STAGE_MSG_NETWORK_WANTED}},
	{"a limit of time", STAGE_LOG, true, {.type = STAGE_MSG_GUEST_LIMIT, .u.step = {.exit_code = GUEST_LIMIT_TIME}}},
	{"on failure 2", STAGE_PACK, false, {.type = STAGE_MSG_STEP_NAME, .u.step = {.on_failure = 2}}},
	{"any order 2", STAGE_PACK, false, {.type = STAGE_MSG_PLAN, .u.plan = {.origin = JOB_ORIGIN_TREE, .steps = 1, .any_order = 2}}},
	{"an unknown limit", STAGE_LOG, false, {.type = STAGE_MSG_GUEST_LIMIT, .u.step = {.exit_code = 9}}},

	{"a source", STAGE_PACK, true, {.type = STAGE_MSG_SOURCE, .u.digest.digest = DIGEST}},
	{"a source without digests", STAGE_PACK, false, {.type = STAGE_MSG_SOURCE}},
	{"a log", STAGE_LOG, true, {.type = STAGE_MSG_LOG_DONE, .u.digest = {.digest = DIGEST, .truncated = 7}}},
	{"an artifact", STAGE_COLLECT, true, {.type = STAGE_MSG_ARTIFACT, .u.artifact = {.path = "out/a b.txt", .digest = DIGEST}}},
	{"an artifact from the log stage", STAGE_LOG, false, {.type = STAGE_MSG_ARTIFACT, .u.artifact = {.path = "a", .digest = DIGEST}}},
	{"an artifact without a name", STAGE_COLLECT, false, {.type = STAGE_MSG_ARTIFACT, .u.artifact = {.digest = DIGEST}}},
	{"an absolute artifact", STAGE_COLLECT, false, {.type = STAGE_MSG_ARTIFACT, .u.artifact = {.path = "/etc/passwd", .digest = DIGEST}}},
	{"an artifact with an escape", STAGE_COLLECT, false, {.type = STAGE_MSG_ARTIFACT, .u.artifact = {.path = "a\033[2J", .digest = DIGEST}}},
	{"an artifact of two lines", STAGE_COLLECT, false, {.type = STAGE_MSG_ARTIFACT, .u.artifact = {.path = "a\nb", .digest = DIGEST}}},
	{"an artifact that is not UTF-8", STAGE_COLLECT, false, {.type = STAGE_MSG_ARTIFACT, .u.artifact = {.path = "a\xff", .digest = DIGEST}}},

	{"kvm", STAGE_ACCEL, true, {.type = STAGE_MSG_ACCEL, .u.accel.accel = JOB_ACCEL_KVM}},
	{"auto is no answer", STAGE_ACCEL, false, {.type = STAGE_MSG_ACCEL, .u.accel.accel = JOB_ACCEL_AUTO}},
	{"QEMU says it is kvm", STAGE_VM, false, {.type = STAGE_MSG_ACCEL, .u.accel.accel = JOB_ACCEL_KVM}},
	{"QEMU says it is done", STAGE_VM, false, {.type = STAGE_MSG_GUEST_DONE}},
	{"done", STAGE_LOG, true, {.type = STAGE_MSG_GUEST_DONE, .u.done = {1024, 1}}},
	{"done, in a third way", STAGE_LOG, false, {.type = STAGE_MSG_GUEST_DONE, .u.done = {1024, 2}}},
	{"a note from anybody", STAGE_VM, true, {.type = STAGE_MSG_NOTE, .u.text = "so"}},
};

static void test_table(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct stage_msg got;
		OK(stage_check(&cases[i].msg, sizeof cases[i].msg, cases[i].from, &got) == cases[i].is_good, "%s is %s", cases[i].name,
		   cases[i].is_good ? "taken" : "refused");
	}
}

static void test_sizes(void)
{
	struct stage_msg msg[2] = {{.type = STAGE_MSG_GUEST_READY}}, got;
	OK(stage_check(msg, sizeof *msg, STAGE_LOG, &got), "the very size");
	OK(!stage_check(msg, sizeof *msg - 1, STAGE_LOG, &got), "a byte short");
	OK(!stage_check(msg, sizeof *msg + 1, STAGE_LOG, &got), "a byte long");
	OK(!stage_check(msg, 0, STAGE_LOG, &got), "empty");
}

/* Texts without an end, and texts that would speak to a terminal. */
static void test_texts(void)
{
	struct stage_msg msg = {.type = STAGE_MSG_NOTE}, got;
	memset(msg.u.text, 'a', sizeof msg.u.text);
	OK(stage_check(&msg, sizeof msg, STAGE_PACK, &got) && strlen(got.u.text) == sizeof got.u.text - 1, "an endless text is ended");
	msg = (struct stage_msg){.type = STAGE_MSG_FAILED, .u.failed = {.outcome = JOB_ERROR, .reason = "a\033]0;x\a\nb"}};
	memset(msg.u.failed.hint, 0xff, sizeof msg.u.failed.hint);
	OK(stage_check(&msg, sizeof msg, STAGE_PACK, &got), "a reason with controls is taken");
	OK(!strchr(got.u.failed.reason, '\033') && !strchr(got.u.failed.reason, '\n') && !strchr(got.u.failed.reason, '\a'),
	   "without them");
	OK(memchr(got.u.failed.hint, 0, sizeof got.u.failed.hint) != NULL, "an endless hint is ended");
	memset(&msg, 0xff, sizeof msg);
	msg.type = STAGE_MSG_REF_SEEN;
	OK(!stage_check(&msg, sizeof msg, STAGE_FETCH, &got), "a ref over its room");
}

static void test_socket(void)
{
	int pair[2];
	OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0, "socketpair");
	struct stage_msg got;
	INTEQ(stage_recv(pair[0], STAGE_PACK, &got), STAGE_RECV_NOTHING);
	INTEQ(stage_fail(pair[1], JOB_REFUSED, "write one", "there is no %s", "plan"), 1);
	INTEQ(stage_recv(pair[0], STAGE_PACK, &got), STAGE_RECV_MSG);
	STREQ(got.u.failed.reason, "there is no plan");
	STREQ(got.u.failed.hint, "write one");
	OK(send(pair[1], "x", 1, 0) == 1, "a short packet");
	INTEQ(stage_recv(pair[0], STAGE_PACK, &got), STAGE_RECV_BROKEN);
	static const uint8_t large[sizeof got + 100];
	OK(send(pair[1], large, sizeof large, 0) == (ssize_t)sizeof large, "a long packet");
	INTEQ(stage_recv(pair[0], STAGE_PACK, &got), STAGE_RECV_BROKEN);
	close(pair[1]);
	INTEQ(stage_recv(pair[0], STAGE_PACK, &got), STAGE_RECV_END);
	close(pair[0]);
}

static void test_names(void)
{
	STREQ(stage_name(STAGE_COLLECT), "collect");
	STREQ(stage_name((enum stage_id)0), "unknown");
	STREQ(stage_name(STAGE_IDS_LEN), "unknown");
}

int main(void)
{
	test_table();
	test_sizes();
	test_texts();
	test_socket();
	test_names();
	return tap_done();
}
