# talkoo-init: static, process 1 of a job's machine. Built without sanitizers (they do not work in static programs) from its
# own objects, so that nothing but libc is in it.
pkglibexec_PROGRAMS += talkoo-init
GUEST_PURE_SOURCES = \
	runner/guest/artifacts.c runner/guest/artifacts.h \
	runner/guest/cache.c runner/guest/cache.h \
	runner/guest/guest_plan.c runner/guest/guest_plan.h \
	runner/guest/port.c runner/guest/port.h \
	runner/guest/scratchfs.c runner/guest/scratchfs.h \
	runner/guest/system.c runner/guest/system.h \
	runner/guest/tar_read.c runner/guest/tar_read.h \
	runner/guest/tar_write.c runner/guest/tar_write.h \
	runner/guest/unpack.c runner/guest/unpack.h \
	runner/guest/disks.c runner/guest/disks.h
talkoo_init_SOURCES = $(GUEST_PURE_SOURCES) \
	runner/guest/init.c \
	runner/guest/root.c runner/guest/root.h \
	runner/guest/shell.c runner/guest/shell.h \
	runner/shellwire.c runner/shellwire.h \
	runner/guest/steps.c runner/guest/steps.h \
	runner/frames.h runner/guest.h \
	proto/base/buf.c proto/base/err.c proto/base/io.c
talkoo_init_CFLAGS = -std=gnu11 $(WARN_CFLAGS) $(HARDEN_CFLAGS) $(STATIC_CFLAGS)
# stripped, without a build id: an image is to have the same digest wherever it was built
talkoo_init_LDFLAGS = $(STATIC_LDFLAGS) -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-s -Wl,--build-id=none
talkoo_init_LDADD =

# the same sources with sanitizers, for the unit tests and fuzz targets
check_LTLIBRARIES += libtalkoo-guest.la
libtalkoo_guest_la_SOURCES = $(GUEST_PURE_SOURCES)
libtalkoo_guest_la_LIBADD = libtalkoo-base.la
