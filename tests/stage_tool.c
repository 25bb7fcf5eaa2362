/* Runs one stage as a child, without its jail, and prints what it sends: one line a message. For the tests of stages.
 *
 *   stage_tool fetch   MIRROR URL REF COMMIT [OPTION]…      loopback private file idle_ms=N source_bytes=N
 *   stage_tool pack    OBJECTS SOURCE_TAR PLAN_TAR COMMIT [OPTION]…   cmd=COMMANDS image=I plan_path=P plan_sha256=S
 *                                                           detected source_bytes=N ref=R job=J
 *   stage_tool collect DISK TAR_BYTES FOLDER
 * The exit status is the stage's; 128+N when signal N ended it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/units.h"
#include "runner/stage.h"

static struct job_plan plan = {.plan_origin = JOB_ORIGIN_TREE,
			       .limits = {.source_bytes = 64u << 20, .artifact_bytes = 1u << 20, .artifact_count = 100}};
static uint64_t idle_ms;

static void copy(char *out, size_t size, const char *text)
{
	if ((size_t)snprintf(out, size, "%s", text) >= size)
		exit(125);
}

static void option(const char *text)
{
	const char *value = strchr(text, '=');
	const size_t len = value ? (size_t)(value++ - text) : strlen(text);
	const struct {
		const char *name;
		char *text;
		size_t size;
		uint64_t *number;
		bool *flag;
	} known[] = {
		{"loopback", .flag = &plan.source.allow_loopback}, {"private", .flag = &plan.source.allow_private},
		{"file", .flag = &plan.source.allow_file}, {"idle_ms", .number = &idle_ms},
		{"source_bytes", .number = &plan.limits.source_bytes}, {"cmd", plan.inline_cmd, sizeof plan.inline_cmd},
		{"image", plan.image, sizeof plan.image}, {"plan_path", plan.plan_path, sizeof plan.plan_path},
		{"plan_sha256", plan.plan_sha256, sizeof plan.plan_sha256}, {"job", plan.job, sizeof plan.job},
		{"ref", plan.source.ref, sizeof plan.source.ref},
	};
	if (!strcmp(text, "detected"))
		plan.plan_origin = JOB_ORIGIN_DETECTED;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (strlen(known[i].name) != len || strncmp(known[i].name, text, len) != 0)
			continue;
		if (known[i].flag)
			*known[i].flag = true;
		if (known[i].text && value)
			copy(known[i].text, known[i].size, value);
		if (known[i].number && (!value || !units_parse_number(value, known[i].number)))
			exit(125);
	}
	if (plan.inline_cmd[0])
		plan.plan_origin = JOB_ORIGIN_INLINE;
}

static int create(const char *path)
{
	const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		perror(path);
		exit(125);
	}
	return fd;
}

static int run_stage(int msg_fd, char **argv)
{
	if (!strcmp(argv[1], "fetch")) {
		copy(plan.source.url, sizeof plan.source.url, argv[3]);
		copy(plan.source.ref, sizeof plan.source.ref, argv[4]);
		copy(plan.source.commit, sizeof plan.source.commit, argv[5]);
		return stage_fetch_run(&(struct stage_fetch){.msg_fd = msg_fd, .plan = &plan, .mirror_path = argv[2],
							     .idle_ms = (uint32_t)idle_ms});
	}
	if (!strcmp(argv[1], "pack")) {
		copy(plan.source.commit, sizeof plan.source.commit, argv[5]);
		copy(plan.source.local_objects, sizeof plan.source.local_objects, argv[2]);
		return stage_pack_run(&(struct stage_pack){.msg_fd = msg_fd, .plan = &plan, .objects_path = argv[2],
							   .source_fd = create(argv[3]), .plan_fd = create(argv[4])});
	}
	uint64_t len = 0;
	if (!units_parse_number(argv[3], &len))
		return 125;
	return stage_collect_run(&(struct stage_collect){.msg_fd = msg_fd, .artifacts_fd = open(argv[2], O_RDONLY | O_CLOEXEC),
							 .tar_bytes = len, .out_fd = open(argv[4], O_RDONLY | O_DIRECTORY | O_CLOEXEC),
							 .max_bytes = plan.limits.artifact_bytes, .max_count = plan.limits.artifact_count});
}

static void print(const struct stage_msg *m)
{
	switch ((int)m->type) {
	case STAGE_MSG_FAILED:
		printf("failed %s: %s\nhint: %s\n", job_outcome_name(m->u.failed.outcome), m->u.failed.reason, m->u.failed.hint);
		break;
	case STAGE_MSG_REF_SEEN: printf("ref_seen %s\n", m->u.text); break;
	case STAGE_MSG_COMMIT: printf("commit %s\n", m->u.text); break;
	case STAGE_MSG_NOTE: printf("note %s\n", m->u.text); break;
	case STAGE_MSG_PROGRESS: printf("progress %llu\n", (unsigned long long)m->u.size_bytes); break;
	case STAGE_MSG_PLAN:
		printf("plan %s '%s' %s %s image '%s' steps %u\n", job_origin_name(m->u.plan.origin), m->u.plan.path,
		       m->u.plan.format, m->u.plan.sha256, m->u.plan.image, m->u.plan.steps);
		break;
	case STAGE_MSG_STEP_NAME: printf("step %u '%s'\n", m->u.step.index, m->u.step.name); break;
	case STAGE_MSG_SOURCE:
		printf("source %s %s %llu\n", m->u.digest.digest.sha256, m->u.digest.digest.root,
		       (unsigned long long)m->u.digest.digest.size_bytes);
		break;
	case STAGE_MSG_ARTIFACT: printf("artifact %s %s\n", m->u.artifact.path, m->u.artifact.digest.sha256); break;
	default: printf("message %u\n", m->type); break;
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 125;
	for (int i = 6; i < argc; i++)
		option(argv[i]);
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return 125;
	const enum stage_id id = argv[1][0] == 'f' ? STAGE_FETCH : argv[1][0] == 'p' ? STAGE_PACK : STAGE_COLLECT;
	const pid_t child = fork();
	if (child == 0) {
		close(pair[0]);
		_exit(run_stage(pair[1], argv));
	}
	close(pair[1]);
	struct stage_msg *m = calloc(1, sizeof *m);
	uint8_t probe;
	enum stage_recv got = STAGE_RECV_MSG;
	while (m && recv(pair[0], &probe, 1, MSG_PEEK) > 0 && (got = stage_recv(pair[0], id, m)) == STAGE_RECV_MSG)
		print(m);
	free(m);
	if (got == STAGE_RECV_BROKEN)
		puts("broken message");
	int status = 0;
	if (waitpid(child, &status, 0) != child)
		return 125;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
