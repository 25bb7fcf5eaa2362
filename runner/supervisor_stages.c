/* What each state of the supervisor starts, with which files. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "runner/guest.h"
#include "runner/supervisor_parts.h"

#define FILE_SOURCE "source.tar"
#define FILE_PLAN "plan.tar"
#define FILE_ARTIFACTS "artifacts.raw"
#define FILE_DEPS "deps.raw"
#define SECTOR 512
#define BOOT_SECONDS 120

/* A step of ours that did not work: the job ends as error, with this sentence. */
static bool give_up(struct supervisor *s, const struct err *err)
{
	tally_settle(&s->tally, JOB_ERROR, err->hint[0] ? err->hint : NULL, "%s", err->what);
	return false;
}

bool supervisor_start_fetch(struct supervisor *s)
{
	struct err err = {0};
	if (crew_start_fetch(&s->crew, &s->children[STAGE_FETCH], &err) < 0)
		return give_up(s, &err);
	supervisor_stage_began(s, STAGE_FETCH, DEADLINE_FETCH);
	return true;
}

bool supervisor_start_get(struct supervisor *s)
{
	struct err err = {0};
	CLEANUP(cleanup_fd) int deps_fd = -1;
	if (!s->tally.plan.fetch_store[0])
		return true;
	if (workdir_create(&s->dir, FILE_DEPS, 0, &deps_fd, &err) < 0 ||
	    crew_start_get(&s->crew, deps_fd, &s->children[STAGE_GET], &err) < 0)
		return give_up(s, &err);
	return true;
}

void supervisor_tell_get(struct supervisor *s, const struct stage_msg *msg)
{
	struct err err = {0};
	const int fd = s->children[STAGE_GET].msg_fd;
	if (fd < 0)
		tally_settle(&s->tally, JOB_REFUSED, "a node fetches from the hosts that its config.yml lists: 'fetch: [HOST]'",
			     "the plan fetches files, and this node fetches none");
	else if (stage_send(fd, msg, &err) < 0)
		give_up(s, &err);
}

bool supervisor_start_pack(struct supervisor *s)
{
	struct err err = {0};
	CLEANUP(cleanup_fd) int source_fd = -1;
	CLEANUP(cleanup_fd) int plan_fd = -1;
	if (!s->tally.plan.source.commit[0]) {
		tally_settle(&s->tally, JOB_ERROR, NULL, "the fetch stage did not say which commit it is");
		return false;
	}
	if (workdir_create(&s->dir, FILE_SOURCE, 0, &source_fd, &err) < 0 ||
	    workdir_create(&s->dir, FILE_PLAN, 0, &plan_fd, &err) < 0 ||
	    crew_start_pack(&s->crew, source_fd, plan_fd, &s->children[STAGE_PACK], &err) < 0)
		return give_up(s, &err);
	supervisor_stage_began(s, STAGE_PACK, DEADLINE_PACK);
	return true;
}

/* accel */

static bool find_image(struct supervisor *s)
{
	struct err err = {0};
	const int rc = image_find(s->tally.plan.image_store, s->tally.image_asked, &s->image, &err);
	if (rc == ERR_NOT_FOUND || rc == ERR_USAGE) {
		tally_settle(&s->tally, JOB_REFUSED, err.hint, "%s", err.what);
		return false;
	}
	if (rc < 0)
		return give_up(s, &err);
	struct job_report *r = &s->tally.report;
	snprintf(r->image_name, sizeof r->image_name, "%.60s@%.60s", s->image.name, s->image.version);
	snprintf(r->image_digest, sizeof r->image_digest, "%s", s->image.digest);
	s->crew.image = &s->image;
	if (!tally_check_packages(&s->tally, s->image.packages, s->image.packages_len))
		return false;
	if (s->facts.uids[STAGE_VM] && !crew_others_can_read(&s->image)) {
		s->facts.uids[STAGE_VM] = 0;
		jail_describe(&s->facts, r->isolation, sizeof r->isolation);
	}
	return true;
}

static bool find_machine(struct supervisor *s)
{
	struct err err = {0};
	s->crew.profile = s->options->profile ? s->options->profile : machine_profile_default(s->image.arch);
	if (!s->crew.profile) {
		tally_settle(&s->tally, JOB_REFUSED, NULL, "this machine cannot run %s images", s->image.arch);
		return false;
	}
	snprintf(s->tally.report.machine, sizeof s->tally.report.machine, "%s", machine_profile_name(s->crew.profile));
	if (s->options->qemu[0])
		snprintf(s->qemu, sizeof s->qemu, "%s", s->options->qemu);
	else if (machine_qemu_find(s->image.arch, s->qemu, sizeof s->qemu, &err) < 0)
		return give_up(s, &err);
	if (access(s->qemu, X_OK) < 0) {
		tally_settle(&s->tally, JOB_ERROR, "install QEMU, or mend TALKOO_QEMU", "QEMU could not start: no program at %s",
			     s->qemu);
		return false;
	}
	s->crew.qemu = s->qemu;
	return true;
}

bool supervisor_start_accel(struct supervisor *s, bool *ret_skip)
{
	if (!tally_check_limits(&s->tally) || !find_image(s) || !find_machine(s))
		return false;
	*ret_skip = s->tally.plan.accel == JOB_ACCEL_TCG;
	if (*ret_skip) {
		s->tally.report.accel = JOB_ACCEL_TCG;
		return true;
	}
	struct err err = {0};
	if (crew_start_accel(&s->crew, &s->children[STAGE_ACCEL], &err) < 0)
		return give_up(s, &err);
	supervisor_stage_began(s, STAGE_ACCEL, DEADLINE_ACCEL);
	return true;
}

/* vm */

/* All descriptors of one machine, closed on this side once the children have them. */
struct machine_fds {
	int disks[GUEST_DISKS_LEN];
	int log[2], console[2]; /* [0]: the log stage's, [1]: QEMU's */
	int log_file, run_log_file, console_file;
};

static void machine_fds_init(struct machine_fds *f)
{
	memset(f, 0xff, sizeof *f); /* all -1 */
}

static void machine_fds_close(struct machine_fds *f)
{
	int *all = (int *)f;
	for (size_t i = 0; i < sizeof *f / sizeof *all; i++)
		cleanup_fd(&all[i]);
}

/* What each disk is made of. size 0 with a name that exists: the file as pack left it. */
static int open_disk(struct supervisor *s, enum guest_disk disk, int *ret_fd, struct err *err)
{
	const struct job_limits *limits = &s->tally.report.limits;
	char root[PATH_MAX];
	switch (disk) {
	case GUEST_DISK_ROOT:
		if (s->image.files[IMAGE_FILE_ROOT].size_bytes == 0)
			return workdir_create(&s->dir, "root.raw", SECTOR, ret_fd, err);
		if (image_file_path(&s->image, IMAGE_FILE_ROOT, root, sizeof root, err) < 0)
			return err->code;
		*ret_fd = open(root, O_RDONLY | O_CLOEXEC);
		return *ret_fd < 0 ? err_errno(err, errno, "cannot open %s", root) : 0;
	case GUEST_DISK_PLAN:
		return workdir_reopen(&s->dir, FILE_PLAN, ret_fd, err);
	case GUEST_DISK_SOURCE:
		return workdir_reopen(&s->dir, FILE_SOURCE, ret_fd, err);
	case GUEST_DISK_ARTIFACTS:
		return workdir_create(&s->dir, FILE_ARTIFACTS, tally_tar_bytes_max(limits), ret_fd, err);
	case GUEST_DISK_CACHE:
		return supervisor_cache_disk(s, ret_fd, err);
	case GUEST_DISK_DEPS:
		if (s->tally.has_deps)
			return workdir_reopen(&s->dir, FILE_DEPS, ret_fd, err);
		return workdir_create(&s->dir, FILE_DEPS, SECTOR, ret_fd, err);
	case GUEST_DISK_SCRATCH:
		return workdir_create(&s->dir, "scratch.raw", limits->disk_bytes / 4096 * 4096, ret_fd, err);
	case GUEST_DISKS_LEN:
		break;
	}
	return err_set(err, ERR_BUG, "no such disk");
}

/* A read-only disk is handed over read-only, whoever made it. */
static int open_disk_as_contract(struct supervisor *s, enum guest_disk disk, int *ret_fd, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = -1;
	const int rc = open_disk(s, disk, &fd, err);
	if (rc < 0)
		return rc;
	if (!machine_disk_is_read_only(disk) || (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) {
		*ret_fd = fd_take(&fd);
		return 0;
	}
	return workdir_reopen(&s->dir, disk == GUEST_DISK_ROOT ? "root.raw" : FILE_DEPS, ret_fd, err);
}

static int open_machine_fds(struct supervisor *s, struct machine_fds *f, struct err *err)
{
	for (int disk = 0; disk < GUEST_DISKS_LEN; disk++) {
		const int rc = open_disk_as_contract(s, (enum guest_disk)disk, &f->disks[disk], err);
		if (rc < 0)
			return rc;
	}
	int rc = workdir_create(&s->dir, WORKDIR_LOG, 0, &f->log_file, err);
	if (rc == 0)
		rc = workdir_create(&s->dir, WORKDIR_RUNLOG, 0, &f->run_log_file, err);
	if (rc == 0)
		rc = workdir_create(&s->dir, WORKDIR_CONSOLE, 0, &f->console_file, err);
	if (rc == 0 && (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f->log) < 0 ||
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f->console) < 0))
		rc = err_errno(err, errno, "cannot make the guest's ports");
	return rc;
}

static int start_log(struct supervisor *s, const struct machine_fds *f, struct err *err)
{
	const struct job_report *r = &s->tally.report;
	const char *names[JOB_STEPS_MAX];
	for (size_t i = 0; i < r->steps_len; i++)
		names[i] = r->steps[i].name;
	const struct stage_log log = {
		.guest_fd = f->log[0],
		.console_fd = f->console[0],
		.log_fd = f->log_file,
		.run_log_fd = f->run_log_file,
		.console_log_fd = f->console_file,
		.log_bytes = r->limits.log_bytes,
		.step_names = names,
		.steps = (uint32_t)r->steps_len,
		.any_order = s->tally.any_order,
	};
	return crew_start_log(&s->crew, &log, &s->children[STAGE_LOG], err);
}

/* Bytes of QEMU's disks that count as its memory: all of them where the job's folder is on tmpfs. */
static uint64_t disks_in_memory(const struct supervisor *s)
{
	const struct job_limits *limits = &s->tally.report.limits;
	struct statfs fs;
	if (fstatfs(s->dir.fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		return 0;
	return limits->disk_bytes + tally_tar_bytes_max(limits) + s->tally.plan.cache_bytes;
}

/* What all of the guest's processors and one for QEMU itself can do in the job's time, and a boot. */
static uint64_t cpu_seconds(const struct job_limits *limits)
{
	const uint64_t wall_s = limits->timeout_ms / 1000 + BOOT_SECONDS;
	return wall_s < UINT32_MAX ? wall_s * (limits->cpus + 1) : 0;
}

static int start_machine(struct supervisor *s, const struct machine_fds *f, struct err *err)
{
	char kernel[PATH_MAX], initramfs[PATH_MAX];
	int rc = image_file_path(&s->image, IMAGE_FILE_KERNEL, kernel, sizeof kernel, err);
	if (rc == 0)
		rc = image_file_path(&s->image, IMAGE_FILE_INITRAMFS, initramfs, sizeof initramfs, err);
	if (rc < 0)
		return rc;
	const struct job_limits *limits = &s->tally.report.limits;
	struct machine m = {
		.profile = s->crew.profile,
		.accel = s->tally.report.accel,
		.qemu = s->qemu,
		.cpus = limits->cpus,
		.memory_bytes = limits->memory_bytes,
		.kernel = kernel,
		.initramfs = initramfs,
		.slow = s->tally.report.accel == JOB_ACCEL_TCG ? s->tally.plan.timeout_factor_emulated : 1,
		.qmp_fd = -1, /* nothing to say to it that a signal does not say better */
		.console_fd = f->console[1],
		.log_fd = f->log[1],
		.shell = s->tally.plan.shell,
		.shell_fd = JOB_SHELL_FD,
		.tsc_khz = s->crew.profile == MACHINE_X86_64_MICROVM ? machine_tsc_khz() : 0,
	};
	memcpy(m.disk_fds, f->disks, sizeof m.disk_fds);
	rc = cgroup_limit_vm(s->cgroup, machine_memory_max(&m) + disks_in_memory(s), m.cpus + 1, err); /* + 1: its disks, the log */
	if (rc < 0)
		return rc;
	uint64_t largest = tally_tar_bytes_max(limits);
	largest = largest > limits->disk_bytes ? largest : limits->disk_bytes;
	const struct crew_vm vm = {
		.machine = &m,
		.file_bytes_max = largest > s->tally.plan.cache_bytes ? largest : s->tally.plan.cache_bytes,
		.cpu_seconds_max = cpu_seconds(limits),
	};
	return crew_start_vm(&s->crew, &vm, &s->children[STAGE_VM], err);
}

bool supervisor_start_vm(struct supervisor *s)
{
	CLEANUP(machine_fds_close) struct machine_fds f;
	machine_fds_init(&f);
	struct err err = {0};
	int rc = open_machine_fds(s, &f, &err);
	if (rc == 0)
		rc = start_log(s, &f, &err);
	if (rc < 0)
		return give_up(s, &err);
	supervisor_stage_began(s, STAGE_LOG, DEADLINES_LEN);
	tally_vm_started(&s->tally, supervisor_now_ms());
	if (start_machine(s, &f, &err) < 0)
		return give_up(s, &err);
	s->boots++;
	supervisor_stage_began(s, STAGE_VM,
			       s->tally.report.accel == JOB_ACCEL_KVM ? DEADLINE_BOOT_KVM : DEADLINE_BOOT_TCG);
	return true;
}

/* collect */

bool supervisor_start_collect(struct supervisor *s, bool *ret_skip)
{
	*ret_skip = s->tally.tar_bytes == 0 && s->tally.cache_bytes == 0;
	if (*ret_skip)
		return true;
	struct err err = {0};
	CLEANUP(cleanup_fd) int artifacts_fd = -1;
	CLEANUP(cleanup_fd) int out_fd = -1;
	CLEANUP(cleanup_fd) int cache_fd = -1;
	CLEANUP(cleanup_fd) int cache_out_fd = supervisor_cache_new(s);
	if (cache_out_fd >= 0 && workdir_reopen(&s->dir, "cache.raw", &cache_fd, &err) < 0)
		return give_up(s, &err);
	if (workdir_reopen(&s->dir, FILE_ARTIFACTS, &artifacts_fd, &err) < 0 || workdir_artifacts(&s->dir, &out_fd, &err) < 0)
		return give_up(s, &err);
	const struct stage_collect c = {
		.artifacts_fd = artifacts_fd,
		.tar_bytes = s->tally.tar_bytes,
		.out_fd = out_fd,
		.max_bytes = s->tally.report.limits.artifact_bytes,
		.max_count = s->tally.report.limits.artifact_count,
		.cache_fd = cache_fd,
		.cache_bytes = cache_out_fd >= 0 ? s->tally.cache_bytes : 0,
		.cache_out_fd = cache_out_fd,
	};
	if (crew_start_collect(&s->crew, &c, &s->children[STAGE_COLLECT], &err) < 0)
		return give_up(s, &err);
	supervisor_stage_began(s, STAGE_COLLECT, DEADLINE_COLLECT);
	return true;
}
