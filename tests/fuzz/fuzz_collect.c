/* The collector over any bytes as the guest's tar: whatever comes, it writes into its folder or says no. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/stage.h"
#include "tests/fuzz/fuzz.h"

#define TAR_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char base[] = "/tmp/talkoo-fuzz-XXXXXX", folder[64], victim[64];
	int pair[2];
	CLEANUP(cleanup_fd) int disk = memfd_create("disk", MFD_CLOEXEC);
	CLEANUP(cleanup_fd) int cache = memfd_create("cache", MFD_CLOEXEC);
	if (size > TAR_MAX || disk < 0 || io_write_full(disk, data, size, NULL) || !mkdtemp(base) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return 0;
	snprintf(folder, sizeof folder, "%s/out", base);
	snprintf(victim, sizeof victim, "%s/victim", base);
	CLEANUP(cleanup_fd) int out = mkdir(folder, 0700) ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct stage_collect s = {.msg_fd = pair[1], .artifacts_fd = disk, .tar_bytes = size, .out_fd = out,
					.max_bytes = TAR_MAX, .max_count = 16,
					.cache_fd = disk, .cache_bytes = size, .cache_out_fd = cache};
	const int status = stage_collect_run(&s);
	if (status != 0 && status != 1)
		abort();
	struct stage_msg msg;
	enum stage_recv got;
	while ((got = stage_recv(pair[0], STAGE_COLLECT, &msg)) == STAGE_RECV_MSG)
		;
	if (got == STAGE_RECV_BROKEN || access(victim, F_OK) == 0)
		abort();
	close(pair[0]);
	close(pair[1]);
	if (io_remove_tree(base, NULL))
		abort();
	return 0;
}
