/* talkoo image build/list/show/remove. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/cli/client.h"
#include "node/cli/cmds.h"
#include "node/cli/exitcode.h"
#include "node/cli/imageview.h"
#include "node/cli/launch.h"
#include "node/cli/workplace.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/units.h"
#include "runner/image.h"

json_t *image_to_json(const struct image *img)
{
	char ref[IMAGE_REF_MAX];
	uint64_t size = 0;
	json_t *files = json_object(), *packages = json_array();
#define X(id, value, file, key)                                                                                        \
	if (img->files[id].size_bytes)                                                                                 \
		json_object_set_new(files, file, json_pack("{s:s,s:I}", "sha256", img->files[id].sha256, "size",       \
							   (json_int_t)img->files[id].size_bytes));                    \
	size += img->files[id].size_bytes;
	IMAGE_FILES(X)
#undef X
	for (size_t i = 0; i < img->packages_len; i++)
		json_array_append_new(packages, json_string(img->packages[i]));
	snprintf(ref, sizeof ref, "%s@%s", img->name, img->version);
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:s,s:o,s:o}", "image", ref, "digest", img->digest, "arch", img->arch, "shell", img->shell,
			 "recipe", img->recipe, "size", (json_int_t)size, "folder", img->dir, "files", files, "packages", packages);
}

static uint64_t size_of(const struct image *img)
{
	uint64_t size = 0;
	for (size_t i = 0; i < IMAGE_FILES_LEN; i++)
		size += img->files[i].size_bytes;
	return size;
}

int cmd_image_list(struct cli *c, struct err *err)
{
	static const char *const columns[] = {"IMAGE", "ARCH", "SHELL", "SIZE", "DIGEST"};
	struct workplace place;
	CLEANUP(image_list_release) struct image_list list = {0};
	int code = workplace_find(c->home, &place, err);
	if (!code)
		code = image_list(place.images, &list, err);
	if (code)
		return code;
	CLEANUP(out_table_free) struct out_table *table = out_table_new(columns, ARRAY_LEN(columns));
	json_t *images = json_array();
	for (size_t i = 0; i < list.len; i++) {
		const struct image *img = &list.images[i];
		char ref[IMAGE_REF_MAX], size[UNITS_TEXT_MAX], digest[17];
		snprintf(ref, sizeof ref, "%s@%s", img->name, img->version);
		snprintf(digest, sizeof digest, "%s", img->digest);
		out_table_cell(table, OUT_BOLD, ref);
		out_table_cell(table, OUT_PLAIN, img->arch);
		out_table_cell(table, OUT_PLAIN, img->shell);
		out_table_cell(table, OUT_PLAIN, units_format_size(size, size_of(img)));
		out_table_cell(table, OUT_DIM, digest);
		json_array_append_new(images, image_to_json(img));
	}
	CLEANUP(client_free_json)
	json_t *answer = json_pack("{s:i,s:b,s:s,s:I,s:o}", "v", 1, "ok", 1, "store", place.images, "broken", (json_int_t)list.broken, "images", images);
	if (c->out.json)
		out_json(&c->out, answer);
	out_table_print(table, &c->out);
	if (list.broken)
		out_note(&c->out, OUT_WARN, "note: %zu folder%s of %s look%s like an image but %s not whole; build again or remove\n", list.broken,
			 list.broken == 1 ? "" : "s", place.images, list.broken == 1 ? "s" : "", list.broken == 1 ? "is" : "are");
	else if (!list.len)
		out_note(&c->out, OUT_PLAIN, "no images in %s: 'talkoo image build mini' makes one\n", place.images);
	return 0;
}

int cmd_image_show(struct cli *c, struct err *err)
{
	struct workplace place;
	CLEANUP(image_release) struct image img = {0};
	char size[UNITS_TEXT_MAX];
	int code = workplace_find(c->home, &place, err);
	if (!code)
		code = image_find(place.images, cli_arg(c, 0), &img, err);
	if (!code)
		code = image_verify(&img, err);
	if (code)
		return code;
	struct out *o = &c->out;
	if (o->json) {
		CLEANUP(client_free_json) json_t *answer = image_to_json(&img);
		json_object_set_new(answer, "v", json_integer(1));
		json_object_set_new(answer, "ok", json_true());
		out_json(o, answer);
		return 0;
	}
	out_print(o, OUT_BOLD, "%s@%s", img.name, img.version);
	out_print(o, OUT_PLAIN, "  %s, recipe %s, steps run under %s\n", img.arch, img.recipe, img.shell);
	out_print(o, OUT_PLAIN, "digest     %s\nfolder     %s\n", img.digest, img.dir);
#define X(id, value, file, key)                                                                                        \
	if (img.files[id].size_bytes)                                                                                  \
		out_print(o, OUT_PLAIN, "%-10s %-9s sha256 %s\n", key,                         \
			  units_format_size(size, img.files[id].size_bytes),                                           \
			  img.files[id].sha256);
	IMAGE_FILES(X)
#undef X
	out_print(o, OUT_GOOD, "ok");
	out_print(o, OUT_PLAIN, ": every file has its digest\npackages\n");
	for (size_t i = 0; i < img.packages_len; i++)
		out_print(o, OUT_PLAIN, "  %s\n", img.packages[i]);
	return 0;
}

int cmd_image_remove(struct cli *c, struct err *err)
{
	struct workplace place;
	char name[IMAGE_NAME_MAX], version[IMAGE_NAME_MAX], folder[PATH_MAX];
	const char *ref = cli_arg(c, 0);
	int code = workplace_find(c->home, &place, err);
	if (code)
		return code;
	if (!image_ref_parse(ref, name, version) || !*version) {
		err_set(err, ERR_USAGE, "%s: to remove an image give its full name, NAME@VERSION", ref);
		return err_hint(err, "'talkoo image list' shows them");
	}
	if (snprintf(folder, sizeof folder, "%s/%s@%s", place.images, name, version) >= (int)sizeof folder)
		return err_set(err, ERR_LIMIT, "%s: the path is too long", place.images);
	if (access(folder, F_OK)) {
		err_set(err, ERR_NOT_FOUND, "%s: no such image in %s", ref, place.images);
		return err_hint(err, "'talkoo image list' shows them");
	}
	code = io_remove_tree(folder, err);
	if (code)
		return code;
	CLEANUP(client_free_json) json_t *answer = json_pack("{s:i,s:b,s:s}", "v", 1, "ok", 1, "removed", ref);
	if (c->out.json)
		out_json(&c->out, answer);
	out_print(&c->out, OUT_PLAIN, "removed %s\n", ref);
	return 0;
}

/* The recipe's script: its stdout (nothing, or what tools print) joins its progress on our stderr. Returns its exit code. */
static int run_script(const char *script, const char *recipe, const char *store, struct err *err)
{
	const pid_t pid = fork();
	int status;
	if (pid < 0)
		return err_errno(err, errno, "cannot start %s", script);
	if (!pid) {
		char runner[PATH_MAX];
		if (!launch_find_program("talkoo-init", runner, NULL)) {
			*strrchr(runner, '/') = 0;
			setenv("TALKOO_LIBEXECDIR", runner, 1);
		}
		dup2(STDERR_FILENO, STDOUT_FILENO);
		signal(SIGPIPE, SIG_DFL);
		execl(script, script, recipe, store, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, errno, "cannot wait for %s", script);
	if (!WIFEXITED(status))
		return err_set(err, ERR_IO, "the image was not built: %s ended with signal %d", script, WTERMSIG(status));
	return WEXITSTATUS(status);
}

int cmd_image_build(struct cli *c, struct err *err)
{
	struct workplace place;
	char script[PATH_MAX];
	const char *recipe = cli_arg(c, 0);
	CLEANUP(image_release) struct image img = {0};
	if (!image_ref_parse(recipe, NULL, NULL) || strchr(recipe, '@'))
		return err_set(err, ERR_USAGE, "%s: not a recipe's name", recipe);
	int code = workplace_find(c->home, &place, err);
	if (!code)
		code = launch_find_data("images/build.sh", script, err);
	if (!code)
		code = io_mkdirs(place.images, 0755, err);
	if (!code)
		code = run_script(script, recipe, place.images, err);
	if (code > 0 && c->out.json)
		code = err_set(err, code == EXITCODE_NO_SUCH ? ERR_NOT_FOUND : ERR_IO, "the image %s was not built", recipe);
	if (!code)
		code = image_find(place.images, recipe, &img, err);
	if (code) /* the script has said why, and has exit codes of our table */
		return code > EXITCODE_NO_SUCH ? EXITCODE_OWN : code;
	image_is_made(c, &place, &img);
	return 0;
}
