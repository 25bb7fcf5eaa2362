#include "runner/guest/port.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "runner/guest/system.h"

#define PORTS_FOLDER "/sys/class/virtio-ports"

void port_put_le(uint8_t *out, uint64_t value, size_t len)
{
	for (size_t i = 0; i < len; i++, value >>= 8)
		out[i] = (uint8_t)value;
}

/* Whether a port of that name is there; its device file's name in ret (64 bytes). */
static bool find(const char *name, char *ret)
{
	DIR *const dir = opendir(PORTS_FOLDER);
	if (!dir)
		return false;
	bool found = false;
	const struct dirent *e;
	while (!found && (e = readdir(dir))) {
		char path[320], text[128];
		snprintf(path, sizeof path, PORTS_FOLDER "/%s/name", e->d_name);
		if (e->d_name[0] != '.' && strlen(e->d_name) < 50 && system_read_line(path, text, sizeof text) &&
		    !strcmp(text, name)) {
			snprintf(ret, 64, "/dev/%s", e->d_name);
			found = true;
		}
	}
	closedir(dir);
	return found;
}

int port_open(struct port *p, const char *name, unsigned wait_ms, struct err *err)
{
	char device[64];
	for (uint64_t end = system_now_ms() + wait_ms;;) {
		if (find(name, device)) {
			p->fd = open(device, O_RDWR | O_CLOEXEC);
			if (p->fd >= 0)
				return 0;
			if (errno != ENOENT)
				return err_errno(err, errno, "opening the log port %s", device);
		}
		if (system_now_ms() >= end)
			return err_set(err, ERR_NOT_FOUND, "the machine has no virtio-serial port %s", name);
		nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
	}
}

static void write_all(struct port *p, const uint8_t *bytes, size_t len)
{
	while (len && p->fd >= 0 && !p->broken) {
		const ssize_t n = write(p->fd, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			p->broken = true;
			return;
		}
		bytes += n;
		len -= (size_t)n;
	}
}

static void put_header(uint8_t *out, enum frame_type type, uint16_t step, size_t len)
{
	out[0] = (uint8_t)type;
	out[1] = 0;
	port_put_le(out + 2, step, 2);
	port_put_le(out + 4, len, 4);
}

void port_frame(struct port *p, enum frame_type type, uint16_t step, const void *payload, size_t len)
{
	uint8_t small[FRAME_HEADER_LEN + 1024];
	if (len > FRAME_PAYLOAD_MAX)
		len = FRAME_PAYLOAD_MAX;
	put_header(small, type, step, len);
	if (len <= sizeof small - FRAME_HEADER_LEN) {
		if (len)
			memcpy(small + FRAME_HEADER_LEN, payload, len);
		write_all(p, small, FRAME_HEADER_LEN + len);
		return;
	}
	write_all(p, small, FRAME_HEADER_LEN);
	write_all(p, payload, len);
}

void port_output(struct port *p, uint16_t step, uint8_t *buf, size_t len)
{
	put_header(buf, FRAME_OUTPUT, step, len);
	write_all(p, buf, FRAME_HEADER_LEN + len);
}

void port_note(struct port *p, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	port_frame(p, FRAME_NOTE, 0, text, strlen(text));
}

void port_error(struct port *p, const char *text)
{
	port_frame(p, FRAME_ERROR, 0, text, strlen(text));
}

void port_drain(struct port *p, unsigned wait_ms)
{
	if (p->fd < 0 || p->broken)
		return;
	const uint64_t end = system_now_ms() + wait_ms;
	for (uint64_t now = system_now_ms(); now < end; now = system_now_ms()) {
		struct pollfd poll_fd = {.fd = p->fd, .events = POLLIN};
		if (poll(&poll_fd, 1, (int)(end - now)) <= 0)
			continue;
		uint8_t byte;
		const ssize_t n = read(p->fd, &byte, 1);
		if (n == 0 || (n == 1 && byte == FRAME_ACK) || (n < 0 && errno != EINTR && errno != EAGAIN))
			return;
	}
}
