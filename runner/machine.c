#include "runner/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/buf.h"
#include "proto/base/cleanup.h"

#define ARGS_MAX 160
#define ARG_BYTES_MAX 8192
#define OWN_MEMORY (256ull << 20) /* QEMU's, beside the guest's */

/* What differs between machines. Everything else is machine_argv()'s. */
struct profile {
	enum machine_profile id;
	const char *name, *arch;
	const char *qemu, *qemu_package;
	const char *machine;       /* -machine, without accel */
	const char *bus;           /* virtio-blk-BUS */
	const char *bus_options;   /* behind every virtio device */
	const char *cpu;           /* one model for KVM and emulation: the guest looks the same at every donor */
	const char *cpu_kvm;       /* what emulation cannot do, and software does not see */
	const char *kernel_line;
	bool needs_tsc;            /* tsc_early_khz must be given */
};

/* A 64-bit baseline of 2011 (x86-64-v2 and AES), without a vendor's peculiarities: what the host lacks of it is left out by
 * QEMU, what it has beyond is hidden. rdrand: the first random byte need not wait for jitter. */
#define X86_CPU "qemu64,+pni,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,+lahf_lm,+aes,+pclmulqdq,+rdrand,+rdtscp,-svm"
/* noreplace-smp: rewriting the kernel's lock prefixes costs a tenth of an emulated boot. panic=-1: reset at once, which
 * -no-reboot makes the end. mitigations protect a guest from itself, which owns it. */
#define KERNEL_LINE                                                                                                    \
	"console=ttyS0 quiet panic=-1 cryptomgr.notests mitigations=off random.trust_cpu=on random.trust_bootloader=on "  \
	"noreplace-smp i8042.noaux i8042.nokbd 8250.nr_uarts=1"

/* The first of an architecture that this host can give its guests is its default. microvm: fewer devices to attack, a
 * fifth less to boot; 0 of 200 boots on a busy host hung, given tsc_early_khz. */
static const struct profile profiles[] = {
	{.id = MACHINE_X86_64_MICROVM,
	 .name = "microvm",
	 .arch = "x86_64",
	 .qemu = "qemu-system-x86_64",
	 .qemu_package = "qemu-system-x86",
	 .machine = "microvm,pit=off,rtc=on,acpi=on,pcie=off,usb=off,x-option-roms=off,auto-kernel-cmdline=off",
	 .bus = "device",
	 .bus_options = "",
	 .cpu = X86_CPU,
	 .cpu_kvm = ",+tsc-deadline",
	 .kernel_line = KERNEL_LINE,
	 .needs_tsc = true},
	{.id = MACHINE_X86_64_Q35,
	 .name = "q35",
	 .arch = "x86_64",
	 .qemu = "qemu-system-x86_64",
	 .qemu_package = "qemu-system-x86",
	 .machine = "q35,smm=off,vmport=off,hpet=off,sata=off,smbus=off,usb=off,graphics=off",
	 .bus = "pci",
	 .bus_options = ",disable-legacy=on",
	 .cpu = X86_CPU,
	 .cpu_kvm = ",+tsc-deadline",
	 .kernel_line = KERNEL_LINE " pci=noaer"},
};

static const char *const serials[GUEST_DISKS_LEN] = {
#define X(name, value, serial) [value] = serial,
	GUEST_DISKS(X)
#undef X
};

static const struct profile *find_profile(enum machine_profile id)
{
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		if (profiles[i].id == id)
			return &profiles[i];
	}
	return NULL;
}

enum machine_profile machine_profile_default(const char *arch)
{
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		if (!strcmp(profiles[i].arch, arch) && (!profiles[i].needs_tsc || machine_tsc_khz()))
			return profiles[i].id;
	}
	return (enum machine_profile)0;
}

enum machine_profile machine_profile_other(enum machine_profile p)
{
	const struct profile *const from = find_profile(p);
	for (size_t i = 0; from && i < ARRAY_LEN(profiles); i++) {
		if (profiles[i].id != p && !profiles[i].needs_tsc && !strcmp(profiles[i].arch, from->arch))
			return profiles[i].id;
	}
	return p;
}

const char *machine_profile_name(enum machine_profile p)
{
	const struct profile *const profile = find_profile(p);
	return profile ? profile->name : "unknown";
}

bool machine_profile_parse(const char *text, enum machine_profile *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		if (!strcmp(profiles[i].name, text)) {
			*ret = profiles[i].id;
			return true;
		}
	}
	return false;
}

bool machine_disk_is_read_only(enum guest_disk disk)
{
	switch (disk) {
	case GUEST_DISK_ROOT:
	case GUEST_DISK_PLAN:
	case GUEST_DISK_SOURCE:
	case GUEST_DISK_DEPS:
		return true;
	case GUEST_DISK_ARTIFACTS:
	case GUEST_DISK_CACHE:
	case GUEST_DISK_SCRATCH:
	case GUEST_DISKS_LEN:
		return false;
	}
	return false;
}

void machine_argv_release(struct machine_argv *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->len; i++)
		free(a->argv[i]);
	free(a->argv);
	*a = (struct machine_argv){0};
}

/* A vector being built; once it failed it stays failed. */
struct args {
	struct machine_argv out;
	bool failed;
};

static void add(struct args *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void add(struct args *a, const char *fmt, ...)
{
	char text[ARG_BYTES_MAX];
	va_list list;
	va_start(list, fmt);
	const int len = vsnprintf(text, sizeof text, fmt, list);
	va_end(list);
	char *const copy = len < 0 || (size_t)len >= sizeof text || a->out.len >= ARGS_MAX ? NULL : strdup(text);
	if (!copy) {
		a->failed = true;
		return;
	}
	a->out.argv[a->out.len++] = copy;
}

static void add_pair(struct args *a, const char *option, const char *value)
{
	add(a, "%s", option);
	add(a, "%s", value);
}

static bool path_is_usable(const char *path)
{
	return path && path[0] && !strchr(path, ',') && strlen(path) < 4096;
}

static bool has_shell(const struct machine *m)
{
	return m->shell && m->shell[0];
}

static int check_fds(const struct machine *m, struct err *err)
{
	int fds[GUEST_DISKS_LEN + 4];
	size_t len = 0;
	for (; len < GUEST_DISKS_LEN; len++)
		fds[len] = m->disk_fds[len];
	fds[len++] = m->console_fd;
	fds[len++] = m->log_fd;
	if (m->qmp_fd != -1)
		fds[len++] = m->qmp_fd;
	if (has_shell(m))
		fds[len++] = m->shell_fd;
	for (size_t i = 0; i < len; i++) {
		if (fds[i] < 3)
			return err_set(err, ERR_USAGE, "machine: descriptor %d is not one that QEMU can inherit", fds[i]);
		for (size_t j = 0; j < i; j++) {
			if (fds[i] == fds[j])
				return err_set(err, ERR_USAGE, "machine: descriptor %d is given twice", fds[i]);
		}
	}
	return 0;
}

static int check(const struct machine *m, const struct profile *p, struct err *err)
{
	if (!p)
		return err_set(err, ERR_USAGE, "machine: there is no such profile");
	if (m->accel != JOB_ACCEL_KVM && m->accel != JOB_ACCEL_TCG)
		return err_set(err, ERR_USAGE, "machine: the accelerator is not chosen");
	if (m->cpus < 1 || m->cpus > MACHINE_CPUS_MAX)
		return err_set(err, ERR_USAGE, "machine: %u cpus are not between 1 and %d", m->cpus, MACHINE_CPUS_MAX);
	if (m->memory_bytes < MACHINE_MEMORY_MIN)
		return err_set(err, ERR_USAGE, "machine: %llu MiB of memory are under %llu", (unsigned long long)(m->memory_bytes >> 20),
			       (unsigned long long)(MACHINE_MEMORY_MIN >> 20));
	if (!path_is_usable(m->qemu) || !path_is_usable(m->kernel) || !path_is_usable(m->initramfs) ||
	    (m->firmware_dir && !path_is_usable(m->firmware_dir)))
		return err_set(err, ERR_USAGE, "machine: a path is missing, too long or has a comma");
	if (p->needs_tsc && !m->tsc_khz)
		return err_set(err, ERR_USAGE, "machine: %s hangs on a busy host without the time stamp counter's frequency", p->name);
	return check_fds(m, err);
}

/* Translation cache of the emulator: 64 MiB halves its speed, QEMU's own choice is up to 1 GiB. */
static unsigned translation_cache_mib(const struct machine *m)
{
	const uint64_t quarter = (m->memory_bytes >> 20) / 4;
	return quarter < 128 ? 128 : quarter > 512 ? 512 : (unsigned)quarter;
}

uint64_t machine_memory_max(const struct machine *m)
{
	const uint64_t translations = m->accel == JOB_ACCEL_TCG ? (uint64_t)translation_cache_mib(m) << 20 : 0;
	return m->memory_bytes + OWN_MEMORY + translations;
}

static void add_machine(struct args *a, const struct machine *m, const struct profile *p)
{
	add(a, "%s", m->qemu);
	add_pair(a, "-nodefaults", "-no-user-config");
	add_pair(a, "-display", "none");
	add_pair(a, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	if (m->firmware_dir)
		add_pair(a, "-L", m->firmware_dir);
	add(a, "-machine");
	add(a, "%s,mem-merge=off,dump-guest-core=off", p->machine);
	add(a, "-accel");
	if (m->accel == JOB_ACCEL_KVM)
		add(a, "kvm");
	else
		add(a, "tcg,thread=multi,tb-size=%u", translation_cache_mib(m));
	add(a, "-cpu");
	add(a, "%s%s", p->cpu, m->accel == JOB_ACCEL_KVM ? p->cpu_kvm : "");
	add(a, "-smp");
	add(a, "%u,sockets=1,cores=%u,threads=1", m->cpus, m->cpus);
	add(a, "-m");
	add(a, "%lluM", (unsigned long long)(m->memory_bytes >> 20));
	add_pair(a, "-uuid", "00000000-0000-4000-8000-000000000001");
	add_pair(a, "-rtc", "base=utc,clock=host");
	add(a, "-no-reboot");
}

/* The same answers at every donor, whatever its firmware says. */
static void add_smbios(struct args *a)
{
	static const char *const tables[] = {
		"type=0,vendor=Talkoo,version=1,date=01/01/2026",
		"type=1,manufacturer=Talkoo,product=Talkoo,version=1,serial=1,uuid=00000000-0000-4000-8000-000000000001,sku=1,family=Talkoo",
		"type=2,manufacturer=Talkoo,product=Talkoo,version=1,serial=1",
		"type=3,manufacturer=Talkoo,version=1,serial=1",
		"type=4,manufacturer=Talkoo,version=1,serial=1",
	};
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		add_pair(a, "-smbios", tables[i]);
}

static void add_chardev(struct args *a, const char *id, int fd)
{
	add(a, "-chardev");
	add(a, "socket,id=%s,fd=%d", id, fd);
}

static void add_ports(struct args *a, const struct machine *m, const struct profile *p)
{
	if (m->qmp_fd != -1) {
		add_chardev(a, "qmp", m->qmp_fd);
		add_pair(a, "-mon", "chardev=qmp,mode=control");
	}
	add_chardev(a, "console", m->console_fd);
	add_pair(a, "-serial", "chardev:console");
	add_chardev(a, "log", m->log_fd);
	add(a, "-device");
	add(a, "virtio-serial-%s,max_ports=%d%s", p->bus, has_shell(m) ? 3 : 2, p->bus_options);
	add_pair(a, "-device", "virtserialport,chardev=log,nr=1,name=" GUEST_LOG_PORT);
	if (has_shell(m)) {
		add_chardev(a, "shell", m->shell_fd);
		add_pair(a, "-device", "virtserialport,chardev=shell,nr=2,name=" GUEST_SHELL_PORT);
	}
	add_pair(a, "-object", "rng-builtin,id=rng");
	add(a, "-device");
	add(a, "virtio-rng-%s,rng=rng%s", p->bus, p->bus_options);
}

/* Descriptors become QEMU's /dev/fdset/N, so nothing is opened by name. Nothing a job writes needs to survive the host's
 * power: flushes stay in memory (no-flush). Locks would need /dev/null in the jail and guard nothing here. */
static void add_disk(struct args *a, const struct machine *m, const struct profile *p, enum guest_disk disk)
{
	const int fd = m->disk_fds[disk];
	const bool read_only = machine_disk_is_read_only(disk);
	add(a, "-add-fd");
	add(a, "fd=%d,set=%d", fd, (int)disk + 1);
	add(a, "-blockdev");
	add(a, "driver=raw,node-name=%s,read-only=%s,cache.no-flush=on,discard=unmap,"
	       "file.driver=file,file.filename=/dev/fdset/%d,file.locking=off,file.aio=threads",
	    serials[disk], read_only ? "on" : "off", (int)disk + 1);
	add(a, "-device");
	add(a, "virtio-blk-%s,drive=%s,serial=%s,num-queues=1%s", p->bus, serials[disk], serials[disk], p->bus_options);
}

static void add_kernel(struct args *a, const struct machine *m, const struct profile *p)
{
	char tsc[64] = "", slow[64] = "", shell[64] = "";
	if (m->slow > 1)
		snprintf(slow, sizeof slow, " " GUEST_SLOW "%" PRIu64, m->slow);
	if (has_shell(m))
		snprintf(shell, sizeof shell, " " GUEST_SHELL "%.16s", m->shell);
	if (m->tsc_khz)
		snprintf(tsc, sizeof tsc, " tsc_early_khz=%u%s", m->tsc_khz, m->accel == JOB_ACCEL_TCG ? " tsc=reliable" : "");
	add_pair(a, "-kernel", m->kernel);
	add_pair(a, "-initrd", m->initramfs);
	add(a, "-append");
	if (m->probe)
		add(a, "%s%s -- probe", p->kernel_line, tsc);
	else
		add(a, "%s%s%s%s%s", p->kernel_line, tsc, slow[0] || shell[0] ? " --" : "", slow, shell);
}

int machine_argv(const struct machine *m, struct machine_argv *ret, struct err *err)
{
	const struct profile *const p = find_profile(m->profile);
	const int rc = check(m, p, err);
	if (rc)
		return rc;
	struct args a = {.out.argv = calloc(ARGS_MAX + 1, sizeof(char *))};
	if (!a.out.argv)
		return err_set(err, ERR_NOMEM, "out of memory for QEMU's arguments");
	add_machine(&a, m, p);
	add_smbios(&a);
	add_ports(&a, m, p);
	for (int disk = 0; disk < GUEST_DISKS_LEN; disk++)
		add_disk(&a, m, p, (enum guest_disk)disk);
	add_kernel(&a, m, p);
	if (a.failed) {
		machine_argv_release(&a.out);
		return err_set(err, ERR_LIMIT, "QEMU's arguments are too long");
	}
	*ret = a.out;
	return 0;
}

#if defined(__x86_64__)
static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* One moment on both clocks: of several tries the one with the least time in between. */
static void read_clocks(uint64_t *ret_ns, uint64_t *ret_ticks)
{
	uint64_t least = UINT64_MAX;
	for (int i = 0; i < 16; i++) {
		const uint64_t before = __builtin_ia32_rdtsc(), ns = now_ns(), after = __builtin_ia32_rdtsc();
		if (after - before < least) {
			least = after - before;
			*ret_ns = ns;
			*ret_ticks = before + (after - before) / 2;
		}
	}
}

uint32_t machine_tsc_khz(void)
{
	uint64_t ns[2] = {0}, ticks[2] = {0};
	read_clocks(&ns[0], &ticks[0]);
	nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	read_clocks(&ns[1], &ticks[1]);
	if (ns[1] <= ns[0] || ticks[1] <= ticks[0])
		return 0;
	const double khz = (double)(ticks[1] - ticks[0]) * 1e6 / (double)(ns[1] - ns[0]);
	return khz > 1e5 && khz < 2e7 ? (uint32_t)(khz + 0.5) : 0;
}
#else
uint32_t machine_tsc_khz(void)
{
	return 0;
}
#endif

/* DIR/name if it can be run. */
static bool try_folder(const char *dir, size_t dir_len, const char *name, char *out, size_t size)
{
	const int len = snprintf(out, size, "%.*s/%s", (int)dir_len, dir, name);
	return dir_len && dir[0] == '/' && len > 0 && (size_t)len < size && !access(out, X_OK);
}

int machine_qemu_find(const char *arch, char *out, size_t size, struct err *err)
{
	const struct profile *const p = find_profile(machine_profile_default(arch));
	if (!p)
		return err_set(err, ERR_UNSUPPORTED, "this build has no machine for the architecture %s", arch);
	const char *const chosen = getenv("TALKOO_QEMU");
	if (chosen && (size_t)snprintf(out, size, "%s", chosen) < size && !access(out, X_OK))
		return 0;
	if (chosen) {
		err_set(err, ERR_NOT_FOUND, "TALKOO_QEMU names %s, which cannot be run", chosen);
		return err_hint(err, "unset TALKOO_QEMU, or name a QEMU for %s", arch), ERR_NOT_FOUND;
	}
	static const char usual[] = ":/usr/bin:/usr/local/bin:/usr/libexec";
	char path[4096];
	const char *const env = getenv("PATH");
	snprintf(path, sizeof path, "%.3900s%s", env ? env : "", usual);
	for (const char *at = path; *at;) {
		const size_t len = strcspn(at, ":");
		if (try_folder(at, len, p->qemu, out, size))
			return 0;
		at += at[len] ? len + 1 : len;
	}
	err_set(err, ERR_NOT_FOUND, "%s is not installed", p->qemu);
	return err_hint(err, "install QEMU for %s (Debian's package %s)", arch, p->qemu_package), ERR_NOT_FOUND;
}
