/* Real boots: what talkoo-init promises, each with a machine of its own. Run by boot.sh. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "runner/frames.h"
#include "runner/accel.h"
#include "tests/unit/tap.h"
#include "tests/vm/vm.h"

static bool has(const struct buf *text, const char *what)
{
	return strstr(buf_cstr(text), what) != NULL;
}

/* Boots, and says what was wrong when the machine did not end by itself in order. */
static void boot(const struct vm_spec *spec, struct vm_result *r, const char *what)
{
	OK(!vm_run(spec, r), "%s: started", what);
	const bool in_order = r->hello && !r->was_killed && !r->protocol_broken && WIFEXITED(r->exit_status) &&
			      WEXITSTATUS(r->exit_status) == 0;
	if (!OK(in_order, "%s: powered off by itself", what))
		fprintf(stderr, "# error '%s' console '%s'\n", buf_cstr(&r->error), buf_cstr(&r->console));
	printf("# %s: hello %u ms, first step %u ms, done %u ms, off %u ms\n", what, r->hello_ms, r->first_step_ms, r->done_ms,
	       r->exit_ms);
}

static void expect_text(const struct vm_result *r, const char *name, const char *want)
{
	size_t len = 0;
	const uint8_t *const got = vm_tar_find(&r->artifacts, name, &len);
	OK(got && len == strlen(want) && !memcmp(got, want, len), "artifact %s is right", name);
}

static void make_source(struct buf *t)
{
	buf_init(t, 1 << 20);
	vm_tar_add(t, "README", '0', 0644, "read me\n", 8);
	vm_tar_add(t, "bin/tool", '0', 0755, "#!/bin/sh\necho tool runs\n", 25);
	vm_tar_add(t, "link", '2', 0777, "bin/tool", 8);
	vm_tar_add(t, "sub", '5', 0755, "", 0);
	vm_tar_end(t);
}

static void test_job(enum machine_profile profile)
{
	CLEANUP(buf_release) struct buf source;
	make_source(&source);
	struct vm_spec s = vm_spec_default();
	s.profile = profile;
	s.source = &source;
	s.env = "TALKOO_COMMIT=forged\nGREETING=a b  c\nTZ=UTC\nTALKOO_COMMIT=abc\n";
	s.globs = "bin/*\nnothing-here\n";
	s.steps[0] = "cat README; ./link; echo \"$TALKOO_COMMIT/$GREETING/$HOME/$LANG/$TZ\"; pwd; readlink /workspace; echo err >&2";
	s.steps[1] = "echo from step two; mkdir /ci/artifacts/d; echo artifact >/ci/artifacts/d/a; cat; hostname; date +%Z; "
		     "ping -c 1 -w 2 127.0.0.1 >/dev/null && echo loopback; ip -o link | wc -l; for d in /sys/block/vd*; do cat $d/serial; echo; done; cat /sys/devices/system/clocksource/*/current_clocksource | cut -d- -f1; sleep 1.2";
	CLEANUP(vm_result_release) struct vm_result r;
	boot(&s, &r, machine_profile_name(profile));
	STREQ(buf_cstr(&r.output[0]), "read me\ntool runs\nabc/a b  c//root/C.UTF-8/UTC\n/ci/src\n/ci\nerr\n");
	STREQ(buf_cstr(&r.output[1]), "from step two\ntalkoo\nUTC\nloopback\n1\n"
				   "root\nplan\nsource\nartifacts\ncache\ndeps\nscratch\ntsc\n");
	OK(r.started == 2 && r.ended == 2 && r.exit_codes[0] == 0 && r.exit_codes[1] == 0, "both steps passed");
	OK(r.done && !r.is_partial && r.tar_bytes == r.artifacts.len, "done, whole");
	expect_text(&r, "d/a", "artifact\n");
	expect_text(&r, "bin/tool", "#!/bin/sh\necho tool runs\n");
	OK(has(&r.notes, "no file matches the artifact glob nothing-here"), "notes: %s", buf_cstr(&r.notes));
	OK(r.stats >= 3 && r.last_memory > 1 << 20, "%u stats", r.stats);
}

static void test_failing_step(void)
{
	struct vm_spec s = vm_spec_default();
	/* what runs on in the background has the pipe open and ignores what it can */
	s.steps[0] = "(trap '' TERM HUP INT; while :; do sleep 1; done) & setsid sleep 1000 & echo started";
	s.steps[1] = "ps | grep -c '[s]leep' || true; echo kept >/ci/artifacts/kept; false | true; echo not reached";
	s.steps[2] = "echo never";
	CLEANUP(vm_result_release) struct vm_result r;
	boot(&s, &r, "failing step");
	STREQ(buf_cstr(&r.output[0]), "started\n");
	STREQ(buf_cstr(&r.output[1]), "0\n");
	OK(r.exit_codes[0] == 0 && r.exit_codes[1] == 1 && r.started == 2, "the second failed by pipefail, the third never began");
	OK(r.done && r.is_partial, "artifacts are marked partial");
	expect_text(&r, "kept", "kept\n");
	OK(r.done_ms < r.first_step_ms + 20000, "nobody waited for the sleepers");
}

static void test_hostile_steps(void)
{
	struct vm_spec s = vm_spec_default();
	s.scratch_bytes = 16 << 20;
	s.steps[0] = "kill -9 1; kill -TERM 1; kill -SEGV 1; kill -STOP 1; for p in /dev/vport*; do (echo forged >$p) 2>&1 || true; done; ls /proc/self/fd | wc -l";
	s.steps[1] = "dd if=/dev/zero of=fill bs=1M 2>/dev/null || echo full; rm -rf /ci/src; echo gone";
	s.steps[2] = "kill -9 -1; echo unreachable >&2; kill -9 $$";
	CLEANUP(vm_result_release) struct vm_result r;
	boot(&s, &r, "hostile steps");
	OK(has(&r.output[0], "resource busy") && !has(&r.output[0], "forged\n"), "the log port is init's: %s", buf_cstr(&r.output[0]));
	OK(has(&r.output[0], "\n5\n"), "a step has 0, 1, 2, its script and what ls opens: %s", buf_cstr(&r.output[0]));
	STREQ(buf_cstr(&r.output[1]), "full\ngone\n");
	OK(has(&r.output[2], "/ci/src") && r.exit_codes[2] == 127, "a source that is gone is said: %s", buf_cstr(&r.output[2]));
	OK(r.done && r.is_partial, "done all the same");
}

static void test_killed_step(void)
{
	struct vm_spec s = vm_spec_default();
	s.steps[0] = "kill -9 $$";
	CLEANUP(vm_result_release) struct vm_result r;
	boot(&s, &r, "killed step");
	INTEQ(r.exit_codes[0], 137);
	OK(!has(&r.notes, "memory"), "which is not a lack of memory");
	INTEQ(r.limit, 0);
}

static void test_memory(void)
{
	struct vm_spec s = vm_spec_default();
	s.memory_bytes = 160ull << 20;
	s.steps[0] = "echo before; tail /dev/zero; echo after";
	CLEANUP(vm_result_release) struct vm_result r;
	boot(&s, &r, "memory");
	STREQ(buf_cstr(&r.output[0]), "before\nKilled\n");
	INTEQ(r.exit_codes[0], 137);
	OK(has(&r.notes, "ran out of memory") && has(&r.notes, "step 1"), "notes: %s", buf_cstr(&r.notes));
	INTEQ(r.limit, GUEST_LIMIT_MEMORY);
	OK(r.done && r.is_partial, "init lives on");
}

static void test_fork_bomb(void)
{
	struct vm_spec s = vm_spec_default();
	s.memory_bytes = 256ull << 20;
	s.steps[0] = "b() { b | b & }; b 2>/dev/null";
	s.steps[1] = "ps | grep -c '[s]tep-000' || true; echo calm";
	CLEANUP(vm_result_release) struct vm_result r;
	boot(&s, &r, "fork bomb left behind");
	OK(r.exit_codes[0] == 0, "its step has passed");
	STREQ(buf_cstr(&r.output[1]), "0\ncalm\n");
	/* one that does not end is the host's to end; init has its word all the time */
	s.steps[0] = "b() { b | b & }; b 2>/dev/null; while :; do :; done";
	s.deadline_ms = 15000;
	CLEANUP(vm_result_release) struct vm_result endless;
	OK(!vm_run(&s, &endless) && endless.was_killed && endless.stats >= 3, "%u stats under a fork bomb", endless.stats);
}

static void test_flood(void)
{
	struct vm_spec s = vm_spec_default();
	s.steps[0] = "dd if=/dev/zero bs=1M count=200 2>/dev/null";
	CLEANUP(vm_result_release) struct vm_result r;
	boot(&s, &r, "200 MiB of output");
	INTEQ(r.output_bytes, 200 << 20);
	const unsigned ms = r.done_ms - r.first_step_ms;
	printf("# output: %u MB/s\n", ms ? (unsigned)((200ull << 20) / 1000 / ms) : 0);
}

static void test_artifact_limits(void)
{
	struct vm_spec s = vm_spec_default();
	s.artifact_disk_bytes = 1 << 20;
	s.steps[0] = "cd /ci/artifacts; echo small >a; dd if=/dev/zero of=b bs=1M count=2 2>/dev/null; echo small >c; ln -s a l; mkfifo p; mknod n c 1 3";
	CLEANUP(vm_result_release) struct vm_result r;
	boot(&s, &r, "artifact limits");
	OK(r.done && r.is_partial && r.tar_bytes <= 1 << 20, "partial, within the disk");
	expect_text(&r, "a", "small\n");
	expect_text(&r, "c", "small\n");
	OK(has(&r.notes, "b: the artifact disk is full") && has(&r.notes, "l: neither") && has(&r.notes, "p: neither") &&
		   has(&r.notes, "n: neither"),
	   "notes: %s", buf_cstr(&r.notes));
}

static void test_vanishing(void)
{
	struct vm_spec s = vm_spec_default();
	s.steps[0] = "echo going; reboot -f";
	CLEANUP(vm_result_release) struct vm_result r;
	boot(&s, &r, "reboot in a step");
	OK(!r.done && r.ended == 0, "no end is claimed");
	struct vm_spec panic = vm_spec_default();
	panic.steps[0] = "echo c >/proc/sysrq-trigger";
	CLEANUP(vm_result_release) struct vm_result p;
	boot(&panic, &p, "kernel panic in a step");
	OK(!p.done && has(&p.console, "sysrq triggered crash"), "the console tells");
}

static void test_bad_disks(void)
{
	static const char *const errors[] = {"the root disk holds no squashfs", "this is no tar", "scratch disk"};
	CLEANUP(buf_release) struct buf garbage;
	buf_init(&garbage, 4096);
	for (int i = 0; i < 1024; i++)
		buf_str(&garbage, "bad");
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		struct vm_spec s = vm_spec_default();
		s.steps[0] = "echo never";
		s.root = i == 0 ? s.initramfs : NULL;
		s.source = i == 1 ? &garbage : NULL;
		s.scratch_bytes = i == 2 ? 512 : s.scratch_bytes;
		CLEANUP(vm_result_release) struct vm_result r;
		boot(&s, &r, errors[i]);
		OK(has(&r.error, errors[i]) && !r.done && !r.started, "said: %s", buf_cstr(&r.error));
	}
}

static void test_squashfs_root(void)
{
	const char *const root = getenv("TALKOO_TEST_ROOT");
	if (!root) {
		tap_skip("no mksquashfs here");
		return;
	}
	struct vm_spec s = vm_spec_default();
	CLEANUP(buf_release) struct buf source;
	make_source(&source);
	s.source = &source;
	s.root = root;
	s.steps[0] = "cat /etc/os-release; echo x >/etc/new; cat /etc/new; grep -c ' / overlay' /proc/mounts; ./bin/tool; df /ci | grep -c vdg";
	s.steps[1] = "echo a >/ci/artifacts/a; ls /etc/new; test -d /proc/1; unshare -m true && echo unshared";
	CLEANUP(vm_result_release) struct vm_result r;
	boot(&s, &r, "squashfs root");
	STREQ(buf_cstr(&r.output[0]), "ID=squashed\nx\n1\ntool runs\n1\n");
	STREQ(buf_cstr(&r.output[1]), "/etc/new\nunshared\n");
	OK(r.done && !r.is_partial, "done");
	expect_text(&r, "a", "a\n");
}

static void test_no_ack(void)
{
	struct vm_spec s = vm_spec_default();
	s.steps[0] = "true";
	s.ack_late = true;
	CLEANUP(vm_result_release) struct vm_result r;
	boot(&s, &r, "no acknowledgement");
	OK(r.done && r.exit_ms >= r.done_ms + 1500 && r.exit_ms < r.done_ms + 20000, "off %u ms after it was done", r.exit_ms - r.done_ms);
}

/* The accelerator's proof with a real machine: emulation in KVM's place where there is none. */
static void test_proof(void)
{
	const char *const images = getenv("TALKOO_TEST_IMAGES");
	CLEANUP(image_release) struct image image = {0};
	struct err err = {0};
	if (!OK(!image_find(images ? images : "test-images", "mini", &image, &err), "image: %s", err.what))
		return;
	INTEQ(image_verify(&image, &err), 0);
	struct accel_request req = {.image = &image, .kvm_device = "/dev/null", .probe_with = JOB_ACCEL_TCG, .deadline_ms = 60000};
	struct accel_proof proof = {0};
	OK(!accel_prove(&req, &proof, &err) && proof.accel == JOB_ACCEL_KVM, "%s%s", proof.why, err.what);
	req.deadline_ms = 200;
	OK(!accel_prove(&req, &proof, &err) && proof.accel == JOB_ACCEL_TCG && strstr(proof.why, "was not up within 0.2 s"), "%s",
	   proof.why);
	/* whatever this machine's KVM is worth, the answer comes in time */
	const struct accel_request real = {.image = &image, .force = true};
	OK(!accel_prove(&real, &proof, &err), "this machine: %s", proof.why);
}

int main(void)
{
	test_job(MACHINE_X86_64_Q35);
	test_job(MACHINE_X86_64_MICROVM);
	test_failing_step();
	test_hostile_steps();
	test_killed_step();
	test_memory();
	test_fork_bomb();
	test_flood();
	test_artifact_limits();
	test_vanishing();
	test_bad_disks();
	test_squashfs_root();
	test_no_ack();
	test_proof();
	return tap_done();
}
