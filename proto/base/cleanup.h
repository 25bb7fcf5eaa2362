/* Scope-bound resources: `CLEANUP(buf_release) struct buf b = …;` runs buf_release(&b) when b leaves its scope. */
#ifndef TALKOO_BASE_CLEANUP_H
#define TALKOO_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static inline void cleanup_free(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}

static inline void cleanup_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

/* Gives up ownership of a descriptor held by CLEANUP(cleanup_fd): returns it and leaves -1 behind. */
static inline int fd_take(int *fd)
{
	const int taken = *fd;
	*fd = -1;
	return taken;
}

#endif
