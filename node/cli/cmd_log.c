/* talkoo log, artifacts: what a job left, from the node's store. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/cmds.h"
#include "node/cli/nodecall.h"
#include "node/cli/writeout.h"
#include "proto/base/cleanup.h"
#include "proto/base/units.h"

#define CHUNK_SIZE (64u << 10)

struct logview {
	struct out *out;
	bool is_raw;
	struct sanitise state;
};

static bool put(struct logview *v, const uint8_t *bytes, size_t len)
{
	FILE *answer = v->out->answer;
	if (v->is_raw) {
		fwrite(bytes, 1, len, answer);
	} else {
		CLEANUP(buf_release) struct buf safe;
		buf_init(&safe, 4 * len + 16);
		sanitise_feed(&v->state, bytes, len, &safe);
		fwrite(buf_cstr(&safe), 1, safe.len, answer);
	}
	fflush(answer);
	return !ferror(answer);
}

static bool on_log_event(void *user, const json_t *event)
{
	struct logview *v = user;
	const char *base64 = jtext(event, "text_base64");
	const size_t max = strlen(base64);
	size_t len = 0;
	if (v->out->json) {
		out_json(v->out, event);
		return !ferror(v->out->answer);
	}
	CLEANUP(cleanup_free) uint8_t *bytes = malloc(max + 1);
	if (!bytes || sodium_base642bin(bytes, max, base64, max, NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL))
		return true;
	return put(v, bytes, len);
}

/* The descriptor that came with the answer, from its start. */
static int copy_log(struct logview *v, int fd, struct err *err)
{
	CLEANUP(cleanup_free) uint8_t *chunk = malloc(CHUNK_SIZE);
	if (!chunk)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (off_t at = 0;;) {
		const ssize_t got = pread(fd, chunk, CHUNK_SIZE, at);
		if (got < 0)
			return err_errno(err, errno, "cannot read the log");
		if (!got || !put(v, chunk, (size_t)got))
			return 0;
		at += got;
	}
}

static int log_as_json(struct out *o, json_t *answer, int fd, bool is_raw, struct err *err)
{
	CLEANUP(buf_release) struct buf all;
	buf_init(&all, 64u << 20);
	for (;;) {
		uint8_t *room = buf_reserve(&all, CHUNK_SIZE);
		const ssize_t got = room ? pread(fd, room, CHUNK_SIZE, (off_t)all.len) : -1;
		if (got < 0)
			return err_set(err, ERR_LIMIT, "the log is too long for one JSON object; use --raw without --json");
		if (!got)
			break;
		buf_commit(&all, (size_t)got);
	}
	if (is_raw) {
		const size_t size = sodium_base64_encoded_len(all.len, sodium_base64_VARIANT_ORIGINAL);
		CLEANUP(cleanup_free) char *text = malloc(size);
		if (!text)
			return err_set(err, ERR_NOMEM, "out of memory");
		sodium_bin2base64(text, size, (const uint8_t *)buf_cstr(&all), all.len, sodium_base64_VARIANT_ORIGINAL);
		json_object_set_new(answer, "text_base64", json_string(text));
	} else {
		CLEANUP(buf_release) struct buf safe;
		struct sanitise state;
		buf_init(&safe, 4 * all.len + 16);
		sanitise_init(&state, false);
		sanitise_feed(&state, buf_cstr(&all), all.len, &safe);
		sanitise_end(&state, &safe);
		json_object_set_new(answer, "text", json_stringn(buf_cstr(&safe), safe.len));
	}
	out_json(o, answer);
	return 0;
}

/* What is not here is got from the network: by its result's name of the file. 0: it is here now. */
static int fetch(struct cli *c, struct client *client, const char *name, struct err *err)
{
	CLEANUP(client_free_json) json_t *answer = NULL;
	json_t *request = json_pack("{s:s,s:s,s:s}", "op", "fetch", "job", cli_arg(c, 0), "name", name);
	jset_text(request, "node", cli_option(c, "node"));
	return nodecall_on(client, request, &answer, err);
}

/* The log of a job that another node runs now, until it ends; then the rest of what the result's own log says. */
static int follow_live(struct cli *c, struct client *client, struct logview *view, struct err *err)
{
	CLEANUP(client_free_json) json_t *answer = NULL;
	const struct client_call call = {.on_event = on_log_event, .user = view};
	json_t *request = json_pack("{s:s,s:s}", "op", "log.live", "job", cli_arg(c, 0));
	jset_text(request, "node", cli_option(c, "node"));
	const int code = client_call(client, request, &call, &answer, err);
	if (!code && c->out.json)
		out_json(&c->out, answer);
	return code;
}

static int ask_log(struct cli *c, struct client *client, struct logview *view, bool follows, int *ret_fd, json_t **ret, struct err *err)
{
	json_t *request = json_pack("{s:s,s:s,s:b}", "op", "log", "job", cli_arg(c, 0), "follow", (int)follows);
	jset_text(request, "node", cli_option(c, "node"));
	const struct client_call call = {.on_event = on_log_event, .user = view, .ret_fd = ret_fd};
	return client_call(client, request, &call, ret, err);
}

int cmd_log(struct cli *c, struct err *err)
{
	CLEANUP(client_close) struct client *client = NULL;
	CLEANUP(client_free_json) json_t *answer = NULL;
	CLEANUP(cleanup_fd) int fd = -1;
	const bool follows = cli_has(c, "follow");
	struct logview view = {.out = &c->out, .is_raw = cli_has(c, "raw")};
	sanitise_init(&view.state, false);
	int code = nodecall_open(c, &client, err);
	if (code)
		return code;
	code = ask_log(c, client, &view, follows, &fd, &answer, err);
	if (code == ERR_NOT_FOUND && follows && !follow_live(c, client, &view, NULL))
		return 0;
	if (code == ERR_NOT_FOUND && !fetch(c, client, "log", NULL))
		code = ask_log(c, client, &view, follows, &fd, &answer, err);
	if (code || !answer)
		return code;
	if (follows) {
		if (c->out.json)
			out_json(&c->out, answer);
		return 0;
	}
	if (fd < 0)
		return err_set(err, ERR_INVALID, "the node sent no log");
	return c->out.json ? log_as_json(&c->out, answer, fd, view.is_raw, err) : copy_log(&view, fd, err);
}

static int fetch_one(struct cli *c, struct client *client, struct writeout *to, const char *path, struct err *err)
{
	CLEANUP(client_free_json) json_t *answer = NULL;
	CLEANUP(cleanup_fd) int fd = -1;
	json_t *request = json_pack("{s:s,s:s,s:s}", "op", "artifact", "job", cli_arg(c, 0), "path", path);
	jset_text(request, "node", cli_option(c, "node"));
	const struct client_call call = {.ret_fd = &fd};
	json_t *again = json_deep_copy(request);
	char name[2048];
	int code = client_call(client, request, &call, &answer, err);
	snprintf(name, sizeof name, "artifacts/%s", path);
	if (code == ERR_NOT_FOUND && !fetch(c, client, name, NULL)) {
		code = client_call(client, again, &call, &answer, err);
		again = NULL;
	}
	json_decref(again);
	if (code)
		return code;
	if (fd < 0)
		return err_set(err, ERR_INVALID, "the node sent no file for %s", path);
	return writeout_file(to, path, fd, jnumber(answer, "size"), err);
}

int cmd_artifacts(struct cli *c, struct err *err)
{
	static const char *const columns[] = {"SIZE", "SHA256", "PATH"};
	CLEANUP(client_close) struct client *client = NULL;
	CLEANUP(client_free_json) json_t *answer = NULL;
	CLEANUP(writeout_close) struct writeout *to = NULL;
	CLEANUP(out_table_free) struct out_table *table = out_table_new(columns, ARRAY_LEN(columns));
	const char *folder = cli_option(c, "out");
	int code = nodecall_open(c, &client, err);
	if (code)
		return code;
	json_t *request = json_pack("{s:s,s:s}", "op", "artifacts", "job", cli_arg(c, 0));
	jset_text(request, "node", cli_option(c, "node"));
	code = nodecall_on(client, request, &answer, err);
	const json_t *list = json_object_get(answer, "artifacts"), *each;
	if (!code && folder && json_array_size(list))
		code = writeout_open(folder, &to, err);
	size_t i;
	json_array_foreach(list, i, each) {
		char size[UNITS_TEXT_MAX], digest[17];
		snprintf(digest, sizeof digest, "%s", jtext(each, "sha256"));
		out_table_cell(table, OUT_PLAIN, units_format_size(size, jnumber(each, "size")));
		out_table_cell(table, OUT_DIM, digest);
		out_table_cell(table, OUT_PLAIN, jtext(each, "path"));
		if (!code && to)
			code = fetch_one(c, client, to, jtext(each, "path"), err);
	}
	if (code)
		return code;
	if (c->out.json)
		out_json(&c->out, answer);
	out_table_print(table, &c->out);
	if (!json_array_size(list))
		out_note(&c->out, OUT_PLAIN, "no artifacts\n");
	else if (folder)
		out_note(&c->out, OUT_PLAIN, "%zu file%s in %s\n", json_array_size(list), json_array_size(list) == 1 ? "" : "s", folder);
	return 0;
}
