/* Where a process may make control groups, and why not. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "runner/cgroup.h"

#define TEXT_MAX 65536
#define MOVES_MAX 5 /* a process may fork while its group is emptied */
#define HINT_DELEGATE                                                                                                  \
	"let systemd hand its groups on: `systemd-run --user --scope -p Delegate=yes talkoo …`, or Delegate=yes in the node's service"

/* the kernel's files */

static int real_make(void *ctx, const char *path)
{
	(void)ctx;
	return mkdir(path, 0755) < 0 ? errno : 0;
}

static int real_drop(void *ctx, const char *path)
{
	(void)ctx;
	return rmdir(path) < 0 ? errno : 0;
}

static int real_write(void *ctx, const char *path, const char *text)
{
	(void)ctx;
	CLEANUP(cleanup_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	return write(fd, text, strlen(text)) < 0 ? errno : 0; /* one write is one command */
}

static int real_read(void *ctx, const char *path, char *out, size_t size)
{
	(void)ctx;
	size_t len = 0;
	CLEANUP(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	for (ssize_t got = 1; got > 0 && len < size - 1;) {
		got = read(fd, out + len, size - 1 - len);
		if (got < 0)
			return errno;
		len += (size_t)got;
	}
	out[len] = '\0';
	return 0;
}

/* systemd marks what it hands over; only root may read the first. */
static bool real_is_handed_over(void *ctx, const char *path)
{
	static const char *const marks[] = {"trusted.delegate", "user.delegate"};
	(void)ctx;
	if (access("/run/systemd/system", F_OK) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		char value[2];
		if (getxattr(path, marks[i], value, sizeof value) == 1 && value[0] == '1')
			return true;
	}
	return false;
}

const struct cgroup_io *cgroup_kernel(void)
{
	static const struct cgroup_io io = {real_make, real_drop, real_write, real_read, real_is_handed_over, NULL};
	return &io;
}

/* controllers by name */

static const struct {
	unsigned bit;
	const char *name;
} controllers[] = {
#define X(id, value, text) {value, text},
	CGROUP_CONTROLLERS(X)
#undef X
};

const char *cgroup_names(unsigned mask, char *out, size_t size)
{
	size_t used = 0;
	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
		if ((mask & controllers[i].bit) && used < size)
			used += (size_t)snprintf(out + used, size - used, "%s%s", used ? "," : "", controllers[i].name);
	return out;
}

/* Words apart by spaces, as cgroup.controllers has them. */
static unsigned parse_names(const char *text)
{
	unsigned mask = 0;
	while (*text) {
		const size_t len = strcspn(text, " \n");
		for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
			if (strlen(controllers[i].name) == len && !memcmp(text, controllers[i].name, len))
				mask |= controllers[i].bit;
		text += len;
		text += strspn(text, " \n");
	}
	return mask;
}

static unsigned read_names(const struct cgroup_io *io, const char *folder, const char *file)
{
	char path[PATH_MAX + 32], text[1024];
	snprintf(path, sizeof path, "%s/%s", folder, file);
	return io->read(io->ctx, path, text, sizeof text) ? 0 : parse_names(text);
}

/* our own group */

static bool none(struct cgroup_host *h, const char *hint, const char *why)
{
	h->base[0] = '\0';
	snprintf(h->why, sizeof h->why, "%s", why);
	snprintf(h->hint, sizeof h->hint, "%s", hint);
	return false;
}

/* "\040" and its like, as mountinfo writes what would part its fields. */
static void unescape(char *text)
{
	char *to = text;
	for (const char *from = text; *from; to++) {
		const bool is_code = from[0] == '\\' && strspn(from + 1, "01234567") >= 3;
		*to = is_code ? (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0')) : *from;
		from += is_code ? 4 : 1;
	}
	*to = '\0';
}

struct mounts {
	char root[PATH_MAX], point[PATH_MAX]; /* of the version 2 tree; point "" = none */
	bool old_memory; /* version 1 holds the memory controller */
};

/* "36 35 98:0 ROOT POINT options [tags…] - TYPE SOURCE super,options" */
static void take_mount(struct mounts *m, char *line)
{
	char *dash = strstr(line, " - ");
	char *save = NULL, *root = NULL, *point = NULL;
	if (!dash)
		return;
	*dash = '\0';
	char *type = dash + 3;
	char *options = strrchr(type, ' ');
	int field = 0;
	for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save), field++) {
		if (field == 3)
			root = word;
		else if (field == 4)
			point = word;
	}
	if (options && !strncmp(type, "cgroup ", 7) && strstr(options, "memory"))
		m->old_memory = true;
	if (!point || m->point[0] || strncmp(type, "cgroup2 ", 8) != 0)
		return;
	unescape(root);
	unescape(point);
	snprintf(m->root, sizeof m->root, "%s", root);
	snprintf(m->point, sizeof m->point, "%s", point);
}

static int read_mounts(const struct cgroup_io *io, struct mounts *ret)
{
	static const char path[] = "/proc/self/mountinfo";
	char text[TEXT_MAX], *save = NULL;
	*ret = (struct mounts){.old_memory = false};
	const int error = io->read(io->ctx, path, text, sizeof text);
	for (char *line = error ? NULL : strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		take_mount(ret, line);
	return error;
}

/* The line "0::/PATH" of /proc/self/cgroup, as seen from the mount. False: it lies outside. */
static bool own_folder(const struct cgroup_io *io, const struct mounts *m, char ret[PATH_MAX])
{
	char text[TEXT_MAX];
	if (io->read(io->ctx, "/proc/self/cgroup", text, sizeof text))
		return false;
	char *own = !strncmp(text, "0::", 3) ? text : strstr(text, "\n0::");
	if (!own)
		return false;
	own = strchr(own, '/');
	if (!own)
		return false;
	own[strcspn(own, "\n")] = '\0';
	const size_t root_len = strcmp(m->root, "/") ? strlen(m->root) : 0;
	if (strncmp(own, m->root, root_len) != 0 || (root_len && own[root_len] && own[root_len] != '/') || !strncmp(own, "/..", 3))
		return false;
	own += root_len;
	const size_t len = (size_t)snprintf(ret, PATH_MAX, "%s%s", m->point, strcmp(own, "/") ? own : "");
	return len < PATH_MAX - 128;
}

/* room for groups */

static bool is_ours(const struct cgroup_io *io, const char *pid)
{
	char path[64], name[64];
	snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
	return io->read(io->ctx, path, name, sizeof name) == ENOENT || !strncmp(name, "talkoo", 6);
}

/* Every process of the group into CGROUP_HOME below it. False: some are not ours, or the kernel will not have it. */
static bool move_down(const struct cgroup_io *io, struct cgroup_host *h)
{
	char path[PATH_MAX + 64], pids[TEXT_MAX], *save = NULL;
	snprintf(path, sizeof path, "%s/cgroup.procs", h->base);
	if (io->read(io->ctx, path, pids, sizeof pids))
		return none(h, HINT_DELEGATE, "its own group cannot be read");
	for (const char *at = pids; *at; at += strcspn(at, "\n"), at += *at == '\n')
		if (!is_ours(io, at))
			return none(h, HINT_DELEGATE, "other programs share its own group");
	snprintf(path, sizeof path, "%s/" CGROUP_HOME, h->base);
	const int error = io->make(io->ctx, path);
	if (error && error != EEXIST)
		return none(h, HINT_DELEGATE, "its own group may not be written");
	snprintf(path, sizeof path, "%s/" CGROUP_HOME "/cgroup.procs", h->base);
	for (char *pid = strtok_r(pids, "\n", &save); pid; pid = strtok_r(NULL, "\n", &save)) {
		const int moved = io->write(io->ctx, path, pid);
		if (moved && moved != ESRCH)
			return none(h, HINT_DELEGATE, "the node's processes may not be moved");
	}
	return true;
}

/* Hands on what can be: h->controllers. The errno of a needed one that could not. Stops there: pids would be taken from a group with
 * processes in it, and nothing could be moved below that afterwards (the kernel's "threaded" groups). memory is asked for first. */
static int hand_on(const struct cgroup_io *io, struct cgroup_host *h, unsigned wanted)
{
	char path[PATH_MAX + 64], text[32];
	int error = 0;
	snprintf(path, sizeof path, "%s/cgroup.subtree_control", h->base);
	for (size_t i = 0; i < ARRAY_LEN(controllers); i++) {
		if (!(wanted & controllers[i].bit & ~h->controllers))
			continue;
		snprintf(text, sizeof text, "+%s", controllers[i].name);
		const int failed = io->write(io->ctx, path, text);
		if (failed && (controllers[i].bit & CGROUP_NEEDED)) {
			error = failed;
			break;
		}
	}
	h->controllers = read_names(io, h->base, "cgroup.subtree_control");
	return error;
}

static bool make_room(const struct cgroup_io *io, struct cgroup_host *h)
{
	const unsigned wanted = read_names(io, h->base, "cgroup.controllers");
	h->controllers = read_names(io, h->base, "cgroup.subtree_control");
	if ((wanted & CGROUP_NEEDED) != CGROUP_NEEDED)
		return none(h, HINT_DELEGATE, "memory and pids are not handed on to its group");
	for (int i = 0; (h->controllers & CGROUP_NEEDED) != CGROUP_NEEDED; i++) {
		const int error = hand_on(io, h, wanted);
		if (!error && (h->controllers & CGROUP_NEEDED) == CGROUP_NEEDED)
			break;
		if (error != EBUSY || i == MOVES_MAX)
			return none(h, HINT_DELEGATE, "its own group may not be written");
		if (!move_down(io, h))
			return false;
	}
	(void)hand_on(io, h, wanted); /* cpu and io, where they are to be had */
	return true;
}

/* It, or the group around it: a service may be started in a group below its own. */
static bool is_handed_over(const struct cgroup_io *io, const char *path)
{
	char parent[PATH_MAX];
	snprintf(parent, sizeof parent, "%s", path);
	*strrchr(parent, '/') = '\0';
	return io->is_handed_over(io->ctx, path) || io->is_handed_over(io->ctx, parent);
}

bool cgroup_find(const struct cgroup_io *io, struct cgroup_host *ret)
{
	struct mounts m;
	*ret = (struct cgroup_host){.controllers = 0};
	if (read_mounts(io, &m))
		return none(ret, "mount /proc", "/proc/self/mountinfo cannot be read");
	if (!m.point[0])
		return none(ret, "boot with systemd.unified_cgroup_hierarchy=1", "no control groups of version 2 are mounted");
	if (m.old_memory)
		return none(ret, "boot with systemd.unified_cgroup_hierarchy=1 (or cgroup_no_v1=all)",
			    "this machine keeps memory in control groups of version 1");
	if (!own_folder(io, &m, ret->base))
		return none(ret, "mount the control groups where the node runs", "its own control group is not in sight");
	/* started by a node that moved down before */
	char *name = strrchr(ret->base, '/');
	if (name && strlen(ret->base) > strlen(m.point) && !strcmp(name, "/" CGROUP_HOME))
		*name = '\0';
	if (strcmp(ret->base, m.point) != 0 && !is_handed_over(io, ret->base))
		return none(ret, HINT_DELEGATE, "systemd keeps its own group for itself");
	return make_room(io, ret);
}
