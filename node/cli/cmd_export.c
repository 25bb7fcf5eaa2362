/* talkoo export: signed results for other tools. */
#include <stdlib.h>
#include <string.h>

#include "node/cli/bundle.h"
#include "node/cli/cmds.h"
#include "node/cli/nodecall.h"
#include "node/cli/resolve.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"

static int find_request(struct cli *c, struct client *client, json_t **ret, struct err *err)
{
	struct resolve_target target;
	char project[LINK_TEXT_MAX], id[ID32_TEXT_MAX];
	const char *text = cli_arg(c, 0), *named = cli_option(c, "project");
	int code = resolve_target(client, text, &target, err);
	if (code)
		return code;
	/* 64 digits that are no job's are a result's: a commit has 40 of them */
	const bool is_result = !target.is_job && strlen(target.id) == 64;
	json_t *request = json_pack("{s:s,s:s}", "op", "export", target.is_job ? "job" : is_result ? "result" : "commit", target.id);
	if (named || (!target.is_job && !is_result)) {
		code = resolve_project(client, named, RESOLVE_READ, project, named ? err : NULL);
		if (!code)
			code = resolve_project_id(project, id, err);
		if (!code)
			jset_text(request, "project", id);
		else if (!named)
			code = 0;
	}
	if (code)
		json_decref(request);
	else
		*ret = request;
	return code;
}

static int write_parts(struct cli *c, const json_t *list, const char *folder, struct err *err)
{
	size_t i;
	const json_t *each;
	int code = 0;
	json_array_foreach(list, i, each) {
		CLEANUP(bundle_signed_release) struct bundle_signed s = {0};
		char below[PATH_MAX];
		const json_t *envelope = bundle_envelope(each);
		if (!envelope)
			return err_set(err, ERR_INVALID, "the node's answer has no envelope");
		code = bundle_open(envelope, &s, err);
		/* one result: the folder itself; several: a folder each */
		if (json_array_size(list) == 1)
			snprintf(below, sizeof below, "%s", folder);
		else
			snprintf(below, sizeof below, "%s/%.16s", folder, jtext(each, "result"));
		if (!code)
			code = bundle_write_parts(&s, below, err);
		if (code)
			return code;
		out_note(&c->out, OUT_PLAIN, "openssl pkeyutl -verify -pubin -inkey %s/key.pem -rawin -in %s/pae -sigfile %s/signature\n", below, below,
			 below);
	}
	return 0;
}

static int write_text(struct cli *c, const json_t *list, enum bundle_format format, struct err *err)
{
	const char *file = cli_option(c, "out");
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, BUNDLE_FILE_MAX);
	size_t i;
	const json_t *each;
	json_array_foreach(list, i, each) {
		const json_t *envelope = bundle_envelope(each);
		CLEANUP(client_free_json) json_t *shown = NULL;
		if (envelope)
			shown = format == BUNDLE_SIGSTORE ? bundle_sigstore(envelope) : bundle_bare(envelope);
		CLEANUP(cleanup_free) char *line = json_dumps(shown, JSON_COMPACT);
		if (!line)
			return err_set(err, ERR_INVALID, "the node's answer has no envelope");
		buf_printf(&text, "%s\n", line);
	}
	int code = buf_check(&text, "the export", err);
	if (code)
		return code;
	if (!file) {
		fwrite(text.data, 1, text.len, c->out.answer);
		return 0;
	}
	code = io_replace_file(file, text.data, text.len, 0644, err);
	if (!code)
		out_note(&c->out, OUT_PLAIN, "%zu signed result%s in %s\n", json_array_size(list), json_array_size(list) == 1 ? "" : "s", file);
	return code;
}

int cmd_export(struct cli *c, struct err *err)
{
	CLEANUP(client_close) struct client *client = NULL;
	CLEANUP(client_free_json) json_t *answer = NULL;
	enum bundle_format format = BUNDLE_DSSE;
	const char *named = cli_option(c, "format"), *parts = cli_option(c, "parts");
	json_t *request = NULL;
	if (named && !bundle_format_parse(named, &format)) {
		err_set(err, ERR_USAGE, "--format %s: no such format", named);
		return err_hint(err, "dsse, jsonl or sigstore");
	}
	int code = nodecall_open(c, &client, err);
	if (!code)
		code = find_request(c, client, &request, err);
	if (!code)
		code = nodecall_on(client, request, &answer, err);
	if (code)
		return code;
	const json_t *list = json_object_get(answer, "envelopes");
	if (!json_array_size(list)) {
		err_set(err, ERR_NOT_FOUND, "%s has no signed result yet", cli_arg(c, 0));
		return err_hint(err, "'talkoo results %s' shows where it stands; errors and refusals are not signed results", cli_arg(c, 0));
	}
	if (c->out.json && !parts && !cli_option(c, "out")) {
		out_json(&c->out, answer);
		return 0;
	}
	code = parts ? write_parts(c, list, parts, err) : write_text(c, list, format, err);
	if (!code && c->out.json) {
		CLEANUP(client_free_json)
		json_t *written = json_pack("{s:i,s:b,s:I,s:s}", "v", 1, "ok", 1, "results", (json_int_t)json_array_size(list),
					    parts ? "parts" : "file", parts ? parts : cli_option(c, "out"));
		out_json(&c->out, written);
	}
	return code;
}
