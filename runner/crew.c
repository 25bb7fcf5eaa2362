#include "runner/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/accel.h"
#include "runner/remote.h"
#include "runner/stage_vm.h"

/* What a child runs, after its standard descriptors are set. Its value is the exit status. */
typedef int (*child_body_fn)(const struct crew *crew, const void *arg, int msg_fd);

#define GIT_MEMORY_MIN (2ull << 30) /* libraries, an index, windows into packs (gitlib.c) */
#define GIT_MEMORY_MAX (8ull << 30)
#define OTHER_STAGES_MEMORY (1ull << 30)
#define FILES_MAX (1ull << 50) /* no sum of them overflows */
#define JAIL_HINT "run 'talkoo doctor': it says what this machine's kernel allows"

void child_init(struct child *c)
{
	*c = (struct child){.msg_fd = -1};
}

void child_kill(struct child *c)
{
	if (c->pid <= 0)
		return;
	c->is_killed = true;
	kill(c->pid, SIGKILL);
}

void child_forget(struct child *c)
{
	if (c->msg_fd >= 0)
		close(c->msg_fd);
	child_init(c);
}

static int standard_descriptors(int diagnostics_fd)
{
	const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return nothing >= 0 && dup2(nothing, 0) == 0 && dup2(diagnostics_fd, 1) == 1 && dup2(diagnostics_fd, 2) == 2 ? 0 : -1;
}

static int start(const struct crew *crew, child_body_fn body, const void *arg, struct child *ret, struct err *err)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, errno, "cannot make a stage's socket");
	const pid_t pid = fork();
	if (pid == 0) {
		close(pair[0]);
		_exit(standard_descriptors(crew->diagnostics_fd) < 0 ? 2 : body(crew, arg, pair[1]));
	}
	const int fork_errno = errno;
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return err_errno(err, fork_errno, "cannot start a stage");
	}
	*ret = (struct child){.pid = pid, .msg_fd = pair[0]};
	return 0;
}

/* A store that outlives the job is its stage's from the first time on. False: the stage runs under the launcher's uid. */
static bool give_store(const struct crew *crew, enum stage_id stage, const char *path)
{
	const uid_t uid = crew->facts->uids[stage];
	struct stat st;
	return uid && stat(path, &st) == 0 && (st.st_uid == uid || jail_give(path, uid));
}

/* fetch */

/* certificates, and nothing of what lies beside them: /etc/ssl/private is root's to read, as this stage may be */
static const char *const network_files[] = {
	"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services",
	"/etc/protocols", "/etc/ld.so.cache", "/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf",
	"/etc/pki/tls/certs", "/etc/pki/tls/cert.pem", "/etc/pki/ca-trust/extracted", "/etc/ca-certificates/extracted",
	"/etc/gnutls/config", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
};
/* name services and character sets are loaded when first used */
static const char *const library_folders[] = {"/lib", "/lib64", "/usr/lib", "/usr/lib64"};

/* What git objects of a source of this size may take: one of them at a time, with what it is a delta of. */
static uint64_t git_memory(const struct job_plan *plan)
{
	const uint64_t source = plan->limits.source_bytes < GIT_MEMORY_MAX ? plan->limits.source_bytes : GIT_MEMORY_MAX;
	return GIT_MEMORY_MIN + 2 * source < GIT_MEMORY_MAX ? GIT_MEMORY_MIN + 2 * source : GIT_MEMORY_MAX;
}

uint64_t crew_memory_max(const struct job_plan *plan)
{
	const struct job_limits *l = &plan->limits;
	const uint64_t files[] = {l->source_bytes, l->source_bytes, l->artifact_bytes, l->log_bytes, plan->cache_bytes, plan->fetch_bytes};
	uint64_t sum = git_memory(plan) + OTHER_STAGES_MEMORY;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		sum += files[i] < FILES_MAX ? files[i] : FILES_MAX;
	return sum;
}

/* What resolving names and TLS need. */
static void add_network(struct jail *j)
{
	for (size_t i = 0; i < ARRAY_LEN(network_files); i++)
		jail_path_try(j, network_files[i], JAIL_READ);
	for (size_t i = 0; i < ARRAY_LEN(library_folders); i++)
		jail_path_try(j, library_folders[i], JAIL_EXEC);
	jail_path_try(j, "/dev/null", JAIL_DEVICE);
	jail_path_try(j, "/dev/urandom", JAIL_DEVICE);
}

static int body_fetch(const struct crew *crew, const void *arg, int msg_fd)
{
	const bool *owns_store = arg;
	const struct job_source *source = &crew->plan->source;
	struct jail j;
	jail_init(&j, STAGE_FETCH, crew->facts, crew->dir->path);
	j.takes_own_uid = *owns_store;
	add_network(&j);
	jail_path_add(&j, source->mirror, JAIL_WRITE);
	j.memory_bytes_max = git_memory(crew->plan);
	/* a pack is completed with what its deltas need */
	if (crew->plan->limits.source_bytes < INT64_MAX / 4)
		j.file_bytes_max = 2 * crew->plan->limits.source_bytes + (64u << 20);
	struct remote_url url;
	if (source->allow_file && remote_parse(source->url, &url, NULL) == 0 && url.scheme == REMOTE_FILE)
		jail_path_try(&j, url.plain_path, JAIL_READ);
	jail_keep(&j, msg_fd);
	struct err err = {0};
	if (jail_enter(&j, &err) < 0)
		return stage_fail(msg_fd, JOB_ERROR, JAIL_HINT, "the fetch stage's jail: %s", err.what);
	const struct stage_fetch s = {.msg_fd = msg_fd, .plan = crew->plan, .mirror_path = source->mirror};
	return stage_fetch_run(&s);
}

/* A repository of this machine that only the launcher may read. */
static bool reads_closed_folder(const struct job_plan *plan)
{
	struct remote_url url;
	return plan->source.allow_file && remote_parse(plan->source.url, &url, NULL) == 0 && url.scheme == REMOTE_FILE &&
	       !jail_others_can_read(url.plain_path);
}

int crew_start_fetch(const struct crew *crew, struct child *ret, struct err *err)
{
	const int rc = io_mkdirs(crew->plan->source.mirror, 0700, err);
	const bool owns_store = rc == 0 && !reads_closed_folder(crew->plan) && give_store(crew, STAGE_FETCH, crew->plan->source.mirror);
	/* given away in an earlier job */
	if (rc == 0 && !owns_store && crew->facts->uids[STAGE_FETCH] && !jail_give(crew->plan->source.mirror, 0))
		return err_set(err, ERR_IO, "the mirror %s cannot be had back from its stage", crew->plan->source.mirror);
	return rc < 0 ? rc : start(crew, body_fetch, &owns_store, ret, err);
}

/* get */

struct get_arg {
	int deps_fd;
	bool owns_store;
};

static int body_get(const struct crew *crew, const void *arg, int msg_fd)
{
	const struct get_arg *a = arg;
	struct jail j;
	jail_init(&j, STAGE_GET, crew->facts, crew->dir->path);
	j.takes_own_uid = a->owns_store;
	add_network(&j);
	jail_path_add(&j, crew->plan->fetch_store, JAIL_WRITE);
	j.file_bytes_max = crew->plan->fetch_bytes + STAGE_FETCH_ITEMS_MAX * 4096 + (1u << 20);
	jail_keep(&j, msg_fd);
	jail_keep(&j, a->deps_fd);
	struct err err = {0};
	if (jail_enter(&j, &err) < 0)
		return stage_fail(msg_fd, JOB_ERROR, JAIL_HINT, "the get stage's jail: %s", err.what);
	const struct stage_get s = {.msg_fd = msg_fd, .plan = crew->plan, .deps_fd = a->deps_fd};
	return stage_get_run(&s);
}

int crew_start_get(const struct crew *crew, int deps_fd, struct child *ret, struct err *err)
{
	const int rc = io_mkdirs(crew->plan->fetch_store, 0700, err);
	const struct get_arg arg = {deps_fd, rc == 0 && give_store(crew, STAGE_GET, crew->plan->fetch_store)};
	return rc < 0 ? rc : start(crew, body_get, &arg, ret, err);
}

/* pack */

struct pack_fds {
	int source_fd, plan_fd;
};

/* A mirror's objects are its fetch stage's, and its group's to read; those of a checkout are whose they are. */
static void choose_pack_uid(const struct crew *crew, const char *objects, struct jail *j)
{
	const struct job_source *source = &crew->plan->source;
	struct stat st;
	if (source->url[0] && !crew->facts->keeps_groups && crew->facts->uids[STAGE_FETCH] && stat(objects, &st) == 0 &&
	    st.st_gid == crew->facts->uids[STAGE_FETCH] && (st.st_mode & 050) == 050) {
		j->also_gid = crew->facts->uids[STAGE_FETCH];
		return;
	}
	bool is_open = jail_others_can_read(objects);
	for (size_t i = 0; is_open && !source->url[0] && i < JOB_ALTERNATES_MAX && source->local_alternates[i][0]; i++)
		is_open = access(source->local_alternates[i], F_OK) < 0 || jail_others_can_read(source->local_alternates[i]);
	j->takes_own_uid = j->takes_own_uid && is_open;
}

static int body_pack(const struct crew *crew, const void *arg, int msg_fd)
{
	const struct pack_fds *fds = arg;
	const struct job_source *source = &crew->plan->source;
	char objects[PATH_MAX + 16];
	if (source->url[0])
		snprintf(objects, sizeof objects, "%s/objects", source->mirror);
	else
		snprintf(objects, sizeof objects, "%s", source->local_objects);
	struct jail j;
	struct stat st;
	/* fetch writes the mirror: a link there must not choose what this stage sees */
	if (source->url[0] && (lstat(objects, &st) < 0 || !S_ISDIR(st.st_mode)))
		return stage_fail(msg_fd, JOB_ERROR, "remove the mirror and try again", "the mirror %s has no folder of objects",
				  source->mirror);
	jail_init(&j, STAGE_PACK, crew->facts, crew->dir->path);
	j.memory_bytes_max = git_memory(crew->plan);
	choose_pack_uid(crew, objects, &j);
	jail_path_add(&j, objects, JAIL_READ);
	for (size_t i = 0; !source->url[0] && i < JOB_ALTERNATES_MAX && source->local_alternates[i][0]; i++)
		jail_path_try(&j, source->local_alternates[i], JAIL_READ);
	jail_keep(&j, msg_fd);
	jail_keep(&j, fds->source_fd);
	jail_keep(&j, fds->plan_fd);
	struct err err = {0};
	if (jail_enter(&j, &err) < 0)
		return stage_fail(msg_fd, JOB_ERROR, JAIL_HINT, "the pack stage's jail: %s", err.what);
	const struct stage_pack s = {msg_fd, crew->plan, objects, fds->source_fd, fds->plan_fd};
	return stage_pack_run(&s);
}

int crew_start_pack(const struct crew *crew, int source_fd, int plan_fd, struct child *ret, struct err *err)
{
	const struct pack_fds fds = {source_fd, plan_fd};
	return start(crew, body_pack, &fds, ret, err);
}

/* accel: trusted code, a trusted guest; only its QEMU is jailed */

static int spawn_jailed(void *ctx, const struct accel_child *child, pid_t *ret_pid, struct err *err)
{
	const struct crew *crew = ctx;
	const pid_t pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "cannot start a probe");
	if (pid == 0) {
		setpgid(0, 0);
		if (standard_descriptors(child->stderr_fd) < 0)
			_exit(127);
		const struct stage_vm s = {
			.facts = crew->facts,
			.mount_point = crew->dir->path,
			.image = crew->image,
			.argv = child->argv,
			.fds = child->keep_fds,
			.fds_len = child->keep_len,
			.with_kvm = true,
			.msg_fd = -1,
		};
		struct err why = {0};
		if (stage_vm_exec(&s, &why) < 0)
			err_print(&why, stderr);
		_exit(127);
	}
	*ret_pid = pid;
	return 0;
}

int crew_prove(const struct crew *crew, const char *cache_path, bool force, struct accel_proof *ret, struct err *err)
{
	struct crew copy = *crew; /* the hook's context is not const */
	const struct accel_request req = {
		.image = crew->image,
		.profile = crew->profile,
		.qemu = crew->qemu,
		.cache_path = cache_path[0] ? cache_path : NULL,
		.force = force,
		.spawn = spawn_jailed,
		.spawn_ctx = &copy,
	};
	return accel_prove(&req, ret, err);
}

static int body_accel(const struct crew *crew, const void *arg, int msg_fd)
{
	(void)arg;
	struct accel_proof proof = {0};
	struct err err = {0};
	if (crew_prove(crew, crew->plan->accel_cache, false, &proof, &err) < 0)
		return stage_fail(msg_fd, JOB_ERROR, err.hint, "the accelerator could not be proven: %s", err.what);
	struct stage_msg msg = {.type = STAGE_MSG_ACCEL, .u.accel.accel = proof.accel};
	snprintf(msg.u.accel.why, sizeof msg.u.accel.why, "%s", proof.why);
	snprintf(msg.u.accel.hint, sizeof msg.u.accel.hint, "%s", proof.hint);
	return stage_send(msg_fd, &msg, NULL) < 0 ? 2 : 0;
}

int crew_start_accel(const struct crew *crew, struct child *ret, struct err *err)
{
	return start(crew, body_accel, NULL, ret, err);
}

/* log */

static int body_log(const struct crew *crew, const void *arg, int msg_fd)
{
	struct stage_log s = *(const struct stage_log *)arg;
	s.msg_fd = msg_fd;
	struct jail j;
	jail_init(&j, STAGE_LOG, crew->facts, crew->dir->path);
	const int fds[] = {msg_fd, s.guest_fd, s.console_fd, s.log_fd, s.run_log_fd, s.console_log_fd};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		jail_keep(&j, fds[i]);
	struct err err = {0};
	if (jail_enter(&j, &err) < 0)
		return stage_fail(msg_fd, JOB_ERROR, JAIL_HINT, "the log stage's jail: %s", err.what);
	return stage_log_run(&s);
}

int crew_start_log(const struct crew *crew, const struct stage_log *s, struct child *ret, struct err *err)
{
	return start(crew, body_log, s, ret, err);
}

/* vm */

static int body_vm(const struct crew *crew, const void *arg, int msg_fd)
{
	const struct crew_vm *a = arg;
	const struct machine *m = a->machine;
	struct machine_argv argv = {0};
	struct err err = {0};
	if (machine_argv(m, &argv, &err) < 0)
		return stage_fail(msg_fd, JOB_ERROR, NULL, "QEMU's command line: %s", err.what);
	int fds[GUEST_DISKS_LEN + 4];
	size_t len = 0;
	for (; len < GUEST_DISKS_LEN; len++)
		fds[len] = m->disk_fds[len];
	fds[len++] = m->console_fd;
	fds[len++] = m->log_fd;
	if (m->qmp_fd >= 0)
		fds[len++] = m->qmp_fd;
	if (m->shell && m->shell[0])
		fds[len++] = m->shell_fd;
	const struct stage_vm s = {
		.facts = crew->facts,
		.mount_point = crew->dir->path,
		.image = crew->image,
		.argv = argv.argv,
		.fds = fds,
		.fds_len = len,
		.file_bytes_max = a->file_bytes_max,
		.cpu_seconds_max = a->cpu_seconds_max,
		.with_kvm = m->accel == JOB_ACCEL_KVM,
		.msg_fd = msg_fd,
	};
	if (cgroup_enter(crew->cgroup, CGROUP_VM, &err) == 0 && stage_vm_exec(&s, &err) == 0)
		err_set(&err, ERR_BUG, "it came back");
	return stage_fail(msg_fd, JOB_ERROR, JAIL_HINT, "QEMU could not start: %s", err.what);
}

int crew_start_vm(const struct crew *crew, const struct crew_vm *vm, struct child *ret, struct err *err)
{
	return start(crew, body_vm, vm, ret, err);
}

/* collect */

/* The artifacts' folder, which crew_start_collect() gave away. */
static bool owns_folder(const struct crew *crew, int out_fd)
{
	struct stat st;
	return crew->facts->uids[STAGE_COLLECT] && fstat(out_fd, &st) == 0 && st.st_uid == crew->facts->uids[STAGE_COLLECT];
}

static int body_collect(const struct crew *crew, const void *arg, int msg_fd)
{
	struct stage_collect s = *(const struct stage_collect *)arg;
	s.msg_fd = msg_fd;
	struct jail j;
	jail_init(&j, STAGE_COLLECT, crew->facts, crew->dir->path);
	j.takes_own_uid = owns_folder(crew, s.out_fd);
	jail_keep(&j, msg_fd);
	jail_keep(&j, s.artifacts_fd);
	if (s.cache_bytes) {
		jail_keep(&j, s.cache_fd);
		jail_keep(&j, s.cache_out_fd);
	}
	j.folder_fd = s.out_fd;
	j.file_bytes_max = (s.max_bytes > s.cache_bytes ? s.max_bytes : s.cache_bytes) + 1;
	struct err err = {0};
	if (jail_enter(&j, &err) < 0)
		return stage_fail(msg_fd, JOB_ERROR, JAIL_HINT, "the collect stage's jail: %s", err.what);
	return stage_collect_run(&s);
}

int crew_start_collect(const struct crew *crew, const struct stage_collect *s, struct child *ret, struct err *err)
{
	const uid_t uid = crew->facts->uids[STAGE_COLLECT];
	if (uid && fchown(s->out_fd, uid, uid) < 0)
		return err_errno(err, errno, "cannot give the artifacts' folder to its stage");
	return start(crew, body_collect, s, ret, err);
}

bool crew_others_can_read(const struct image *image)
{
	struct stat st;
	if (stat(image->dir, &st) < 0 || (st.st_mode & 05) != 05)
		return false;
	for (int id = 0; id < IMAGE_FILES_LEN; id++) {
		char path[PATH_MAX];
		if (image_file_path(image, (enum image_file_id)id, path, sizeof path, NULL) < 0)
			continue;
		if (stat(path, &st) < 0 || !(st.st_mode & 04))
			return false;
	}
	return true;
}
