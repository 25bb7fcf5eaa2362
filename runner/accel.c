#include "runner/accel.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/buf.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/sanitise.h"
#include "runner/frames.h"

#define KILL_WAIT_MS 1000
#define PROBE_MEMORY (256ull << 20)
#define CACHE_BYTES_MAX 8192
#define STDERR_MAX 400

/* What a cached answer holds for. */
struct key {
	char boot_id[64];
	char qemu[4096];
	char kernel[65], initramfs[65], machine[16];
	long long qemu_size, qemu_mtime_ns, uid;
};

/* One boot's descriptors; -1 = closed. */
struct probe {
	int disks[GUEST_DISKS_LEN];
	int log[2], console[2], messages[2]; /* [0] ours, [1] QEMU's */
	pid_t pid;
	bool said_hello, ended, status_ok;
	char text[STDERR_MAX];
	size_t text_len;
};

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void cleanup_json(json_t **object)
{
	json_decref(*object);
}

static void make_key(const struct image *image, const char *qemu, enum machine_profile profile, struct key *ret)
{
	struct stat st = {0};
	memset(ret, 0, sizeof *ret);
	CLEANUP(cleanup_fd) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, ret->boot_id, sizeof ret->boot_id - 1) > 0)
		ret->boot_id[strcspn(ret->boot_id, "\n")] = 0;
	if (!stat(qemu, &st)) {
		ret->qemu_size = (long long)st.st_size;
		ret->qemu_mtime_ns = (long long)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	}
	snprintf(ret->qemu, sizeof ret->qemu, "%s", qemu);
	snprintf(ret->kernel, sizeof ret->kernel, "%s", image->files[IMAGE_FILE_KERNEL].sha256);
	snprintf(ret->initramfs, sizeof ret->initramfs, "%s", image->files[IMAGE_FILE_INITRAMFS].sha256);
	snprintf(ret->machine, sizeof ret->machine, "%s", machine_profile_name(profile));
	ret->uid = (long long)geteuid();
}

static json_t *key_to_json(const struct key *k)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "boot_id", k->boot_id, "qemu", k->qemu, "kernel", k->kernel,
			 "initramfs", k->initramfs, "machine", k->machine, "qemu_size", (json_int_t)k->qemu_size, "qemu_mtime_ns",
			 (json_int_t)k->qemu_mtime_ns, "uid", (json_int_t)k->uid);
}

/* A cached answer that still holds. Anything odd about the file is the same as no file. */
static bool cache_read(const char *path, const struct key *key, struct accel_proof *ret)
{
	CLEANUP(buf_release) struct buf bytes;
	buf_init(&bytes, CACHE_BYTES_MAX);
	if (io_read_file(path, &bytes, NULL))
		return false;
	CLEANUP(cleanup_json) json_t *file = json_loadb(buf_cstr(&bytes), bytes.len, JSON_REJECT_DUPLICATES, NULL);
	CLEANUP(cleanup_json) json_t *wanted = key_to_json(key);
	const char *accel = NULL, *why = NULL, *hint = NULL;
	json_int_t v = 0, until_ms = 0, boot_ms = 0;
	json_t *found = NULL;
	if (!file || !wanted || json_unpack(file, "{s:I, s:o, s:s, s:s, s:s, s:I, s:I}", "v", &v, "key", &found, "accel", &accel,
					    "why", &why, "hint", &hint, "until_ms", &until_ms, "boot_ms", &boot_ms))
		return false;
	struct accel_proof proof = {.cached = true, .boot_ms = boot_ms < 0 || boot_ms > 3600000 ? 0 : (uint32_t)boot_ms};
	if (v != 1 || !json_equal(found, wanted) || !job_accel_parse(accel, &proof.accel) || proof.accel == JOB_ACCEL_AUTO)
		return false;
	const uint64_t now = clock_ms(CLOCK_BOOTTIME);
	if (proof.accel == JOB_ACCEL_TCG && (until_ms < 0 || (uint64_t)until_ms <= now ||
					     (uint64_t)until_ms > now + ACCEL_NO_EXPIRES_MS))
		return false;
	sanitise_line(proof.why, sizeof proof.why, why);
	sanitise_line(proof.hint, sizeof proof.hint, hint);
	*ret = proof;
	return true;
}

static void cache_write(const char *path, const struct key *key, const struct accel_proof *proof)
{
	CLEANUP(cleanup_json) json_t *file =
		json_pack("{s:i, s:o, s:s, s:s, s:s, s:I, s:I}", "v", 1, "key", key_to_json(key), "accel",
			  job_accel_name(proof->accel), "why", proof->why, "hint", proof->hint, "until_ms",
			  (json_int_t)(clock_ms(CLOCK_BOOTTIME) + ACCEL_NO_EXPIRES_MS), "boot_ms", (json_int_t)proof->boot_ms);
	char *const text = file ? json_dumps(file, JSON_INDENT(1)) : NULL;
	struct err ignored;
	if (text && io_replace_file(path, text, strlen(text), 0600, &ignored)) {
		/* asked anew next time */
	}
	free(text);
}

static void probe_init(struct probe *p)
{
	*p = (struct probe){.log = {-1, -1}, .console = {-1, -1}, .messages = {-1, -1}, .pid = -1};
	for (int i = 0; i < GUEST_DISKS_LEN; i++)
		p->disks[i] = -1;
}

/* Ends the machine for good. False when it does not even die of SIGKILL: stuck in the kernel. */
static bool probe_end(struct probe *p)
{
	if (p->pid <= 0 || p->ended)
		return true;
	kill(-p->pid, SIGKILL);
	kill(p->pid, SIGKILL);
	for (const uint64_t end = clock_ms(CLOCK_MONOTONIC) + KILL_WAIT_MS; clock_ms(CLOCK_MONOTONIC) < end;) {
		if (waitpid(p->pid, NULL, WNOHANG) != 0) {
			p->ended = true;
			return true;
		}
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
	}
	return false;
}

static void probe_release(struct probe *p)
{
	if (!probe_end(p)) {
		/* the caller has said so already; there is nothing left to try */
	}
	for (int i = 0; i < GUEST_DISKS_LEN; i++)
		cleanup_fd(&p->disks[i]);
	for (int i = 0; i < 2; i++) {
		cleanup_fd(&p->log[i]);
		cleanup_fd(&p->console[i]);
		cleanup_fd(&p->messages[i]);
	}
}

static int probe_open(struct probe *p, struct err *err)
{
	for (int i = 0; i < GUEST_DISKS_LEN; i++) {
		char path[64];
		CLEANUP(cleanup_fd) int fd = memfd_create("talkoo-probe", MFD_CLOEXEC);
		if (fd < 0 || ftruncate(fd, 512))
			return err_errno(err, errno, "making a disk for the probe");
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		p->disks[i] = machine_disk_is_read_only((enum guest_disk)i) ? open(path, O_RDONLY | O_CLOEXEC) : fd_take(&fd);
		if (p->disks[i] < 0)
			return err_errno(err, errno, "making a disk for the probe");
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->log) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->console) || pipe2(p->messages, O_CLOEXEC))
		return err_errno(err, errno, "making sockets for the probe");
	return 0;
}

/* Between fork and exec: system calls only. */
static void exec_child(const struct accel_child *child, pid_t parent)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	const int null = open("/dev/null", O_RDWR);
	if (getppid() != parent || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(child->stderr_fd, 2) < 0)
		_exit(126);
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; i < child->keep_len; i++)
		fcntl(child->keep_fds[i], F_SETFD, 0);
	execv(child->argv[0], child->argv);
	_exit(127);
}

static int plain_spawn(void *ctx, const struct accel_child *child, pid_t *ret_pid, struct err *err)
{
	(void)ctx;
	const pid_t parent = getpid(), pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "starting QEMU");
	if (pid == 0)
		exec_child(child, parent);
	setpgid(pid, pid);
	*ret_pid = pid;
	return 0;
}

static int probe_start(const struct accel_request *req, const struct machine *base, struct probe *p, struct err *err)
{
	struct machine m = *base;
	memcpy(m.disk_fds, p->disks, sizeof m.disk_fds);
	m.qmp_fd = -1;
	m.console_fd = p->console[1];
	m.log_fd = p->log[1];
	CLEANUP(machine_argv_release) struct machine_argv argv = {0};
	int rc = machine_argv(&m, &argv, err);
	if (rc)
		return rc;
	int keep[GUEST_DISKS_LEN + 2];
	memcpy(keep, p->disks, sizeof p->disks);
	keep[GUEST_DISKS_LEN] = p->console[1];
	keep[GUEST_DISKS_LEN + 1] = p->log[1];
	const struct accel_child child = {
		.argv = argv.argv, .stderr_fd = p->messages[1], .keep_fds = keep, .keep_len = GUEST_DISKS_LEN + 2};
	rc = (req->spawn ? req->spawn : plain_spawn)(req->spawn_ctx, &child, &p->pid, err);
	/* QEMU's ends are QEMU's alone, so that their end is seen */
	int *const theirs[] = {&p->log[1], &p->console[1], &p->messages[1]};
	for (size_t i = 0; i < ARRAY_LEN(theirs); i++) {
		close(*theirs[i]);
		*theirs[i] = -1;
	}
	return rc;
}

/* The guest's first frame; it is answered, so that the guest goes off at once. */
static void on_log(struct probe *p, const uint8_t *bytes, ssize_t n)
{
	static const uint8_t hello[] = {FRAME_HELLO, 0, 0, 0, 1, 0, 0, 0, 1};
	if (p->said_hello || n < (ssize_t)sizeof hello || memcmp(bytes, hello, sizeof hello))
		return;
	const uint8_t ack = FRAME_ACK;
	p->said_hello = send(p->log[0], &ack, 1, MSG_NOSIGNAL) == 1;
}

/* One readable descriptor. False at its end. */
static bool probe_read(struct probe *p, int which, int fd)
{
	uint8_t bytes[4096];
	const ssize_t n = read(fd, bytes, sizeof bytes);
	if (n <= 0)
		return n < 0 && errno == EINTR;
	if (which == 0)
		on_log(p, bytes, n);
	for (ssize_t i = 0; which == 2 && i < n && p->text_len < sizeof p->text - 1; i++)
		p->text[p->text_len++] = (char)bytes[i];
	return true;
}

/* Until QEMU has closed everything, or the deadline. */
static void probe_watch(struct probe *p, uint64_t end_ms)
{
	struct pollfd fds[3] = {{.fd = p->log[0], .events = POLLIN},
				{.fd = p->console[0], .events = POLLIN},
				{.fd = p->messages[0], .events = POLLIN}};
	while (fds[0].fd >= 0 || fds[1].fd >= 0 || fds[2].fd >= 0) {
		const uint64_t now = clock_ms(CLOCK_MONOTONIC);
		if (now >= end_ms)
			return;
		if (poll(fds, 3, (int)(end_ms - now)) <= 0)
			continue;
		for (int i = 0; i < 3; i++) {
			if (fds[i].fd >= 0 && fds[i].revents && !probe_read(p, i, fds[i].fd))
				fds[i].fd = -1;
		}
	}
	while (!p->ended && clock_ms(CLOCK_MONOTONIC) < end_ms) {
		int status = 0;
		const pid_t pid = waitpid(p->pid, &status, WNOHANG);
		p->ended = pid != 0;
		p->status_ok = pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
		if (!p->ended)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

/* Why a probe that did not succeed failed, as half a sentence. */
static void describe(struct probe *p, bool has_died, unsigned deadline_ms, char *out, size_t size)
{
	char text[STDERR_MAX];
	p->text[p->text_len] = 0;
	p->text[strcspn(p->text, "\n")] = 0;
	sanitise_line(text, sizeof text, p->text);
	if (p->ended && has_died && text[0])
		snprintf(out, size, "QEMU gave up: %.160s", text);
	else if (p->ended && has_died)
		snprintf(out, size, "the guest ended before it was up");
	else
		snprintf(out, size, "the guest %s within %.1f s%s", p->said_hello ? "did not power off" : "was not up",
			 deadline_ms / 1000.0, has_died ? "" : ", and QEMU cannot be killed (it hangs in the kernel)");
}

/* 0 with *ret_ok; *ret_ms how long it took. */
static int run_probe(const struct accel_request *req, const struct machine *m, bool *ret_ok, uint32_t *ret_ms,
		     char *why, size_t why_size, struct err *err)
{
	CLEANUP(probe_release) struct probe p;
	probe_init(&p);
	const unsigned deadline_ms = req->deadline_ms ? req->deadline_ms : ACCEL_DEADLINE_MS;
	int rc = probe_open(&p, err);
	const uint64_t start = clock_ms(CLOCK_MONOTONIC);
	if (!rc)
		rc = probe_start(req, m, &p, err);
	if (rc)
		return rc;
	probe_watch(&p, start + deadline_ms);
	*ret_ok = p.said_hello && p.ended && p.status_ok;
	*ret_ms = (uint32_t)(clock_ms(CLOCK_MONOTONIC) - start);
	if (!*ret_ok) {
		const bool ended_alone = p.ended;
		const bool has_died = probe_end(&p);
		p.ended = ended_alone;
		describe(&p, has_died, deadline_ms, why, why_size);
		p.ended = has_died;
		if (!has_died)
			p.pid = -1; /* left to the kernel */
	}
	return 0;
}

/* The cheap look first: a device that cannot even be opened for us needs no probe, and no cache. */
static bool device_is_usable(const char *path, struct accel_proof *ret)
{
	ret->accel = JOB_ACCEL_TCG;
	if (!access(path, R_OK | W_OK))
		return true;
	const bool is_there = errno == EACCES || errno == EPERM;
	snprintf(ret->why, sizeof ret->why, is_there ? "%s may not be opened by this user" : "this machine has no %s", path);
	snprintf(ret->hint, sizeof ret->hint, "%s",
		 is_there ? "add the user to the group kvm (`adduser USER kvm`) and log in again"
			  : "enable virtualisation (VT-x, AMD-V, or nested virtualisation) and load the module kvm_intel or kvm_amd");
	return false;
}

static int prove(const struct accel_request *req, const struct machine *m, struct accel_proof *ret, struct err *err)
{
	char why[224] = "";
	for (int i = 0; i < ACCEL_PROBES; i++) {
		bool ok = false;
		uint32_t ms = 0;
		const int rc = run_probe(req, m, &ok, &ms, why, sizeof why, err);
		if (rc)
			return rc;
		ret->boot_ms = ms > ret->boot_ms ? ms : ret->boot_ms;
		if (ok)
			continue;
		snprintf(ret->why, sizeof ret->why, "KVM is there but %s", why);
		/* it could be opened here: in the jail QEMU has another uid, and /dev/kvm's group */
		snprintf(ret->hint, sizeof ret->hint, "%s",
			 strstr(why, "Permission denied") ? "/dev/kvm is root's alone: `chgrp kvm /dev/kvm && chmod 660 /dev/kvm`, as QEMU's package does" :
			 "jobs run under emulation, about ten times slower; nested virtualisation often behaves so. `talkoo doctor --again` asks anew");
		return 0;
	}
	ret->accel = JOB_ACCEL_KVM;
	snprintf(ret->why, sizeof ret->why, "KVM booted the image's kernel %d times, in at most %.1f s", ACCEL_PROBES,
		 ret->boot_ms / 1000.0);
	return 0;
}

int accel_prove(const struct accel_request *req, struct accel_proof *ret, struct err *err)
{
	struct accel_proof proof = {0};
	if (!device_is_usable(req->kvm_device ? req->kvm_device : "/dev/kvm", &proof)) {
		*ret = proof;
		return 0;
	}
	char found[4096], kernel[PATH_MAX], initramfs[PATH_MAX];
	int rc = req->qemu ? 0 : machine_qemu_find(req->image->arch, found, sizeof found, err);
	if (!rc)
		rc = image_file_path(req->image, IMAGE_FILE_KERNEL, kernel, sizeof kernel, err);
	if (!rc)
		rc = image_file_path(req->image, IMAGE_FILE_INITRAMFS, initramfs, sizeof initramfs, err);
	if (rc)
		return rc;
	const char *const qemu = req->qemu ? req->qemu : found;
	struct key key;
	const enum machine_profile profile = req->profile ? req->profile : machine_profile_default(req->image->arch);
	make_key(req->image, qemu, profile, &key);
	if (req->cache_path && !req->force && cache_read(req->cache_path, &key, ret))
		return 0;
	const struct machine m = {.profile = profile,
				  .accel = req->probe_with ? req->probe_with : JOB_ACCEL_KVM,
				  .qemu = qemu,
				  .cpus = 1,
				  .memory_bytes = PROBE_MEMORY,
				  .kernel = kernel,
				  .initramfs = initramfs,
				  .tsc_khz = machine_tsc_khz(),
				  .probe = true};
	rc = prove(req, &m, &proof, err);
	if (rc)
		return rc;
	if (req->cache_path)
		cache_write(req->cache_path, &key, &proof);
	*ret = proof;
	return 0;
}
