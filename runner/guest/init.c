/* talkoo-init: PID 1 of a job's machine. Finds its disks, unpacks the source, runs the steps, frames the log, writes the
 * artifact tar, powers off. What goes wrong becomes one FRAME_ERROR with a sentence, and the power goes off all the same.
 *
 * Arguments (the kernel line's, behind "--"): none = a job; GUEST_SLOW "N" = a job whose steps' own timeouts are N times as long; GUEST_SHELL "failed" or "always" = one that offers a shell; "probe" = say hello on the log port and power off (accel.h);
 * "off" = power off at once (the figure that a boot is compared with). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "runner/guest/artifacts.h"
#include "runner/guest/cache.h"
#include "runner/guest/disks.h"
#include "runner/guest/guest_plan.h"
#include "runner/guest/port.h"
#include "runner/guest/root.h"
#include "runner/guest/steps.h"
#include "runner/guest/system.h"
#include "runner/guest/unpack.h"

#define MODULE_FOLDER "/talkoo"
#define DEVICE_WAIT_MS 10000
#define ACK_WAIT_MS 2000

static int start(struct port *port, struct err *err)
{
	int rc = system_mounts(err);
	if (!rc)
		rc = system_load_modules(MODULE_FOLDER, "port", err);
	if (!rc)
		rc = port_open(port, GUEST_LOG_PORT, DEVICE_WAIT_MS, err);
	if (rc)
		return rc;
	static const uint8_t version = 1;
	port_frame(port, FRAME_HELLO, 0, &version, 1);
	return 0;
}

static void bring_cache(const struct disk *disk, struct guest_plan *plan, struct port *port)
{
	const struct cache c = {"/ci/src", "/ci/cache", buf_cstr(&plan->cache), port};
	CLEANUP(cleanup_fd) int fd = plan->has_cache && !disk_is_empty(disk) ? disk_open(disk, O_RDONLY, NULL) : -1;
	if (fd >= 0)
		cache_bring(&c, fd);
}

/* Disks to tree: afterwards the steps can run. */
static int prepare(struct disk *disks, struct guest_plan *plan, struct port *port, struct err *err)
{
	int rc = system_load_modules(MODULE_FOLDER, "disk", err);
	system_identity();
	if (!rc)
		rc = disks_find(disks, DEVICE_WAIT_MS, err);
	if (rc)
		return rc;
	CLEANUP(cleanup_fd) int plan_fd = disk_open(&disks[GUEST_DISK_PLAN], O_RDONLY, err);
	rc = plan_fd < 0 ? plan_fd : guest_plan_read(plan_fd, plan, err);
	if (!rc)
		rc = root_make(disks, MODULE_FOLDER, err);
	if (!rc)
		rc = unpack_disk(&disks[GUEST_DISK_SOURCE], "/ci/src", "the source", err);
	if (!rc)
		rc = unpack_disk(&disks[GUEST_DISK_DEPS], "/ci/deps", "the dependencies", err);
	if (!rc)
		bring_cache(&disks[GUEST_DISK_CACHE], plan, port);
	return rc;
}

static void keep_cache(const struct disk *disk, struct guest_plan *plan, struct port *port)
{
	const struct cache c = {"/ci/src", "/ci/cache", buf_cstr(&plan->cache), port};
	uint8_t payload[8];
	CLEANUP(cleanup_fd) int fd = plan->has_cache && !disk_is_empty(disk) ? disk_open(disk, O_RDWR, NULL) : -1;
	const uint64_t bytes = fd < 0 ? 0 : cache_keep(&c, fd, disk->size_bytes);
	port_put_le(payload, bytes, sizeof payload);
	if (bytes)
		port_frame(port, FRAME_CACHE, 0, payload, sizeof payload);
}

static int finish(const struct disk *disks, struct guest_plan *plan, struct port *port, bool all_passed, struct err *err)
{
	struct artifacts a = {.source_folder = "/ci/src",
			      .folder = "/ci/artifacts",
			      .port = port,
			      .max_bytes = plan->artifact_bytes,
			      .max_count = plan->artifact_count,
			      .is_partial = !all_passed};
	const struct disk *const disk = &disks[GUEST_DISK_ARTIFACTS];
	int rc = artifacts_pick(&a, buf_cstr(&plan->globs), err);
	if (!rc)
		keep_cache(&disks[GUEST_DISK_CACHE], plan, port);
	if (!rc && !disk_is_empty(disk)) {
		CLEANUP(cleanup_fd) int fd = disk_open(disk, O_RDWR, err);
		rc = fd < 0 ? fd : artifacts_write(&a, fd, disk->size_bytes, err);
		if (!rc && fsync(fd))
			rc = err_errno(err, errno, "writing the artifacts");
	}
	if (rc)
		return rc;
	uint8_t payload[9];
	port_put_le(payload, a.tar_bytes, 8);
	payload[8] = a.is_partial;
	port_frame(port, FRAME_DONE, 0, payload, sizeof payload);
	return 0;
}

static int run_job(struct port *port, const struct steps_options *options, struct err *err)
{
	static struct disk disks[GUEST_DISKS_LEN];
	static struct guest_plan plan;
	bool all_passed = false;
	int rc = prepare(disks, &plan, port, err);
	if (!rc)
		rc = steps_run(&plan, port, options, &all_passed, err);
	if (!rc)
		rc = finish(disks, &plan, port, all_passed, err);
	return rc;
}

/* What stands behind one of init's arguments, or "". */
static const char *argument(int argc, char **argv, const char *name)
{
	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], name, strlen(name)))
			return argv[i] + strlen(name);
	}
	return "";
}

static unsigned slow_of(const char *text)
{
	const unsigned long factor = strtoul(text, NULL, 10);
	return factor && factor <= 1000 ? (unsigned)factor : 1;
}

int main(int argc, char **argv)
{
	const char *const mode = argc > 1 ? argv[1] : "";
	if (getpid() != 1) {
		fprintf(stderr, "error: talkoo-init runs as process 1 of a Talkoo machine only\n");
		return 2;
	}
	if (!strcmp(mode, "off"))
		system_off();
	const struct steps_options options = {slow_of(argument(argc, argv, GUEST_SLOW)), shell_when_of(argument(argc, argv, GUEST_SHELL))};
	struct port port = {.fd = -1};
	struct err err = {0};
	int rc = start(&port, &err);
	if (!rc && strcmp(mode, "probe"))
		rc = run_job(&port, &options, &err);
	if (rc) {
		err_print(&err, stderr);
		port_error(&port, err.what);
	}
	/* the artifacts are synced; scratch is never read again, so it needs no sync */
	port_drain(&port, ACK_WAIT_MS);
	system_off();
}
