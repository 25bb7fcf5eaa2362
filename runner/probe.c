#include "runner/probe.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "runner/crew.h"

static int find(const struct probe_request *req, struct crew *crew, struct image *image, char *qemu, struct err *err)
{
	int rc = image_find(req->store, req->image, image, err);
	if (rc < 0)
		return rc;
	crew->image = image;
	crew->profile = req->options->profile ? req->options->profile : machine_profile_default(image->arch);
	if (!crew->profile)
		return err_set(err, ERR_UNSUPPORTED, "this machine cannot run %s images", image->arch);
	if (req->options->qemu[0])
		snprintf(qemu, PATH_MAX, "%s", req->options->qemu);
	else
		rc = machine_qemu_find(image->arch, qemu, PATH_MAX, err);
	crew->qemu = qemu;
	return rc;
}

static int print_answer(const struct probe_request *req, const struct accel_proof *proof, const struct jail_facts *facts)
{
	const struct cgroup_host *host = &req->cgroup_host;
	char isolation[128], controllers[64];
	jail_describe(facts, isolation, sizeof isolation);
	cgroup_names(facts->has_cgroup ? req->cgroup->controllers : 0, controllers, sizeof controllers);
	json_t *json = json_pack("{s:i, s:s, s:s, s:s, s:s, s:b, s:i, s:s, s:s, s:s, s:s}", "v", 1, "type", "accel", "accel",
				 job_accel_name(proof->accel), "why", proof->why, "hint", proof->hint, "cached", proof->cached,
				 "boot_ms", (int)proof->boot_ms, "isolation", isolation, "cgroup", controllers,
				 "cgroup_why", facts->has_cgroup ? "" : host->why, "cgroup_hint", facts->has_cgroup ? "" : host->hint);
	CLEANUP(cleanup_free) char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	return text && puts(text) >= 0 && fflush(stdout) == 0 ? 0 : 1;
}

int probe_run(const struct jail_facts *facts, int alive_fd, void *ctx)
{
	(void)alive_fd; /* we die with the caller */
	const struct probe_request *req = ctx;
	struct jail_facts mine = *facts;
	struct err err = {0};
	mine.has_cgroup = req->cgroup->path[0] && cgroup_enter(req->cgroup, CGROUP_STAGES, &err) == 0;
	CLEANUP(image_release) struct image image = {0};
	char qemu[PATH_MAX] = "";
	/* nothing below the store is reached by path but the image, which is shown before the root is built over it */
	struct workdir dir = {.fd = -1};
	snprintf(dir.path, sizeof dir.path, "%s", req->store);
	struct crew crew = {.facts = &mine, .dir = &dir, .diagnostics_fd = STDERR_FILENO};
	struct accel_proof proof = {0};
	/* process 1 ignores what it does not handle: a stop must stop */
	signal(SIGTERM, _exit);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int rc = find(req, &crew, &image, qemu, &err);
	if (rc == 0) {
		if (!crew_others_can_read(&image))
			mine.uids[STAGE_VM] = 0;
		rc = crew_prove(&crew, req->cache_path, req->force, &proof, &err);
	}
	if (rc < 0) {
		err_print(&err, stderr);
		return 1;
	}
	return print_answer(req, &proof, &mine);
}
