/* The ids of a job's stages: which numbers they have on this machine, and how they look in the job's user namespace. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/units.h"
#include "runner/jail_parts.h"

/* Numbers that no account or sub-uid range of a distribution uses. Stage N of job P is this + 8 P + N; a process number is below
 * 2^22, so no two jobs that run share one. Those that are always the same have P 0. */
#define OWN_UID_BASE 0x70000000u
#define STRIDE 8u
#define KVM_GROUP 8 /* inside */

_Static_assert(STAGE_IDS_LEN <= STRIDE, "a job has room for its stages");

/* fetch and get write stores that outlive the job and are theirs again in the next one. */
static bool is_always_the_same(enum stage_id stage)
{
	return stage == STAGE_FETCH || stage == STAGE_GET;
}

static uid_t own_id(enum stage_id stage, pid_t job)
{
	return OWN_UID_BASE + (is_always_the_same(stage) ? 0 : (uid_t)job * STRIDE) + (uid_t)stage;
}

static gid_t kvm_group(void)
{
	struct stat st;
	return stat("/dev/kvm", &st) == 0 && S_ISCHR(st.st_mode) && st.st_gid != 0 ? st.st_gid : (gid_t)-1;
}

static bool write_proc(pid_t pid, const char *file, const char *text)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, file);
	CLEANUP(cleanup_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Inside: 0 is the caller, N stage N. Only root may write this. */
static bool map_own(pid_t pid, pid_t job)
{
	char uids[STAGE_IDS_LEN * 32 + 32], gids[sizeof uids + 32];
	int len = snprintf(uids, sizeof uids, "0 0 1\n");
	for (int stage = 1; stage < STAGE_IDS_LEN; stage++)
		len += snprintf(uids + len, sizeof uids - (size_t)len, "%d %u 1\n", stage, own_id((enum stage_id)stage, job));
	len = snprintf(gids, sizeof gids, "%s", uids);
	if (kvm_group() != (gid_t)-1)
		snprintf(gids + len, sizeof gids - (size_t)len, "%d %u 1\n", KVM_GROUP, kvm_group());
	return write_proc(pid, "gid_map", gids) && write_proc(pid, "uid_map", uids);
}

/* sub-uids */

/* "NAME:FIRST:COUNT" or "UID:FIRST:COUNT": the first number of a place for a job's stages. 0: the file gives us none. */
static unsigned long sub_first(const char *file, const char *name, pid_t job)
{
	char line[256], own[32];
	unsigned long first = 0;
	snprintf(own, sizeof own, "%u", getuid());
	FILE *f = fopen(file, "re");
	while (f && !first && fgets(line, sizeof line, f)) {
		char *save = NULL;
		const char *who = strtok_r(line, ":", &save), *from = strtok_r(NULL, ":", &save), *count = strtok_r(NULL, ":\n", &save);
		uint64_t start, len;
		if (who && (!strcmp(who, own) || (name && !strcmp(who, name))) && from && count && units_parse_number(from, &start) &&
		    units_parse_number(count, &len) && start > 0 && start < UINT32_MAX && len >= STRIDE && len <= UINT32_MAX)
			first = start + (uint64_t)job % (len / STRIDE) * STRIDE;
	}
	if (f)
		fclose(f);
	return first;
}

/* The set-uid helpers of the package uidmap write what we may not. */
static bool run_helper(const char *program, pid_t pid, unsigned long own, unsigned long first)
{
	char target[32], self[32], start[32], stages[8], room[8];
	snprintf(target, sizeof target, "%ld", (long)pid);
	snprintf(self, sizeof self, "%lu", own);
	snprintf(stages, sizeof stages, "%d", STAGE_PACK);
	snprintf(start, sizeof start, "%lu", first + STAGE_PACK);
	snprintf(room, sizeof room, "%d", STAGE_LOG - STAGE_PACK + 1);
	const pid_t child = fork();
	if (child == 0) {
		const int nothing = open("/dev/null", O_RDWR);
		dup2(nothing, 0);
		dup2(nothing, 1);
		dup2(nothing, 2);
		execlp(program, program, target, self, self, "1", stages, start, room, (char *)NULL);
		_exit(127);
	}
	int status = 1;
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* *ret_has_gids: the groups are mapped, whatever became of the users. */
static bool map_sub(pid_t pid, pid_t job, bool *ret_has_gids)
{
	const struct passwd *me = getpwuid(getuid());
	const unsigned long uids = sub_first("/etc/subuid", me ? me->pw_name : NULL, job);
	const unsigned long gids = sub_first("/etc/subgid", me ? me->pw_name : NULL, job);
	/* inside, the numbers of stages must not be the caller's */
	if (!uids || !gids || getuid() <= KVM_GROUP || getgid() <= KVM_GROUP)
		return false;
	*ret_has_gids = run_helper("newgidmap", pid, getgid(), gids);
	return *ret_has_gids && run_helper("newuidmap", pid, getuid(), uids);
}

/* has_gids: they are written already, and can be only once. */
static bool map_single(pid_t pid, bool has_gids)
{
	char uids[64], gids[64];
	snprintf(uids, sizeof uids, "%u %u 1\n", geteuid(), geteuid());
	snprintf(gids, sizeof gids, "%u %u 1\n", getegid(), getegid());
	/* an unprivileged process may map its group only once nobody inside can leave groups */
	write_proc(pid, "setgroups", "deny");
	return (has_gids || write_proc(pid, "gid_map", gids)) && write_proc(pid, "uid_map", uids);
}

enum mapping jail_map_ids(pid_t pid, pid_t job)
{
	bool has_gids = false;
	if (geteuid() == 0 && map_own(pid, job))
		return MAPPING_OWN_UID;
	if (geteuid() != 0 && map_sub(pid, job, &has_gids))
		return MAPPING_SUB_UID;
	return map_single(pid, has_gids) ? MAPPING_SINGLE : (enum mapping)0;
}

void jail_fill_ids(struct jail_facts *f, enum mapping mapping, pid_t job)
{
	const bool is_inside = mapping == MAPPING_OWN_UID, is_root = is_inside || (mapping == MAPPING_NONE && geteuid() == 0);
	f->kvm_gid = (gid_t)-1;
	f->keeps_groups = mapping == MAPPING_SUB_UID;
	for (int stage = 1; stage < STAGE_IDS_LEN && is_root && f->has_namespaces; stage++)
		f->uids[stage] = is_inside ? (uid_t)stage : own_id((enum stage_id)stage, job);
	if (is_root && f->has_namespaces && kvm_group() != (gid_t)-1)
		f->kvm_gid = is_inside ? KVM_GROUP : kvm_group();
	/* what they write would be another's when we look at it from outside: collect stays with fetch and get */
	for (int stage = STAGE_PACK; stage <= STAGE_LOG && mapping == MAPPING_SUB_UID; stage++)
		f->uids[stage] = (uid_t)stage;
}
