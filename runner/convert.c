#include "runner/convert.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

#define CONVERT_SECONDS 1800

bool convert_format_is_known(const char *format)
{
	return !strcmp(format, "qcow2") || !strcmp(format, "raw");
}

static int find_program(char *out, size_t size, struct err *err)
{
	static const char *const folders[] = {"/usr/bin", "/usr/local/bin", "/bin", "/run/current-system/sw/bin"};
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(out, size, "%s/qemu-img", folders[i]);
		if (!access(out, X_OK))
			return 0;
	}
	err_set(err, ERR_NOT_FOUND, "qemu-img is not here");
	return err_hint(err, "install the package qemu-utils"), ERR_NOT_FOUND;
}

/* qemu-img's own way to say what a file is, every layer by name: {"driver":"qcow2","backing":null,"file":{…}}. Caller frees. */
static char *describe(const struct convert_request *r)
{
	json_t *file = json_pack("{s:s,s:s,s:s}", "driver", "file", "filename", r->from, "locking", "off");
	json_t *disk = strcmp(r->format, "raw") ? json_pack("{s:s,s:n,s:o}", "driver", r->format, "backing", "file", file)
						: json_pack("{s:s,s:o}", "driver", "raw", "file", file);
	char *const text = disk ? json_dumps(disk, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
	json_decref(disk);
	if (!text)
		return NULL;
	char *ret = NULL;
	const int len = asprintf(&ret, "json:%s", text);
	free(text);
	return len < 0 ? NULL : ret;
}

/* In the child: gives everything up, becomes qemu-img. */
static int become_converter(const struct jail_facts *facts, const struct convert_request *r, struct err *err)
{
	char program[PATH_MAX];
	int rc = find_program(program, sizeof program, err);
	CLEANUP(cleanup_free) char *from = describe(r);
	if (!rc && !from)
		rc = err_set(err, ERR_NOMEM, "out of memory");
	CLEANUP(jail_release) struct jail j;
	jail_init(&j, STAGE_VM, facts, r->mount_point);
	if (rc)
		return rc;
	jail_add_qemu(&j, program, false);
	jail_path_add(&j, r->from, JAIL_READ);
	jail_path_add(&j, r->to, JAIL_WRITE);
	/* the two files are the caller's own and closed to others */
	j.takes_own_uid = false;
	j.file_bytes_max = r->max_bytes;
	rc = jail_enter(&j, err);
	if (rc)
		return rc;
	alarm(CONVERT_SECONDS);
	execl(program, program, "convert", "-O", "raw", "-S", "4k", from, r->to, (char *)NULL);
	return err_errno(err, errno, "cannot run %s", program);
}

static int how_ended(int status)
{
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (WIFSIGNALED(status))
		fprintf(stderr, "error: qemu-img ended with signal %d%s\n", WTERMSIG(status), WTERMSIG(status) == SIGALRM ? ", its time was over" : "");
	return 1;
}

int convert_run(const struct jail_facts *facts, int alive_fd, void *ctx)
{
	(void)alive_fd; /* we die with the caller */
	const struct convert_request *const r = ctx;
	struct err err = {0};
	signal(SIGTERM, _exit); /* process 1 ignores what it does not handle */
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	const pid_t pid = fork();
	if (!pid) {
		signal(SIGTERM, SIG_DFL);
		const int rc = become_converter(facts, r, &err);
		err_print(&err, stderr);
		_exit(rc ? 1 : 0);
	}
	int status;
	if (pid < 0)
		return 1;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return how_ended(status);
}
