# tests of the supervisor, the jails, the frames
UNIT_TESTS += test_cgroup
test_cgroup_SOURCES = tests/unit/test_cgroup.c tests/unit/tap.c tests/unit/tap.h
test_cgroup_LDADD = libtalkoo-runner.la
UNIT_TESTS += test_frames test_stage_msg test_tally test_jail
test_frames_SOURCES = tests/unit/test_frames.c tests/unit/tap.c tests/unit/tap.h
test_frames_LDADD = libtalkoo-runner.la
test_stage_msg_SOURCES = tests/unit/test_stage_msg.c tests/unit/tap.c tests/unit/tap.h
test_stage_msg_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
test_stage_msg_LDADD = libtalkoo-runner.la
test_tally_SOURCES = tests/unit/test_tally.c tests/unit/tap.c tests/unit/tap.h
test_tally_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
test_tally_LDADD = libtalkoo-runner.la
test_jail_SOURCES = tests/unit/test_jail.c tests/unit/tap.c tests/unit/tap.h
test_jail_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
test_jail_LDADD = libtalkoo-runner.la

FUZZ_TARGETS += fuzz_frames fuzz_stage_msg
fuzz_frames_SOURCES = tests/fuzz/fuzz_frames.c $(FUZZ_REPLAY)
fuzz_frames_LDADD = libtalkoo-runner.la
fuzz_frames_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)
fuzz_stage_msg_SOURCES = tests/fuzz/fuzz_stage_msg.c $(FUZZ_REPLAY)
fuzz_stage_msg_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
fuzz_stage_msg_LDADD = libtalkoo-runner.la
fuzz_stage_msg_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)

VM_TESTS += tests/vm/outcomes.sh tests/vm/qemus.sh tests/vm/kills.sh tests/vm/rights.sh tests/vm/stages.sh tests/vm/cgroup.sh tests/vm/hostile.sh
LONG_TESTS += tests/vm/long_many.sh
EXTRA_DIST += tests/vm/lib.sh tests/vm/nouserns.py
# a guest whose process 1 is hostile: put over an image's own by tests/vm/hostile.sh
check_PROGRAMS += evilinit
evilinit_SOURCES = tests/vm/evilinit.c $(GUEST_PURE_SOURCES) proto/base/buf.c proto/base/err.c proto/base/io.c
evilinit_CFLAGS = $(talkoo_init_CFLAGS)
evilinit_LDFLAGS = $(talkoo_init_LDFLAGS)
evilinit_LDADD =
VM_TARGETS += evilinit
check_PROGRAMS += cgroup_live
cgroup_live_SOURCES = tests/vm/cgroup_live.c runner/cgroup.c runner/cgroup_host.c proto/base/err.c proto/base/units.c
cgroup_live_CFLAGS = $(talkoo_init_CFLAGS)
cgroup_live_LDFLAGS = $(talkoo_init_LDFLAGS)
cgroup_live_LDADD =
VM_TARGETS += cgroup_live
check_PROGRAMS += fakeqemu
fakeqemu_SOURCES = tests/vm/fakeqemu.c
