#include "runner/guest/system.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

uint64_t system_now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool system_read_line(const char *path, char *out, size_t size)
{
	CLEANUP(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
	if (n < 0)
		return false;
	out[n] = 0;
	out[strcspn(out, "\n")] = 0;
	return true;
}

int system_mounts(struct err *err)
{
	static const struct {
		const char *type, *target;
		unsigned long flags;
		const char *options;
	} mounts[] = {
		{"proc", "/proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL},
		{"sysfs", "/sys", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL},
		{"devtmpfs", "/dev", MS_NOSUID, "mode=0755"},
		{"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620,ptmxmode=0666"},
		{"tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777,size=40%"},
		{"tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755,size=10%"},
	};
	for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
		mkdir(mounts[i].target, 0755);
		if (mount(mounts[i].type, mounts[i].target, mounts[i].type, mounts[i].flags, mounts[i].options) &&
		    errno != EBUSY)
			return err_errno(err, errno, "mounting %s", mounts[i].target);
	}
	static const char *const links[][2] = {{"/proc/self/fd", "/dev/fd"}, {"fd/0", "/dev/stdin"},
					       {"fd/1", "/dev/stdout"}, {"fd/2", "/dev/stderr"}};
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		if (symlink(links[i][0], links[i][1]) && errno != EEXIST)
			return err_errno(err, errno, "making %s", links[i][1]);
	}
	chmod("/", 0755); /* the kernel's own root folder is open to all */
	const int console = open("/dev/console", O_RDWR | O_NOCTTY);
	if (console < 0)
		return 0;
	for (int fd = 0; fd < 3; fd++)
		dup2(console, fd);
	if (console > 2)
		close(console);
	return 0;
}

static int load_module(const char *folder, const char *file, struct err *err)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, file);
	CLEANUP(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "opening the module %s", file);
	if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST && errno != ENODEV)
		return err_errno(err, errno, "loading the module %s", file);
	return 0;
}

int system_load_modules(const char *folder, const char *when, struct err *err)
{
	char path[256], line[256];
	snprintf(path, sizeof path, "%s/modules", folder);
	CLEANUP(cleanup_file) FILE *list = fopen(path, "re");
	if (!list && errno == ENOENT)
		return 0; /* a kernel that has all built in */
	if (!list)
		return err_errno(err, errno, "opening %s", path);
	while (fgets(line, sizeof line, list)) {
		char file[128], needed[32];
		if (sscanf(line, "%127s %31s", file, needed) != 2 || strcmp(needed, when))
			continue;
		const int rc = load_module(folder, file, err);
		if (rc)
			return rc;
	}
	return 0;
}

void system_identity(void)
{
	static const char name[] = "talkoo";
	if (sethostname(name, sizeof name - 1)) {
		/* the default will do */
	}
	reboot(RB_DISABLE_CAD);
	CLEANUP(cleanup_fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	if (fd >= 0)
		ioctl(fd, SIOCSIFFLAGS, &lo);
}

void system_oom_score(const char *score)
{
	CLEANUP(cleanup_fd) int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, score, strlen(score)) < 0) {
		/* the kernel spares pid 1 anyway */
	}
}

void system_off(void)
{
	reboot(RB_POWER_OFF);
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}
