/* talkoo image import/prune. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/cli/client.h"
#include "node/cli/cmds.h"
#include "node/cli/imageview.h"
#include "node/cli/launch.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/units.h"
#include "runner/imageprune.h"

#define BASE_IMAGE "mini"
#define IMPORT_RECIPE "import"
#define MAX_SIZE_DEFAULT (16ull << 30)

/* Removes down to the cap and says what went. Returns what the rest takes. */
static int prune(struct cli *c, const struct workplace *place, uint64_t cap_bytes, const char *keep, struct image_pruned *ret, struct err *err)
{
	char cap[UNITS_TEXT_MAX];
	const int code = image_prune(place->images, cap_bytes, keep, ret, err);
	for (size_t i = 0; i < ret->len; i++)
		out_note(&c->out, OUT_WARN, "note: removed %s, not used for longest: the cap on images is %s\n", ret->names[i], units_format_size(cap, cap_bytes));
	return code;
}

void image_is_made(struct cli *c, const struct workplace *place, const struct image *img)
{
	char ref[IMAGE_REF_MAX];
	struct image_pruned pruned = {0};
	struct err err = {0};
	snprintf(ref, sizeof ref, "%s@%s", img->name, img->version);
	image_touch(img);
	if (prune(c, place, place->images_cap_bytes, ref, &pruned, &err)) /* the new one is there all the same */
		out_note(&c->out, OUT_WARN, "note: %s\n", err.what);
	if (c->out.json) {
		CLEANUP(client_free_json) json_t *answer = image_to_json(img);
		json_object_set_new(answer, "v", json_integer(1));
		json_object_set_new(answer, "ok", json_true());
		out_json(&c->out, answer);
		return;
	}
	out_print(&c->out, OUT_PLAIN, "%s\n", ref);
}

int cmd_image_prune(struct cli *c, struct err *err)
{
	struct workplace place;
	const char *const asked = cli_option(c, "cap");
	int code = workplace_find(c->home, &place, err);
	if (code)
		return code;
	uint64_t cap = place.images_cap_bytes;
	if (asked && !units_parse_size(asked, &cap))
		return err_set(err, ERR_USAGE, "--cap: %s is no size, such as 2G", asked);
	struct image_pruned pruned = {0};
	code = prune(c, &place, cap, NULL, &pruned, err);
	if (code)
		return code;
	json_t *removed = json_array();
	for (size_t i = 0; i < pruned.len; i++)
		json_array_append_new(removed, json_string(pruned.names[i]));
	CLEANUP(client_free_json)
	json_t *answer = json_pack("{s:i,s:b,s:o,s:I,s:I}", "v", 1, "ok", 1, "removed", removed, "used_bytes", (json_int_t)pruned.left_bytes,
				   "cap_bytes", (json_int_t)cap);
	char used[UNITS_TEXT_MAX], text[UNITS_TEXT_MAX];
	if (c->out.json)
		out_json(&c->out, answer);
	else
		out_print(&c->out, OUT_PLAIN, "images use %s of %s\n", units_format_size(used, pruned.left_bytes), units_format_size(text, cap));
	return 0;
}

/* What is asked for. */
struct import {
	char from[PATH_MAX], name[IMAGE_NAME_MAX], version[IMAGE_NAME_MAX];
	const char *format;
	uint64_t max_bytes;
};

/* The file's name without its ending, as image names are written. */
static void name_of_file(const char *path, char name[IMAGE_NAME_MAX])
{
	const char *const slash = strrchr(path, '/');
	snprintf(name, IMAGE_NAME_MAX, "%s", slash ? slash + 1 : path);
	char *const dot = strrchr(name, '.');
	if (dot && dot != name)
		*dot = 0;
	for (char *p = name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
}

static int read_arguments(struct cli *c, struct import *im, struct err *err)
{
	char from_file[IMAGE_NAME_MAX];
	const char *name = cli_option(c, "name"), *const max = cli_option(c, "max-size"), *const file = cli_arg(c, 0);
	if (!realpath(file, im->from))
		return err_errno(err, errno, "cannot open %s", file);
	if (!name) {
		name_of_file(im->from, from_file);
		name = from_file;
	}
	if (!image_ref_parse(name, im->name, im->version)) {
		err_set(err, ERR_USAGE, "%s is no image's name", name);
		return err_hint(err, "give it one with --name: small letters, digits and ._+-"), ERR_USAGE;
	}
	if (!im->version[0])
		strcpy(im->version, "1");
	im->max_bytes = MAX_SIZE_DEFAULT;
	if (max && (!units_parse_size(max, &im->max_bytes) || !im->max_bytes))
		return err_set(err, ERR_USAGE, "--max-size: %s is no size, such as 16G", max);
	im->format = cli_option(c, "format");
	if (im->format && strcmp(im->format, "qcow2") && strcmp(im->format, "raw"))
		return err_set(err, ERR_USAGE, "--format: %s is neither qcow2 nor raw", im->format);
	return 0;
}

/* By the file's name, never by its bytes: whoever made a raw disk could have begun it as a qcow2. */
static const char *format_of_name(const char *path)
{
	const size_t len = strlen(path);
	static const char *const endings[][2] = {{".qcow2", "qcow2"}, {".raw", "raw"}};
	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		const size_t end = strlen(endings[i][0]);
		if (len > end && !strcmp(path + len - end, endings[i][0]))
			return endings[i][1];
	}
	return NULL;
}

static int look_at(struct import *im, struct err *err)
{
	struct stat st;
	if (stat(im->from, &st))
		return err_errno(err, errno, "cannot open %s", im->from);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_USAGE, "%s is no file", im->from);
	if (!im->format)
		im->format = format_of_name(im->from);
	if (!im->format) {
		err_set(err, ERR_USAGE, "%s: its name does not say whether it is qcow2 or raw, and its bytes are not asked", im->from);
		return err_hint(err, "add --format qcow2 or --format raw, as whoever made it says"), ERR_USAGE;
	}
	return 0;
}

static int convert(const struct import *im, const char *to, struct err *err)
{
	char runner[PATH_MAX], max[32];
	int status, code = launch_find_program("talkoo-runner", runner, err);
	if (code)
		return code;
	snprintf(max, sizeof max, "%llu", (unsigned long long)im->max_bytes);
	const pid_t pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "cannot start %s", runner);
	if (!pid) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execl(runner, runner, "convert", im->format, max, im->from, to, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, errno, "cannot wait for %s", runner);
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		err_set(err, ERR_INVALID, "%s could not be read as %s", im->from, im->format);
		return err_hint(err, "qemu-img's own words are above. A disk of more than %llu MiB needs --max-size; one on top of another (a backing file)\n"
				     "is first made whole with 'qemu-img convert'",
				(unsigned long long)(im->max_bytes >> 20)),
		       ERR_INVALID;
	}
	return 0;
}

static int borrow(const struct image *base, enum image_file_id id, const char *folder, const char *name, struct err *err)
{
	char from[PATH_MAX], to[PATH_MAX];
	const int code = image_file_path(base, id, from, sizeof from, err);
	if (code)
		return code;
	if (snprintf(to, sizeof to, "%s/%s", folder, name) >= (int)sizeof to)
		return err_set(err, ERR_LIMIT, "%s: the path is too long", folder);
	/* images are replaced, never changed: two may share a file */
	return link(from, to) ? err_errno(err, errno, "cannot make %s", to) : 0;
}

/* In a folder of its own in the store; *img is then whole but for its place. */
static int assemble(const struct import *im, const struct image *base, const char *folder, struct image *img, struct err *err)
{
	char root[PATH_MAX];
	if (snprintf(root, sizeof root, "%s/root.img", folder) >= (int)sizeof root)
		return err_set(err, ERR_LIMIT, "%s: the path is too long", folder);
	CLEANUP(cleanup_fd) int fd = open(root, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int code = fd < 0 ? err_errno(err, errno, "cannot make %s", root) : convert(im, root, err);
	if (!code)
		code = borrow(base, IMAGE_FILE_KERNEL, folder, "kernel", err);
	if (!code)
		code = borrow(base, IMAGE_FILE_INITRAMFS, folder, "initramfs", err);
	if (!code && chmod(folder, 0755))
		code = err_errno(err, errno, "cannot open %s to others", folder);
	snprintf(img->name, sizeof img->name, "%s", im->name);
	snprintf(img->version, sizeof img->version, "%s", im->version);
	snprintf(img->arch, sizeof img->arch, "%s", base->arch);
	snprintf(img->shell, sizeof img->shell, "bash");
	snprintf(img->recipe, sizeof img->recipe, IMPORT_RECIPE);
	snprintf(img->dir, sizeof img->dir, "%s", folder);
	return code ? code : image_write_manifest(img, err);
}

int cmd_image_import(struct cli *c, struct err *err)
{
	struct workplace place;
	struct import im = {0};
	char folder[PATH_MAX] = "", final[PATH_MAX];
	CLEANUP(image_release) struct image base = {0}, img = {0}, made = {0};
	int code = workplace_find(c->home, &place, err);
	if (!code)
		code = read_arguments(c, &im, err);
	if (!code)
		code = look_at(&im, err);
	if (!code)
		code = image_find(place.images, BASE_IMAGE, &base, err);
	if (code)
		return code;
	char ref[IMAGE_REF_MAX];
	snprintf(ref, sizeof ref, "%s@%s", im.name, im.version);
	if (snprintf(final, sizeof final, "%s/%s", place.images, ref) >= (int)sizeof final ||
	    snprintf(folder, sizeof folder, "%s/.import-XXXXXX", place.images) >= (int)sizeof folder)
		return err_set(err, ERR_LIMIT, "%s: the path is too long", place.images);
	if (!access(final, F_OK)) {
		err_set(err, ERR_USAGE, "there is an image %s already", ref);
		return err_hint(err, "another --name, or 'talkoo image remove %s' first", ref), ERR_USAGE;
	}
	if (!mkdtemp(folder))
		return err_errno(err, errno, "cannot make a folder in %s", place.images);
	code = assemble(&im, &base, folder, &img, err);
	if (!code && rename(folder, final))
		code = err_errno(err, errno, "cannot make %s", final);
	if (code) {
		(void)!io_remove_tree(folder, NULL);
		return code;
	}
	code = image_find(place.images, ref, &made, err);
	if (!code)
		image_is_made(c, &place, &made);
	return code;
}
