/* Control groups against a small kernel of the test's: a folder whose control files obey the rules that matter (what is handed
 * on, no processes in a group that hands on, a group with content is not removed). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/buf.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/cgroup.h"
#include "tests/unit/tap.h"

#define PROCESSES_MAX 16
#define PATH_ROOM 512

struct process {
	long pid;
	const char *comm;
	char group[PATH_ROOM];
};

struct world {
	char root[64];          /* where version 2 is mounted */
	const char *own;        /* our group, "/a/b" */
	const char *mounts;     /* mountinfo, @ = root; NULL: the usual */
	bool root_is_special;   /* the machine's own root group: may hold processes and hand on */
	const char *read_only;  /* below this nothing may be written */
	bool is_kept;           /* systemd marks none of its groups as handed over */
	struct process processes[PROCESSES_MAX];
	size_t processes_len;
};

/* the small kernel */

static bool starts_with(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

static void set_file(const char *folder, const char *name, const char *text)
{
	char path[PATH_ROOM + 64];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		abort();
}

static const char *get_file(const char *folder, const char *name, char *out, size_t size)
{
	char path[PATH_ROOM + 64];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "r");
	size_t len = f ? fread(out, 1, size - 1, f) : 0;
	if (f)
		fclose(f);
	out[len] = '\0';
	return out;
}

static void folder_of(const char *path, char *out)
{
	snprintf(out, PATH_ROOM, "%s", path);
	*strrchr(out, '/') = '\0';
}

static bool is_inhabited(const struct world *w, const char *group)
{
	for (size_t i = 0; i < w->processes_len; i++)
		if (!strcmp(w->processes[i].group, group))
			return true;
	return false;
}

static void fill_group(const char *group, const char *handed_on)
{
	static const char *const files[] = {"cgroup.procs", "cgroup.subtree_control", "cgroup.kill"};
	static const struct {
		const char *controller, *file;
	} more[] = {{"memory", "memory.max"}, {"memory", "memory.swap.max"}, {"memory", "memory.events"}, {"memory", "memory.oom.group"},
		    {"pids", "pids.max"}, {"cpu", "cpu.weight"}, {"cpu", "cpu.max"}, {"cpu", "cpu.idle"}, {"io", "io.weight"}};
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		set_file(group, files[i], "");
	set_file(group, "cgroup.controllers", handed_on);
	for (size_t i = 0; i < ARRAY_LEN(more); i++)
		if (strstr(handed_on, more[i].controller))
			set_file(group, more[i].file, "");
}

static int fake_make(void *ctx, const char *path)
{
	const struct world *w = ctx;
	char parent[PATH_ROOM], handed_on[256];
	folder_of(path, parent);
	if (w->read_only && starts_with(path, w->read_only))
		return EACCES;
	if (mkdir(path, 0755) < 0)
		return errno;
	fill_group(path, get_file(parent, "cgroup.subtree_control", handed_on, sizeof handed_on));
	return 0;
}

static int fake_drop(void *ctx, const char *path)
{
	const struct world *w = ctx;
	if (is_inhabited(w, path))
		return EBUSY;
	DIR *dir = opendir(path);
	if (!dir)
		return errno;
	int error = 0;
	for (struct dirent *e = readdir(dir); e; e = readdir(dir))
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			error = EBUSY;
	closedir(dir);
	return error ? error : io_remove_tree(path, NULL) ? EIO : 0;
}

static bool is_threaded(const char *controllers)
{
	return strstr(controllers, "pids") || strstr(controllers, "cpu");
}

static int hand_on(const struct world *w, const char *group, const char *text)
{
	char known[256], already[256], all[600];
	if (text[0] != '+' || !strstr(get_file(group, "cgroup.controllers", known, sizeof known), text + 1))
		return ENOENT;
	if (is_inhabited(w, group) && !(w->root_is_special && !strcmp(group, w->root)) && !is_threaded(text + 1))
		return EBUSY;
	snprintf(all, sizeof all, "%s %s", get_file(group, "cgroup.subtree_control", already, sizeof already), text + 1);
	set_file(group, "cgroup.subtree_control", all);
	return 0;
}

static int move(struct world *w, const char *group, long pid)
{
	char handed_on[256];
	if (get_file(group, "cgroup.subtree_control", handed_on, sizeof handed_on)[0])
		return EBUSY;
	char parent[PATH_ROOM];
	folder_of(group, parent);
	if (is_inhabited(w, parent) && is_threaded(get_file(parent, "cgroup.subtree_control", handed_on, sizeof handed_on)))
		return EOPNOTSUPP;
	for (size_t i = 0; i < w->processes_len; i++)
		if (w->processes[i].pid == (pid ? pid : getpid())) {
			snprintf(w->processes[i].group, PATH_ROOM, "%s", group);
			return 0;
		}
	return ESRCH;
}

static int fake_write(void *ctx, const char *path, const char *text)
{
	struct world *w = ctx;
	char group[PATH_ROOM];
	folder_of(path, group);
	const char *file = strrchr(path, '/') + 1;
	if (access(path, F_OK) < 0)
		return ENOENT;
	if (w->read_only && starts_with(path, w->read_only))
		return EACCES;
	if (!strcmp(file, "cgroup.subtree_control"))
		return hand_on(w, group, text);
	if (!strcmp(file, "cgroup.procs"))
		return move(w, group, strtol(text, NULL, 10));
	if (!strcmp(file, "cgroup.kill"))
		for (size_t i = 0; i < w->processes_len; i++)
			if (starts_with(w->processes[i].group, group))
				w->processes[i].group[0] = '\0';
	set_file(group, file, text);
	return 0;
}

static int fake_read(void *ctx, const char *path, char *out, size_t size)
{
	const struct world *w = ctx;
	char group[PATH_ROOM];
	long pid;
	if (!strcmp(path, "/proc/self/mountinfo")) {
		const char *text = w->mounts ? w->mounts : "25 30 0:23 / /sys rw shared:7 - sysfs sysfs rw\n"
							    "26 25 0:24 / @ rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
		const int before = (int)strcspn(text, "@");
		snprintf(out, size, "%.*s%s%s", before, text, text[before] ? w->root : "", text[before] ? text + before + 1 : "");
		return 0;
	}
	if (!strcmp(path, "/proc/self/cgroup"))
		return snprintf(out, size, "1:name=systemd:/x\n0::%s\n", w->own) < 0;
	out[0] = '\0';
	if (sscanf(path, "/proc/%ld/comm", &pid) == 1) {
		for (size_t i = 0; i < w->processes_len; i++)
			if (w->processes[i].pid == pid)
				return snprintf(out, size, "%s\n", w->processes[i].comm) < 0;
		return ENOENT;
	}
	folder_of(path, group);
	if (!strcmp(strrchr(path, '/'), "/cgroup.procs")) {
		size_t len = 0;
		for (size_t i = 0; i < w->processes_len; i++)
			if (!strcmp(w->processes[i].group, group))
				len += (size_t)snprintf(out + len, size - len, "%ld\n", w->processes[i].pid);
		return 0;
	}
	if (access(path, F_OK) < 0)
		return errno;
	get_file(group, strrchr(path, '/') + 1, out, size);
	return 0;
}

static bool fake_is_handed_over(void *ctx, const char *path)
{
	const struct world *w = ctx;
	return starts_with(path, w->root) && !w->is_kept;
}

static struct cgroup_io io_of(struct world *w)
{
	return (struct cgroup_io){fake_make, fake_drop, fake_write, fake_read, fake_is_handed_over, w};
}

/* worlds */

static void put_process(struct world *w, long pid, const char *comm)
{
	struct process p = {.pid = pid, .comm = comm};
	snprintf(p.group, sizeof p.group, "%s%s", w->root, strcmp(w->own, "/") ? w->own : "");
	w->processes[w->processes_len++] = p;
}

/* A tree in which every group down to `own` got `controllers`; the last hands nothing on yet. */
static void make_world(struct world *w, const char *own, const char *controllers)
{
	*w = (struct world){.own = own};
	snprintf(w->root, sizeof w->root, "/tmp/talkoo-cgroup-XXXXXX");
	if (!mkdtemp(w->root))
		abort();
	fill_group(w->root, "cpuset cpu io memory pids");
	char path[PATH_ROOM];
	snprintf(path, sizeof path, "%s%s", w->root, own);
	for (char *slash = path + strlen(w->root); (slash = strchr(slash, '/')) && slash[1];) {
		*slash = '\0';
		set_file(path, "cgroup.subtree_control", controllers);
		*slash++ = '/';
		char *next = strchr(slash, '/');
		if (next)
			*next = '\0';
		mkdir(path, 0755);
		fill_group(path, controllers);
		if (next)
			*next = '/';
	}
	put_process(w, getpid(), "talkoo-runner");
}

static void end_world(struct world *w)
{
	OK(io_remove_tree(w->root, NULL) == 0, "tidied up");
}

static bool exists(const struct world *w, const char *name)
{
	char path[PATH_ROOM];
	snprintf(path, sizeof path, "%s%s", w->root, name);
	return access(path, F_OK) == 0;
}

static const char *text_of(const struct world *w, const char *name)
{
	static char text[256];
	char path[PATH_ROOM];
	snprintf(path, sizeof path, "%s%s", w->root, name);
	char group[PATH_ROOM];
	folder_of(path, group);
	return get_file(group, strrchr(path, '/') + 1, text, sizeof text);
}

/* tests */

#define SERVICE "/system.slice/talkood.service"

static void test_job(void)
{
	struct world w;
	struct cgroup_host host;
	struct cgroup c = {.io = NULL};
	struct err err = {0};
	char names[64];
	make_world(&w, SERVICE, "cpu io memory pids");
	put_process(&w, 4711, "talkood");
	const struct cgroup_io io = io_of(&w);
	OK(cgroup_find(&io, &host), "a service with Delegate=yes: %s", host.why);
	STREQ(cgroup_names(host.controllers, names, sizeof names), "memory,pids,cpu,io");
	OK(exists(&w, SERVICE "/talkoo") && !strcmp(w.processes[1].group + strlen(w.root), SERVICE "/talkoo"),
	   "the node moved down");
	const struct cgroup_limits limits = {.stages_memory_bytes = 3 << 20, .processes = 640, .yields = true};
	OK(cgroup_open(&io, &host, 77, &limits, &c, &err) == 0, "a job's group: %s", err.what);
	STREQ(text_of(&w, SERVICE "/talkoo-job-77/pids.max"), "640");
	STREQ(text_of(&w, SERVICE "/talkoo-job-77/cpu.idle"), "1");
	STREQ(text_of(&w, SERVICE "/talkoo-job-77/io.weight"), "default 10");
	STREQ(text_of(&w, SERVICE "/talkoo-job-77/stages/memory.max"), "3145728");
	STREQ(text_of(&w, SERVICE "/talkoo-job-77/vm/memory.swap.max"), "0");
	OK(cgroup_enter(&c, CGROUP_STAGES, &err) == 0, "entered: %s", err.what);
	STREQ(w.processes[0].group + strlen(w.root), SERVICE "/talkoo-job-77/stages");
	OK(cgroup_enter(&c, CGROUP_VM, &err) == 0, "and the other leaf: %s", err.what);
	STREQ(w.processes[0].group + strlen(w.root), SERVICE "/talkoo-job-77/vm");
	OK(cgroup_limit_vm(&c, 536870912, 3, &err) == 0, "a ceiling: %s", err.what);
	STREQ(text_of(&w, SERVICE "/talkoo-job-77/cpu.max"), "300000 100000");
	STREQ(text_of(&w, SERVICE "/talkoo-job-77/vm/memory.max"), "536870912");
	OK(!cgroup_vm_was_ended(&c), "not met");
	set_file(c.path, "vm/memory.events", "low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\n");
	OK(cgroup_vm_was_ended(&c), "met");
	cgroup_close(&c);
	OK(!exists(&w, SERVICE "/talkoo-job-77") && !w.processes[0].group[0], "closed: all ended, nothing left");
	cgroup_close(&c);
	end_world(&w);
}

/* Those that come later find it arranged, in the group below and in the one above. */
static void test_again(void)
{
	struct world w;
	struct cgroup_host host;
	make_world(&w, SERVICE, "memory pids");
	const struct cgroup_io io = io_of(&w);
	OK(cgroup_find(&io, &host), "first");
	INTEQ(host.controllers, CGROUP_MEMORY | CGROUP_PIDS);
	w.own = SERVICE "/talkoo";
	OK(cgroup_find(&io, &host), "again, from below");
	STREQ(host.base + strlen(w.root), SERVICE);
	w.own = SERVICE;
	OK(cgroup_find(&io, &host), "again, from above");
	end_world(&w);
}

static void test_left_over(void)
{
	struct world w;
	struct cgroup_host host;
	struct cgroup c = {.io = NULL}, gone = {.io = NULL};
	struct err err = {0};
	const struct cgroup_limits limits = {.processes = 1};
	make_world(&w, SERVICE, "memory pids");
	const struct cgroup_io io = io_of(&w);
	OK(cgroup_find(&io, &host), "found");
	/* a number that no process has: the kernel's largest is 2^22 */
	OK(cgroup_open(&io, &host, 5000000, &limits, &gone, &err) == 0 && exists(&w, SERVICE "/talkoo-job-5000000"), "one dies");
	OK(cgroup_open(&io, &host, getpid(), &limits, &c, &err) == 0, "the next: %s", err.what);
	OK(!exists(&w, SERVICE "/talkoo-job-5000000"), "has removed what it left");
	OK(cgroup_open(&io, &host, getpid(), &limits, &c, &err) == 0, "a number used again: %s", err.what);
	cgroup_close(&c);
	OK(cgroup_enter(&c, CGROUP_VM, &err) == 0 && cgroup_limit_vm(&c, 1, 1, &err) == 0 && !cgroup_vm_was_ended(&c), "without a group all is well");
	OK(cgroup_enter(NULL, CGROUP_VM, &err) == 0, "without any too");
	end_world(&w);
}

static void test_refused(void)
{
	static const struct {
		const char *name, *own, *controllers, *mounts, *other, *says;
		bool is_read_only, root_is_special, has, is_kept;
	} cases[] = {
		{"no version 2", "/", "", "25 30 0:23 / /sys rw - sysfs sysfs rw\n", NULL, "no control groups of version 2", false, false, false},
		{"both, memory in version 1", "/", "",
		 "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n41 31 0:38 / @ rw - cgroup2 cgroup2 rw\n", NULL,
		 "version 1", false, false, false},
		{"an odd mountinfo", "/", "", "\n - cgroup2\n1 2 3 - cgroup2 x y\n@ - \n", NULL, "no control groups", false, false, false},
		{"nothing handed on", "/user.slice/a.scope", "cpu", NULL, NULL, "not handed on", false, false, false},
		{"a terminal's group", "/user.slice/a.scope", "memory pids", NULL, "bash", "other programs", false, false, false},
		{"not ours to write", "/user.slice/a.scope", "memory pids", NULL, NULL, "may not be written", true, false, false},
		{"systemd's own", "/system.slice/x.service", "memory pids", NULL, NULL, "keeps its own group", false, false, false, true},
		{"out of sight", "/../x", "", NULL, NULL, "not in sight", false, false, false},
		{"outside the mount", "/other/x", "", "41 31 0:38 /docker/1 @ rw - cgroup2 cgroup2 rw\n", NULL, "not in sight", false, false, false},
		{"the machine's root", "/", "", NULL, "bash", "", false, true, true},
		{"a container's root", "/", "", NULL, NULL, "", false, false, true},
		{"a container's root with others", "/", "", NULL, "bash", "other programs", false, false, false},
		{"a mount of a part", "/docker/1", "", "41 31 0:38 /docker/1 @ rw - cgroup2 cgroup2 rw\n", NULL, "", false, false, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world w;
		struct cgroup_host host;
		make_world(&w, cases[i].mounts || strstr(cases[i].own, "..") ? "/" : cases[i].own, cases[i].controllers);
		w.own = cases[i].own;
		w.mounts = cases[i].mounts;
		w.read_only = cases[i].is_read_only ? w.root : NULL;
		w.root_is_special = cases[i].root_is_special;
		w.is_kept = cases[i].is_kept;
		if (cases[i].other)
			put_process(&w, 99, cases[i].other);
		const struct cgroup_io io = io_of(&w);
		OK(cgroup_find(&io, &host) == cases[i].has, "%s: %s", cases[i].name, host.why);
		OK(strstr(host.why, cases[i].says) && !host.hint[0] == cases[i].has && !host.base[0] == !cases[i].has, "%s: why and hint", cases[i].name);
		OK(cases[i].has || !exists(&w, "/talkoo"), "%s: nothing was moved", cases[i].name);
		end_world(&w);
	}
}

int main(void)
{
	test_job();
	test_again();
	test_left_over();
	test_refused();
	/* whatever this machine is: an answer, with a reason where it is no */
	struct cgroup_host host;
	const bool has = cgroup_find(cgroup_kernel(), &host);
	printf("# here: %s\n", has ? host.base : host.why);
	OK(host.base[0] || (host.why[0] && host.hint[0]), "this machine");
	return tap_done();
}
