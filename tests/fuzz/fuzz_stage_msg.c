/* A stage's packet as the supervisor checks it: first byte = which stage sent it. What passes must be safe to print. */
#include <stdlib.h>
#include <string.h>

#include "runner/stage.h"
#include "tests/fuzz/fuzz.h"

static void must_be_text(const char *text, size_t size)
{
	if (!memchr(text, 0, size))
		abort();
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	/* a packet is of one size: what the fuzzer gives is its beginning, unless it is longer */
	static uint8_t packet[sizeof(struct stage_msg) + 16];
	memset(packet, 0, sizeof packet);
	const size_t given = size - 1 < sizeof packet ? size - 1 : sizeof packet;
	memcpy(packet, data + 1, given);
	struct stage_msg msg;
	const size_t len = given > sizeof msg ? given : sizeof msg;
	if (!stage_check(packet, len, (enum stage_id)(data[0] % STAGE_IDS_LEN), &msg))
		return 0;
	switch ((enum stage_msg_type)msg.type) {
	case STAGE_MSG_FAILED:
	case STAGE_MSG_GUEST_ERROR:
		must_be_text(msg.u.failed.reason, sizeof msg.u.failed.reason);
		must_be_text(msg.u.failed.hint, sizeof msg.u.failed.hint);
		break;
	case STAGE_MSG_REF_SEEN:
	case STAGE_MSG_COMMIT:
	case STAGE_MSG_NOTE:
	case STAGE_MSG_PACKAGE:
		must_be_text(msg.u.text, sizeof msg.u.text);
		break;
	case STAGE_MSG_PLAN:
		must_be_text(msg.u.plan.path, sizeof msg.u.plan.path);
		must_be_text(msg.u.plan.image, sizeof msg.u.plan.image);
		break;
	case STAGE_MSG_STEP_NAME:
		must_be_text(msg.u.step.name, sizeof msg.u.step.name);
		break;
	case STAGE_MSG_ARTIFACT:
		must_be_text(msg.u.artifact.path, sizeof msg.u.artifact.path);
		break;
	case STAGE_MSG_ACCEL:
		must_be_text(msg.u.accel.why, sizeof msg.u.accel.why);
		break;
	case STAGE_MSG_FETCH_ITEM:
		must_be_text(msg.u.fetch.url, sizeof msg.u.fetch.url);
		must_be_text(msg.u.fetch.name, sizeof msg.u.fetch.name);
		break;
	case STAGE_MSG_FETCH_GO:
	case STAGE_MSG_DEPS:
	case STAGE_MSG_SOURCE:
	case STAGE_MSG_GUEST_READY:
	case STAGE_MSG_STEP_START:
	case STAGE_MSG_STEP_END:
	case STAGE_MSG_LOG_SIZE:
	case STAGE_MSG_LOG_DONE:
	case STAGE_MSG_GUEST_STAT:
	case STAGE_MSG_GUEST_DONE:
	case STAGE_MSG_GUEST_LIMIT:
	case STAGE_MSG_NETWORK_WANTED:
	case STAGE_MSG_PROGRESS:
	case STAGE_MSG_CACHE:
	case STAGE_MSG_CACHE_TAKEN:
	case STAGE_MSG_SHELL:
		break;
	case STAGE_MSG_TYPES_LEN:
		abort();
	}
	return 0;
}
