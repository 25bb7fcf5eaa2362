/* runner/machine: what QEMU is told, and never is told; runner/accel: answers without and with a fake QEMU. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/accel.h"
#include "runner/machine.h"
#include "tests/unit/tap.h"

static struct machine good(void)
{
	return (struct machine){.profile = MACHINE_X86_64_Q35,
				.accel = JOB_ACCEL_TCG,
				.qemu = "/usr/bin/qemu",
				.cpus = 2,
				.memory_bytes = 1ull << 30,
				.kernel = "/img/kernel",
				.initramfs = "/img/initramfs",
				.disk_fds = {10, 11, 12, 13, 14, 15, 16},
				.qmp_fd = 3,
				.console_fd = 4,
				.log_fd = 5,
				.tsc_khz = 2600000};
}

/* All arguments in one line, each in angle brackets. */
static void flatten(const struct machine_argv *a, char *out, size_t size)
{
	size_t at = 0;
	for (size_t i = 0; i < a->len; i++)
		at += (size_t)snprintf(out + at, size - at, "<%s>", a->argv[i]);
}

static void test_argv(enum machine_profile profile)
{
	static const char *const present[] = {
		"<-nodefaults>", "<-no-user-config>", "<-no-reboot>", "<-display><none>",
		"<-sandbox><on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny>",
		"mem-merge=off", "dump-guest-core=off", "<tcg,thread=multi,tb-size=256>", "<1024M>", "<2,sockets=1",
		"<socket,id=qmp,fd=3>", "<socket,id=console,fd=4>", "<socket,id=log,fd=5>", "name=talkoo.log",
		"<fd=10,set=1>", "<fd=16,set=7>", "file.filename=/dev/fdset/7", "serial=scratch", "serial=root",
		"virtio-rng-", "</img/kernel>", "tsc_early_khz=2600000", "cryptomgr.notests", "panic=-1", "<type=1,manufacturer=Talkoo",
	};
	static const char *const absent[] = {"-netdev", "<-nic>", "virtio-net", "e1000", "-monitor", "-vnc", "snapshot", "qcow2",
					     "<-drive>", "-virtfs", "usb-", "vga", "-- probe"};
	struct machine m = good();
	struct err err = {0};
	m.profile = profile;
	CLEANUP(machine_argv_release) struct machine_argv a = {0};
	if (!INTEQ(machine_argv(&m, &a, &err), 0))
		return;
	static char line[65536];
	flatten(&a, line, sizeof line);
	OK(a.argv[a.len] == NULL, "ended by NULL");
	STREQ(a.argv[0], "/usr/bin/qemu");
	for (size_t i = 0; i < ARRAY_LEN(present); i++)
		OK(strstr(line, present[i]), "%s has %s", machine_profile_name(profile), present[i]);
	for (size_t i = 0; i < ARRAY_LEN(absent); i++)
		OK(!strstr(line, absent[i]), "%s has no %s", machine_profile_name(profile), absent[i]);
	/* every block node is raw, and those that the guest must not change are read-only */
	size_t raw = 0, read_only = 0;
	for (size_t i = 0; i < a.len; i++) {
		raw += !strncmp(a.argv[i], "driver=raw,", 11);
		read_only += strstr(a.argv[i], ",read-only=on") != NULL;
	}
	INTEQ(raw, GUEST_DISKS_LEN);
	INTEQ(read_only, 4);
}

static void test_kvm_and_probe(void)
{
	struct machine m = good();
	struct err err = {0};
	m.accel = JOB_ACCEL_KVM;
	m.probe = true;
	m.qmp_fd = -1;
	m.firmware_dir = "/fw";
	CLEANUP(machine_argv_release) struct machine_argv a = {0};
	INTEQ(machine_argv(&m, &a, &err), 0);
	static char line[65536];
	flatten(&a, line, sizeof line);
	OK(strstr(line, "<-accel><kvm>") && !strstr(line, "tcg"), "kvm alone");
	OK(strstr(line, " -- probe>") && !strstr(line, "qmp") && strstr(line, "<-L></fw>"), "probe, without QMP, with firmware");
	OK(!strstr(line, "host,") && !strstr(line, "<host>") && strstr(line, "<-cpu><qemu64,"), "a named cpu model");
}

static void test_refusals(void)
{
	struct {
		const char *what;
		struct machine m;
	} table[] = {{"profile", good()}, {"accel auto", good()}, {"no cpus", good()},   {"many cpus", good()}, {"little memory", good()},
		     {"stdin", good()},   {"closed", good()},     {"twice", good()},     {"no kernel", good()}, {"comma", good()},
		     {"no qemu", good()}, {"qmp twice", good()},  {"no tsc", good()}};
	table[0].m.profile = (enum machine_profile)99;
	table[1].m.accel = JOB_ACCEL_AUTO;
	table[2].m.cpus = 0;
	table[3].m.cpus = MACHINE_CPUS_MAX + 1;
	table[4].m.memory_bytes = MACHINE_MEMORY_MIN - 1;
	table[5].m.disk_fds[0] = 0;
	table[6].m.log_fd = -1;
	table[7].m.disk_fds[3] = 10;
	table[8].m.kernel = NULL;
	table[9].m.initramfs = "/a,readonly=off";
	table[10].m.qemu = "";
	table[11].m.qmp_fd = 4;
	table[12].m.profile = MACHINE_X86_64_MICROVM;
	table[12].m.tsc_khz = 0;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct machine_argv a = {0};
		struct err err = {0};
		OK(machine_argv(&table[i].m, &a, &err) == ERR_USAGE && !a.argv && err.what[0], "%s: %s", table[i].what, err.what);
	}
}

static void test_names(void)
{
	enum machine_profile p = (enum machine_profile)0;
	INTEQ(machine_profile_default("x86_64"), machine_tsc_khz() ? MACHINE_X86_64_MICROVM : MACHINE_X86_64_Q35);
	INTEQ(machine_profile_default("riscv64"), 0);
	INTEQ(machine_profile_other(MACHINE_X86_64_MICROVM), MACHINE_X86_64_Q35);
	INTEQ(machine_profile_other(MACHINE_X86_64_Q35), MACHINE_X86_64_Q35);
	INTEQ(machine_profile_other((enum machine_profile)42), 42);
	STREQ(machine_profile_name(MACHINE_X86_64_MICROVM), "microvm");
	STREQ(machine_profile_name((enum machine_profile)42), "unknown");
	OK(machine_profile_parse("q35", &p) && p == MACHINE_X86_64_Q35 && !machine_profile_parse("Q35", &p), "names");
	char path[256];
	struct err err = {0};
	setenv("TALKOO_QEMU", "/nonexistent/qemu", 1);
	INTEQ(machine_qemu_find("x86_64", path, sizeof path, &err), ERR_NOT_FOUND);
	setenv("TALKOO_QEMU", "/bin/sh", 1);
	INTEQ(machine_qemu_find("x86_64", path, sizeof path, &err), 0);
	STREQ(path, "/bin/sh");
	unsetenv("TALKOO_QEMU");
	INTEQ(machine_qemu_find("vax", path, sizeof path, &err), ERR_UNSUPPORTED);
}

/* A shell script in QEMU's place, and an image whose files do not matter to it. */
struct fake {
	char dir[64], qemu[128], cache[128];
	struct image image;
	struct accel_request req;
};

static void fake_qemu(struct fake *f, const char *body)
{
	char text[512];
	snprintf(text, sizeof text, "#!/bin/bash\n%s\n", body);
	unlink(f->qemu);
	OK(!io_replace_file(f->qemu, text, strlen(text), 0755, NULL), "fake QEMU");
}

static void fake_init(struct fake *f)
{
	memset(f, 0, sizeof *f);
	snprintf(f->dir, sizeof f->dir, "/tmp/talkoo-test-accel-XXXXXX");
	OK(mkdtemp(f->dir) != NULL, "a folder");
	snprintf(f->qemu, sizeof f->qemu, "%s/qemu", f->dir);
	snprintf(f->cache, sizeof f->cache, "%s/cache", f->dir);
	snprintf(f->image.arch, sizeof f->image.arch, "x86_64");
	snprintf(f->image.dir, sizeof f->image.dir, "/img");
	f->image.files[IMAGE_FILE_KERNEL] = (struct image_file){.sha256 = "aa", .size_bytes = 1};
	f->image.files[IMAGE_FILE_INITRAMFS] = (struct image_file){.sha256 = "bb", .size_bytes = 1};
	f->req = (struct accel_request){.image = &f->image, .qemu = f->qemu, .cache_path = f->cache, .kvm_device = "/dev/null"};
}

/* In the fake's shell: $fd is the log port; say hello on it, wait for the answer. bash: its redirections take large numbers. */
#define LOG_FD "for a; do case $a in socket,id=log,fd=*) fd=${a##*=};; esac; done; "
#define HELLO LOG_FD "printf '\\001\\000\\000\\000\\001\\000\\000\\000\\001' >&$fd; "

static void test_accel_answers(void)
{
	static const struct {
		const char *what, *script;
		enum job_accel accel;
		const char *why;
	} table[] = {
		{"a guest that comes up", HELLO "head -c 1 <&$fd >/dev/null", JOB_ACCEL_KVM, "KVM booted"},
		{"one that hangs before", "exec sleep 60", JOB_ACCEL_TCG, "was not up within"},
		{"one that hangs behind", HELLO "exec sleep 60", JOB_ACCEL_TCG, "did not power off within"},
		{"QEMU refuses", "echo 'no access to kvm: ugh' >&2; exit 1", JOB_ACCEL_TCG, "QEMU gave up: no access to kvm: ugh"},
		{"the guest vanishes", "exit 0", JOB_ACCEL_TCG, "ended before it was up"},
		{"garbage on the port", LOG_FD "echo what is this >&$fd", JOB_ACCEL_TCG, "ended before it was up"},
	};
	struct fake f;
	fake_init(&f);
	f.req.force = true;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct accel_proof proof = {0};
		struct err err = {0};
		fake_qemu(&f, table[i].script);
		f.req.deadline_ms = table[i].accel == JOB_ACCEL_KVM ? 30000 : strstr(table[i].script, "sleep") ? 300 : 30000;
		OK(!accel_prove(&f.req, &proof, &err) && proof.accel == table[i].accel && strstr(proof.why, table[i].why),
		   "%s: %s (%s)", table[i].what, proof.why, err.what);
		OK(!proof.cached && (proof.accel == JOB_ACCEL_KVM || proof.hint[0]), "%s: hint %s", table[i].what, proof.hint);
	}
	INTEQ(io_remove_tree(f.dir, NULL), 0);
}

static void test_accel_cache(void)
{
	struct fake f;
	struct accel_proof proof = {0};
	fake_init(&f);
	fake_qemu(&f, "exit 1");
	OK(!accel_prove(&f.req, &proof, NULL) && proof.accel == JOB_ACCEL_TCG && !proof.cached, "asked");
	OK(!accel_prove(&f.req, &proof, NULL) && proof.accel == JOB_ACCEL_TCG && proof.cached && proof.hint[0], "remembered");
	f.req.force = true;
	OK(!accel_prove(&f.req, &proof, NULL) && !proof.cached, "forced");
	f.req.force = false;
	f.image.files[IMAGE_FILE_KERNEL].sha256[0] = 'c';
	OK(!accel_prove(&f.req, &proof, NULL) && !proof.cached, "another kernel is asked");
	const enum machine_profile other = machine_profile_default("x86_64") == MACHINE_X86_64_Q35 ? MACHINE_X86_64_MICROVM : MACHINE_X86_64_Q35;
	f.req.profile = other;
	OK(!accel_prove(&f.req, &proof, NULL) && !proof.cached, "another machine is asked");
	f.req.profile = (enum machine_profile)0;
	fake_qemu(&f, "exit 2");
	OK(!accel_prove(&f.req, &proof, NULL) && !proof.cached, "another QEMU is asked");
	static const char *const files[] = {"", "{", "[]", "{\"v\":1}", "{\"v\":1,\"key\":{},\"accel\":\"kvm\",\"why\":\"\",\"hint\":\"\",\"until_ms\":1,\"boot_ms\":1}"};
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		OK(!io_replace_file(f.cache, files[i], strlen(files[i]), 0600, NULL), "cache %zu", i);
		OK(!accel_prove(&f.req, &proof, NULL) && !proof.cached && proof.accel == JOB_ACCEL_TCG, "a bad cache is none");
	}
	/* an answer from the far future is no answer, either */
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, 1 << 16);
	OK(!io_read_file(f.cache, &text, NULL), "read");
	const char *const until = strstr(buf_cstr(&text), "\"until_ms\": ");
	if (OK(until != NULL, "until_ms is there")) {
		char changed[8192];
		const int at = (int)(until - buf_cstr(&text)) + 12;
		snprintf(changed, sizeof changed, "%.*s%s%s", at, buf_cstr(&text), "9999999999", buf_cstr(&text) + at);
		OK(!io_replace_file(f.cache, changed, strlen(changed), 0600, NULL), "stretched");
		OK(!accel_prove(&f.req, &proof, NULL) && !proof.cached, "asked");
	}
	f.req.kvm_device = "/nonexistent/kvm";
	OK(!accel_prove(&f.req, &proof, NULL) && proof.accel == JOB_ACCEL_TCG && strstr(proof.why, "has no /nonexistent/kvm") &&
		   proof.hint[0],
	   "no device: %s", proof.why);
	INTEQ(io_remove_tree(f.dir, NULL), 0);
}

int main(void)
{
	test_argv(MACHINE_X86_64_Q35);
	test_argv(MACHINE_X86_64_MICROVM);
	test_kvm_and_probe();
	test_refusals();
	test_names();
	test_accel_answers();
	test_accel_cache();
	return tap_done();
}
