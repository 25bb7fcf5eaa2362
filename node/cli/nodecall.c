#include "node/cli/nodecall.h"

#include <string.h>
#include <time.h>

#include "proto/base/cleanup.h"
#include "proto/base/units.h"

int nodecall_open(const struct cli *c, struct client **ret, struct err *err)
{
	struct home home;
	const int code = home_find(c->home, &home, err);
	return code ? code : client_open(&home, ret, err);
}

int nodecall_on(struct client *client, json_t *request, json_t **ret_answer, struct err *err)
{
	if (!request)
		return err_set(err, ERR_USAGE, "an argument is not UTF-8 text");
	return client_call(client, request, NULL, ret_answer, err);
}

int nodecall(const struct cli *c, json_t *request, json_t **ret_answer, struct err *err)
{
	CLEANUP(client_close) struct client *client = NULL;
	const int code = nodecall_open(c, &client, err);
	if (code) {
		json_decref(request);
		return code;
	}
	return nodecall_on(client, request, ret_answer, err);
}

int nodecall_shown(struct cli *c, json_t *request, json_t **ret_answer, struct err *err)
{
	CLEANUP(client_free_json) json_t *answer = NULL;
	const int code = nodecall(c, request, &answer, err);
	if (code)
		return code;
	if (c->out.json) {
		out_json(&c->out, answer);
		*ret_answer = NULL;
		return 0;
	}
	*ret_answer = answer;
	answer = NULL;
	return 0;
}

void jset_text(json_t *object, const char *key, const char *text)
{
	if (text)
		json_object_set_new(object, key, json_string(text));
}

void jset_number(json_t *object, const char *key, uint64_t number)
{
	if (number)
		json_object_set_new(object, key, json_integer((json_int_t)number));
}

const char *short_node(char out[16], const char *id)
{
	const char *key = strncmp(id, "did:key:", 8) ? id : id + 8;
	snprintf(out, 16, "%.12s", key);
	return out;
}

const char *time_ago(char *out, const char *rfc3339)
{
	uint64_t at_ms;
	char span[UNITS_TEXT_MAX];
	if (!units_parse_time(rfc3339, &at_ms)) {
		snprintf(out, UNITS_TEXT_MAX + 8, "%.30s", rfc3339);
		return out;
	}
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	const uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	if (at_ms > now_ms)
		snprintf(out, UNITS_TEXT_MAX + 8, "in %s", units_format_duration(span, at_ms - now_ms));
	else
		snprintf(out, UNITS_TEXT_MAX + 8, "%s ago", units_format_duration(span, now_ms - at_ms));
	return out;
}
