#include "runner/stage.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/sanitise.h"
#include "runner/frames.h"

const char *stage_name(enum stage_id id)
{
	switch (id) {
#define X(name, value, text)                                                                                           \
	case name:                                                                                                     \
		return text;
		STAGES(X)
#undef X
	case STAGE_IDS_LEN:
		break;
	}
	return "unknown";
}

int stage_send(int msg_fd, const struct stage_msg *msg, struct err *err)
{
	ssize_t sent;
	do
		sent = send(msg_fd, msg, sizeof *msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent != (ssize_t)sizeof *msg)
		return err_errno(err, errno, "cannot reach the supervisor");
	return 0;
}

int stage_fail(int msg_fd, enum job_outcome outcome, const char *hint, const char *fmt, ...)
{
	struct stage_msg msg = {.type = STAGE_MSG_FAILED, .u.failed.outcome = outcome};
	va_list args;
	va_start(args, fmt);
	vsnprintf(msg.u.failed.reason, sizeof msg.u.failed.reason, fmt, args);
	va_end(args);
	if (hint)
		snprintf(msg.u.failed.hint, sizeof msg.u.failed.hint, "%s", hint);
	/* without a supervisor there is nobody to tell; the status alone then says "crash" */
	return stage_send(msg_fd, &msg, NULL) == 0 ? 1 : 2;
}

/* the receiving side */

/* Ends a text that may lack its 0 and makes it safe for one line, in place. */
static void clean(char *text, size_t size)
{
	char copy[1024];
	_Static_assert(sizeof copy >= JOB_REASON_MAX && sizeof copy >= sizeof ((struct job_artifact *)0)->path, "copy");
	text[size - 1] = '\0';
	snprintf(copy, sizeof copy, "%s", text);
	sanitise_line(text, size, copy);
}

static bool digest_ok(struct job_digest *d)
{
	d->sha256[sizeof d->sha256 - 1] = d->root[sizeof d->root - 1] = '\0';
	return hex_is_digits(d->sha256, 64, 64) && hex_is_digits(d->root, 64, 64);
}

static bool failed_ok(struct stage_msg *m)
{
	clean(m->u.failed.reason, sizeof m->u.failed.reason);
	clean(m->u.failed.hint, sizeof m->u.failed.hint);
	/* a stage may say that the job is refused, or that it cannot be done; never how the project fared */
	return m->u.failed.outcome == JOB_ERROR || m->u.failed.outcome == JOB_REFUSED;
}

static bool text_ok(struct stage_msg *m)
{
	clean(m->u.text, sizeof m->u.text);
	return true;
}

static bool ref_ok(struct stage_msg *m)
{
	clean(m->u.text, sizeof m->u.text);
	return strlen(m->u.text) < sizeof ((struct job_report *)0)->ref_seen;
}

static bool commit_ok(struct stage_msg *m)
{
	m->u.text[sizeof m->u.text - 1] = '\0';
	return hex_is_digits(m->u.text, 40, 40) || hex_is_digits(m->u.text, 64, 64);
}

static bool plan_ok(struct stage_msg *m)
{
	clean(m->u.plan.path, sizeof m->u.plan.path);
	clean(m->u.plan.format, sizeof m->u.plan.format);
	clean(m->u.plan.image, sizeof m->u.plan.image);
	m->u.plan.sha256[sizeof m->u.plan.sha256 - 1] = '\0';
	return (m->u.plan.sha256[0] == '\0' || hex_is_digits(m->u.plan.sha256, 64, 64)) &&
	       m->u.plan.origin >= JOB_ORIGIN_TREE && m->u.plan.any_order <= 1 && m->u.plan.has_cache <= 1 &&
	       m->u.plan.origin <= JOB_ORIGIN_INLINE && m->u.plan.steps >= 1 && m->u.plan.steps <= JOB_STEPS_MAX;
}

static bool step_ok(struct stage_msg *m)
{
	clean(m->u.step.name, sizeof m->u.step.name);
	return m->u.step.index < JOB_STEPS_MAX && m->u.step.exit_code >= 0 && m->u.step.exit_code <= 255 && m->u.step.on_failure <= 1;
}

static bool limit_ok(struct stage_msg *m)
{
	return step_ok(m) && m->u.step.exit_code >= GUEST_LIMIT_MEMORY && m->u.step.exit_code <= GUEST_LIMIT_TIME;
}

static bool fetch_ok(struct stage_msg *m)
{
	char url[sizeof m->u.fetch.url], name[sizeof m->u.fetch.name];
	m->u.fetch.sha256[sizeof m->u.fetch.sha256 - 1] = m->u.fetch.url[sizeof url - 1] = m->u.fetch.name[sizeof name - 1] = '\0';
	memcpy(url, m->u.fetch.url, sizeof url);
	memcpy(name, m->u.fetch.name, sizeof name);
	clean(m->u.fetch.url, sizeof m->u.fetch.url);
	clean(m->u.fetch.name, sizeof m->u.fetch.name);
	return url[0] && name[0] && name[0] != '/' && !strcmp(url, m->u.fetch.url) && !strcmp(name, m->u.fetch.name) &&
	       (!m->u.fetch.sha256[0] || hex_is_digits(m->u.fetch.sha256, 64, 64));
}

static bool source_ok(struct stage_msg *m)
{
	return digest_ok(&m->u.digest.digest);
}

static bool artifact_ok(struct stage_msg *m)
{
	/* a path is compared and published: it must come as it is, or not at all */
	char given[sizeof m->u.artifact.path];
	m->u.artifact.path[sizeof m->u.artifact.path - 1] = '\0';
	memcpy(given, m->u.artifact.path, sizeof given);
	clean(m->u.artifact.path, sizeof m->u.artifact.path);
	return given[0] != '\0' && given[0] != '/' && !strcmp(given, m->u.artifact.path) &&
	       digest_ok(&m->u.artifact.digest);
}

static bool accel_ok(struct stage_msg *m)
{
	clean(m->u.accel.why, sizeof m->u.accel.why);
	clean(m->u.accel.hint, sizeof m->u.accel.hint);
	return m->u.accel.accel == JOB_ACCEL_KVM || m->u.accel.accel == JOB_ACCEL_TCG;
}

static bool done_ok(struct stage_msg *m)
{
	return m->u.done.is_partial <= 1;
}

static bool plain_ok(struct stage_msg *m)
{
	(void)m;
	return true;
}

#define FROM(stage) (1u << (stage))
#define FROM_ALL (~0u)

static const struct msg_rule {
	unsigned from;
	bool (*is_ok)(struct stage_msg *m);
} msg_rules[STAGE_MSG_TYPES_LEN] = {
	[STAGE_MSG_FAILED] = {FROM_ALL, failed_ok},
	[STAGE_MSG_REF_SEEN] = {FROM(STAGE_FETCH), ref_ok},
	[STAGE_MSG_COMMIT] = {FROM(STAGE_FETCH), commit_ok},
	[STAGE_MSG_PROGRESS] = {FROM(STAGE_FETCH) | FROM(STAGE_GET), plain_ok},
	[STAGE_MSG_FETCH_ITEM] = {FROM(STAGE_PACK), fetch_ok},
	[STAGE_MSG_DEPS] = {FROM(STAGE_GET), source_ok},
	[STAGE_MSG_PLAN] = {FROM(STAGE_PACK), plan_ok},
	[STAGE_MSG_STEP_NAME] = {FROM(STAGE_PACK), step_ok},
	[STAGE_MSG_SOURCE] = {FROM(STAGE_PACK), source_ok},
	[STAGE_MSG_ACCEL] = {FROM(STAGE_ACCEL), accel_ok},
	[STAGE_MSG_PACKAGE] = {FROM(STAGE_PACK), text_ok},
	[STAGE_MSG_CACHE] = {FROM(STAGE_LOG), plain_ok},
	[STAGE_MSG_CACHE_TAKEN] = {FROM(STAGE_COLLECT), plain_ok},
	[STAGE_MSG_GUEST_READY] = {FROM(STAGE_LOG), plain_ok},
	[STAGE_MSG_STEP_START] = {FROM(STAGE_LOG), step_ok},
	[STAGE_MSG_STEP_END] = {FROM(STAGE_LOG), step_ok},
	[STAGE_MSG_LOG_SIZE] = {FROM(STAGE_LOG), plain_ok},
	[STAGE_MSG_LOG_DONE] = {FROM(STAGE_LOG), source_ok},
	[STAGE_MSG_GUEST_STAT] = {FROM(STAGE_LOG), plain_ok},
	[STAGE_MSG_GUEST_DONE] = {FROM(STAGE_LOG), done_ok},
	[STAGE_MSG_GUEST_ERROR] = {FROM(STAGE_LOG), failed_ok},
	[STAGE_MSG_NETWORK_WANTED] = {FROM(STAGE_LOG), step_ok},
	[STAGE_MSG_GUEST_LIMIT] = {FROM(STAGE_LOG), limit_ok},
	[STAGE_MSG_SHELL] = {FROM(STAGE_LOG), plain_ok},
	[STAGE_MSG_ARTIFACT] = {FROM(STAGE_COLLECT), artifact_ok},
	[STAGE_MSG_NOTE] = {FROM_ALL, text_ok},
};

bool stage_check(const void *packet, size_t len, enum stage_id from, struct stage_msg *ret)
{
	struct stage_msg m;
	if (len != sizeof m)
		return false;
	memcpy(&m, packet, sizeof m);
	if (m.type >= STAGE_MSG_TYPES_LEN || !msg_rules[m.type].is_ok || !(msg_rules[m.type].from & FROM(from)))
		return false;
	if (!msg_rules[m.type].is_ok(&m))
		return false;
	*ret = m;
	return true;
}

enum stage_recv stage_recv(int msg_fd, enum stage_id from, struct stage_msg *ret)
{
	/* one byte more than a message, so that a longer packet shows */
	uint8_t packet[sizeof *ret + 1];
	ssize_t len;
	do
		len = recv(msg_fd, packet, sizeof packet, MSG_DONTWAIT);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? STAGE_RECV_NOTHING : STAGE_RECV_END;
	if (len == 0)
		return STAGE_RECV_END;
	return stage_check(packet, (size_t)len, from, ret) ? STAGE_RECV_MSG : STAGE_RECV_BROKEN;
}
