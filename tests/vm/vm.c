#include "tests/vm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/frames.h"

struct vm_spec vm_spec_default(void)
{
	static char kernel[4096], initramfs[4096];
	const char *const images = getenv("TALKOO_TEST_IMAGES");
	snprintf(kernel, sizeof kernel, "%s/mini@1/kernel", images ? images : "test-images");
	snprintf(initramfs, sizeof initramfs, "%s/mini@1/initramfs", images ? images : "test-images");
	return (struct vm_spec){.profile = machine_profile_default("x86_64"),
				.kernel = kernel,
				.initramfs = initramfs,
				.shell = "sh",
				.memory_bytes = 512ull << 20,
				.scratch_bytes = 1ull << 30,
				.artifact_disk_bytes = 16ull << 20,
				.artifact_bytes = 1ull << 40,
				.artifact_count = 1000,
				.cpus = 1,
				.deadline_ms = 60000};
}

void vm_result_release(struct vm_result *r)
{
	for (int i = 0; i < VM_STEPS_MAX; i++)
		buf_release(&r->output[i]);
	buf_release(&r->notes);
	buf_release(&r->error);
	buf_release(&r->console);
	buf_release(&r->artifacts);
}

static void make_plan(const struct vm_spec *s, struct buf *tar)
{
	char text[256], name[64];
	vm_tar_add(tar, "version", '0', 0644, "1\n", 2);
	snprintf(text, sizeof text, "%s\n", s->shell);
	vm_tar_add(tar, "shell", '0', 0644, text, strlen(text));
	CLEANUP(buf_release) struct buf env;
	buf_init(&env, 1 << 16);
	buf_str(&env, s->env ? s->env : "");
	for (size_t i = 0; i < env.len; i++) {
		if (env.data[i] == '\n')
			env.data[i] = 0;
	}
	vm_tar_add(tar, "env", '0', 0644, buf_cstr(&env), env.len);
	vm_tar_add(tar, "globs", '0', 0644, s->globs ? s->globs : "", s->globs ? strlen(s->globs) : 0);
	snprintf(text, sizeof text, "artifact_bytes %llu\nartifact_count %llu\n", (unsigned long long)s->artifact_bytes,
		 (unsigned long long)s->artifact_count);
	vm_tar_add(tar, "limits", '0', 0644, text, strlen(text));
	for (int i = 0; i < VM_STEPS_MAX && s->steps[i]; i++) {
		snprintf(name, sizeof name, "steps/%03d.name", i);
		snprintf(text, sizeof text, "step %d\n", i + 1);
		vm_tar_add(tar, name, '0', 0644, text, strlen(text));
		snprintf(name, sizeof name, "steps/%03d.run", i);
		vm_tar_add(tar, name, '0', 0644, s->steps[i], strlen(s->steps[i]));
	}
	vm_tar_end(tar);
}

/* A memory file with the bytes, at least one sector long. */
static int disk_from(const void *bytes, size_t len, uint64_t size)
{
	const int fd = memfd_create("disk", 0);
	const uint64_t least = len > size ? len : size;
	if (fd < 0 || (len && io_write_full(fd, bytes, len, NULL)) ||
	    ftruncate(fd, (off_t)((least < 512 ? 512 : least + 511) / 512 * 512)))
		abort();
	return fd;
}

static int reopen_read_only(int fd)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	const int ro = open(path, O_RDONLY);
	close(fd);
	return ro;
}

static void make_disks(const struct vm_spec *s, int *fds)
{
	CLEANUP(buf_release) struct buf plan;
	buf_init(&plan, 64 << 20);
	make_plan(s, &plan);
	for (int i = 0; i < GUEST_DISKS_LEN; i++)
		fds[i] = -1;
	if (s->root)
		fds[GUEST_DISK_ROOT] = open(s->root, O_RDONLY);
	fds[GUEST_DISK_PLAN] = reopen_read_only(disk_from(plan.data, plan.len, 0));
	if (s->source)
		fds[GUEST_DISK_SOURCE] = reopen_read_only(disk_from(s->source->data, s->source->len, 0));
	fds[GUEST_DISK_ARTIFACTS] = disk_from(NULL, 0, s->artifact_disk_bytes);
	fds[GUEST_DISK_SCRATCH] = disk_from(NULL, 0, s->scratch_bytes);
	for (int i = 0; i < GUEST_DISKS_LEN; i++) {
		if (fds[i] < 0)
			fds[i] = machine_disk_is_read_only((enum guest_disk)i) ? reopen_read_only(disk_from(NULL, 0, 512))
									      : disk_from(NULL, 0, 512);
	}
}

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct reading {
	const struct vm_spec *spec;
	struct vm_result *r;
	struct buf in;
	int fd;
	uint64_t start_ms;
};

static uint64_t get_le(const uint8_t *p, int len)
{
	uint64_t v = 0;
	while (len--)
		v = v << 8 | p[len];
	return v;
}

static void take_frame(struct reading *x, int type, unsigned step, const uint8_t *p, size_t len)
{
	struct vm_result *const r = x->r;
	const unsigned now = (unsigned)(now_ms() - x->start_ms);
	if (step >= VM_STEPS_MAX || (type != FRAME_HELLO && !r->hello)) {
		r->protocol_broken = true;
		return;
	}
	switch (type) {
	case FRAME_HELLO:
		r->hello = len == 1 && p[0] == 1;
		r->hello_ms = now;
		break;
	case FRAME_STEP_START:
		if (!r->started++)
			r->first_step_ms = now;
		break;
	case FRAME_OUTPUT:
		r->output_bytes += len;
		if (r->output[step].len < 1 << 20)
			buf_append(&r->output[step], p, len);
		break;
	case FRAME_STEP_END:
		r->exit_codes[step] = (int)get_le(p, 4);
		r->ended++;
		break;
	case FRAME_STAT:
		r->stats++;
		r->last_memory = get_le(p + 8, 8);
		break;
	case FRAME_NOTE:
		buf_append(&r->notes, p, len);
		buf_byte(&r->notes, '\n');
		break;
	case FRAME_LIMIT:
		r->limit = p[0];
		break;
	case FRAME_ERROR:
		buf_append(&r->error, p, len);
		break;
	case FRAME_DONE:
		r->done = len == 9;
		r->done_ms = now;
		r->tar_bytes = get_le(p, 8);
		r->is_partial = p[8];
		break;
	default:
		r->protocol_broken = true;
	}
	if ((type == FRAME_DONE || type == FRAME_ERROR) && !x->spec->ack_late) {
		const uint8_t ack = FRAME_ACK;
		if (write(x->fd, &ack, 1) < 0)
			r->protocol_broken = true;
	}
}

static void parse(struct reading *x)
{
	size_t at = 0;
	while (x->in.len - at >= FRAME_HEADER_LEN && !x->r->protocol_broken) {
		const uint8_t *const h = x->in.data + at;
		const size_t len = get_le(h + 4, 4);
		if (len > FRAME_PAYLOAD_MAX || h[1])
			x->r->protocol_broken = true;
		if (x->r->protocol_broken || x->in.len - at < FRAME_HEADER_LEN + len)
			break;
		take_frame(x, h[0], (unsigned)get_le(h + 2, 2), h + FRAME_HEADER_LEN, len);
		at += FRAME_HEADER_LEN + len;
	}
	buf_consume(&x->in, at);
}

static void watch(struct reading *x, int console)
{
	struct pollfd fds[2] = {{.fd = x->fd, .events = POLLIN}, {.fd = console, .events = POLLIN}};
	static uint8_t bytes[1 << 17];
	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		const uint64_t spent = now_ms() - x->start_ms;
		if (spent >= x->spec->deadline_ms)
			return;
		if (poll(fds, 2, (int)(x->spec->deadline_ms - spent)) <= 0)
			continue;
		for (int i = 0; i < 2; i++) {
			if (!fds[i].revents)
				continue;
			const ssize_t n = read(fds[i].fd, bytes, sizeof bytes);
			if (n <= 0)
				fds[i].fd = -1;
			else if (i)
				buf_append(&x->r->console, bytes, (size_t)n);
			else {
				buf_append(&x->in, bytes, (size_t)n);
				parse(x);
			}
		}
	}
}

static void exec_qemu(char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	execv(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

/* The kernel's line is the last argument. */
static void set_mode(struct machine_argv *a, const char *mode)
{
	char line[4096];
	snprintf(line, sizeof line, "%s -- %s", a->argv[a->len - 1], mode);
	free(a->argv[a->len - 1]);
	a->argv[a->len - 1] = strdup(line);
}

static void collect(const struct vm_result *r, int fd, struct buf *out)
{
	char bytes[65536];
	for (uint64_t left = r->tar_bytes; left;) {
		const ssize_t n = pread(fd, bytes, left < sizeof bytes ? (size_t)left : sizeof bytes, (off_t)(r->tar_bytes - left));
		if (n <= 0)
			return;
		buf_append(out, bytes, (size_t)n);
		left -= (uint64_t)n;
	}
}

int vm_run(const struct vm_spec *spec, struct vm_result *ret)
{
	memset(ret, 0, sizeof *ret);
	for (int i = 0; i < VM_STEPS_MAX; i++) {
		buf_init(&ret->output[i], 4 << 20);
		ret->exit_codes[i] = -1;
	}
	buf_init(&ret->notes, 1 << 20);
	buf_init(&ret->error, 1 << 20);
	buf_init(&ret->console, 1 << 20);
	buf_init(&ret->artifacts, 64 << 20);
	char qemu[4096];
	struct err err = {0};
	struct machine_argv argv = {0};
	int log[2], console[2];
	if (machine_qemu_find("x86_64", qemu, sizeof qemu, &err) || socketpair(AF_UNIX, SOCK_STREAM, 0, log) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, console)) {
		err_print(&err, stderr);
		return -1;
	}
	struct machine m = {.profile = spec->profile, .accel = JOB_ACCEL_TCG, .qemu = qemu, .cpus = spec->cpus,
			    .memory_bytes = spec->memory_bytes, .kernel = spec->kernel, .initramfs = spec->initramfs,
			    .qmp_fd = -1, .console_fd = console[1], .log_fd = log[1], .tsc_khz = machine_tsc_khz()};
	make_disks(spec, m.disk_fds);
	if (machine_argv(&m, &argv, &err)) {
		err_print(&err, stderr);
		return -1;
	}
	if (spec->kernel_mode)
		set_mode(&argv, spec->kernel_mode);
	fcntl(log[0], F_SETFD, FD_CLOEXEC);
	fcntl(console[0], F_SETFD, FD_CLOEXEC);
	struct reading x = {.spec = spec, .r = ret, .fd = log[0], .start_ms = now_ms()};
	buf_init(&x.in, 8 << 20);
	const pid_t pid = fork();
	if (pid == 0)
		exec_qemu(argv.argv);
	close(log[1]);
	close(console[1]);
	watch(&x, console[0]);
	ret->was_killed = now_ms() - x.start_ms >= spec->deadline_ms;
	if (ret->was_killed)
		kill(pid, SIGKILL);
	waitpid(pid, &ret->exit_status, 0);
	ret->exit_ms = (unsigned)(now_ms() - x.start_ms);
	collect(ret, m.disk_fds[GUEST_DISK_ARTIFACTS], &ret->artifacts);
	for (int i = 0; i < GUEST_DISKS_LEN; i++)
		close(m.disk_fds[i]);
	close(log[0]);
	close(console[0]);
	buf_release(&x.in);
	machine_argv_release(&argv);
	return 0;
}
