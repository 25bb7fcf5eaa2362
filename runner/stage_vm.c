#include "runner/stage_vm.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

/* Inherited by the exec, and not a byte of anything else. */
static int hand_over(const struct stage_vm *s, struct err *err)
{
	for (size_t i = 0; i < s->fds_len; i++)
		if (fcntl(s->fds[i], F_SETFD, 0) < 0)
			return err_errno(err, errno, "cannot hand descriptor %d to QEMU", s->fds[i]);
	return 0;
}

int stage_vm_exec(const struct stage_vm *s, struct err *err)
{
	CLEANUP(jail_release) struct jail j;
	jail_init(&j, STAGE_VM, s->facts, s->mount_point);
	jail_add_qemu(&j, s->argv[0], s->with_kvm);
	jail_path_add(&j, s->image->dir, JAIL_READ);
	for (size_t i = 0; i < s->fds_len; i++)
		jail_keep(&j, s->fds[i]);
	if (s->msg_fd >= 0)
		jail_keep(&j, s->msg_fd);
	j.file_bytes_max = s->file_bytes_max;
	j.cpu_seconds_max = s->cpu_seconds_max;
	int rc = hand_over(s, err);
	if (rc == 0)
		rc = jail_enter(&j, err);
	if (rc < 0)
		return rc;
	execv(s->argv[0], s->argv); /* the jail left a clean environment */
	return err_errno(err, errno, "cannot run %s", s->argv[0]);
}
