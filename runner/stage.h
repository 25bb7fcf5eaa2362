/* What joins the supervisor and its stage children: descriptors and small fixed messages, nothing else.
 *
 * A stage is a function that runs in a child of the supervisor, already inside its jail (jail.h), with exactly the
 * descriptors of its struct. It reports by messages on msg_fd (SOCK_SEQPACKET, one struct stage_msg a packet) and
 * returns its exit status: 0 when it did its work, 1 when it sent STAGE_MSG_FAILED. Any other end (a signal, another
 * status, no message) is a crash: the supervisor makes it the outcome error, naming the stage.
 * The supervisor checks every field of a message as foreign bytes: texts are cut and sanitised, enums looked up,
 * counts bounded. Stages know nothing of each other. */
#ifndef TALKOO_RUNNER_STAGE_H
#define TALKOO_RUNNER_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/job.h"

/* value, name in events and sentences. accel proves the accelerator (accel.h) between pack and vm. */
#define STAGES(X)                                                                                                      \
	X(STAGE_FETCH, 1, "fetch")                                                                                     \
	X(STAGE_PACK, 2, "pack")                                                                                       \
	X(STAGE_ACCEL, 3, "accel")                                                                                     \
	X(STAGE_VM, 4, "vm")                                                                                           \
	X(STAGE_LOG, 5, "log")                                                                                         \
	X(STAGE_COLLECT, 6, "collect")                                                                                 \
	X(STAGE_GET, 7, "get")

enum stage_id {
#define X(name, value, text) name = value,
	STAGES(X)
#undef X
	STAGE_IDS_LEN = 8
};

/* "fetch"; "unknown" for what is no stage. */
const char *stage_name(enum stage_id id);

enum stage_msg_type {
	STAGE_MSG_FAILED = 1,  /* .failed: this job ends with that outcome */
	STAGE_MSG_REF_SEEN,    /* .text: fetch found the commit on this ref */
	STAGE_MSG_PLAN,        /* .plan: pack established it */
	STAGE_MSG_STEP_NAME,   /* .step: index and name, after STAGE_MSG_PLAN, in order */
	STAGE_MSG_SOURCE,      /* .digest: of the canonical source tar */
	STAGE_MSG_ARTIFACT,    /* .artifact: one collected file; its path must be one line of printable UTF-8 (sanitise.h leaves it as
	                          it is) or the message counts as broken */
	STAGE_MSG_GUEST_READY, /* log: init's first frame */
	STAGE_MSG_STEP_START,  /* log: .step.index */
	STAGE_MSG_STEP_END,    /* log: .step.index, .step.exit_code */
	STAGE_MSG_LOG_SIZE,    /* log: .size_bytes of the log file now */
	STAGE_MSG_LOG_DONE,    /* log: .digest of the log file, .digest.truncated */
	STAGE_MSG_GUEST_STAT,  /* log: .stat */
	STAGE_MSG_GUEST_DONE,  /* log: the guest says all steps ended and artifacts are written; .done */
	STAGE_MSG_GUEST_ERROR, /* log: .failed: init could not do its part (no disk, scratch full before the first step) */
	STAGE_MSG_GUEST_LIMIT, /* log: .step.index, .step.exit_code holds an enum guest_limit (frames.h) */
	STAGE_MSG_NETWORK_WANTED, /* log: .step.index: its output says that it looked for a network (netscan.h); once a step */
	STAGE_MSG_NOTE,        /* .text */
	STAGE_MSG_PROGRESS,    /* fetch: .size_bytes received */
	STAGE_MSG_COMMIT,      /* .text: fetch resolved source.commit (absent or short in the plan) to this full id */
	STAGE_MSG_ACCEL,       /* accel: .accel, the proof's answer */
	STAGE_MSG_PACKAGE,     /* pack: .text, a package that the image must have; after the steps' names */
	STAGE_MSG_FETCH_ITEM,  /* pack: .fetch, something that the plan fetches; the supervisor passes it on to get */
	STAGE_MSG_FETCH_GO,    /* supervisor to get: that were all */
	STAGE_MSG_DEPS,        /* get: .digest of the tar of all that was fetched */
	STAGE_MSG_CACHE,       /* log: .size_bytes, the guest says that its cache disk holds a tar of so many */
	STAGE_MSG_CACHE_TAKEN, /* collect: the cache tar was looked through and copied */
	STAGE_MSG_SHELL,       /* log: no step runs, and a shell begins in the guest */
	STAGE_MSG_TYPES_LEN
};

struct stage_msg {
	uint32_t type; /* enum stage_msg_type */
	uint32_t reserved;
	union {
		struct { uint32_t outcome; char reason[JOB_REASON_MAX], hint[JOB_REASON_MAX]; } failed;
		char text[1024];
		struct {
			char path[256], sha256[65], format[32], image[128];
			uint32_t origin, steps, any_order; /* any_order: 1 = its steps may run otherwise than one after the other */
			uint32_t has_cache;
			struct job_limits wanted; /* what the plan asks; 0 = did not say */
		} plan;
		struct { uint32_t index; int32_t exit_code; uint32_t on_failure; char name[JOB_STEP_NAME_MAX]; } step; /* on_failure: of STEP_NAME */
		struct { struct job_digest digest; uint32_t truncated; } digest;
		struct job_artifact artifact;
		struct { uint64_t cpu_ms, memory_bytes, scratch_bytes; } stat;
		struct { uint32_t accel; char why[256], hint[256]; } accel;
		struct { uint64_t tar_bytes; uint32_t is_partial; } done; /* partial: something was left out */
		struct { char url[1024], sha256[65], name[128]; } fetch; /* sha256 "": whatever comes; name: below /ci/deps */
		uint64_t size_bytes;
	} u;
};

/* One packet. 0, or ERR_IO (the supervisor is gone: the stage ends). */
int stage_send(int msg_fd, const struct stage_msg *msg, struct err *err) MUST_CHECK;
/* Sends STAGE_MSG_FAILED and returns 1, so that a stage can `return stage_fail(...)`. hint may be NULL. */
int stage_fail(int msg_fd, enum job_outcome outcome, const char *hint, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* The supervisor's side. One packet from a stage, checked as foreign bytes: its size, whether that stage may send that
 * type, enums, counts and digests in range; texts ended and made safe for one line. */
enum stage_recv { STAGE_RECV_MSG = 1, STAGE_RECV_NOTHING /* would block */, STAGE_RECV_END, STAGE_RECV_BROKEN };
enum stage_recv stage_recv(int msg_fd, enum stage_id from, struct stage_msg *ret);
/* The check alone: pure. False = broken. len: bytes of the packet. */
bool stage_check(const void *packet, size_t len, enum stage_id from, struct stage_msg *ret);

/* fetch: network, libgit2. Brings plan->source.ref of plan->source.url into the bare mirror mirror_path (writable
 * in the jail), proves that the commit is on the ref. Never a checkout, no submodules, hooks, filters, credentials,
 * redirects elsewhere. */
struct stage_fetch { int msg_fd; const struct job_plan *plan; const char *mirror_path; uint32_t idle_ms; /* longest silence of the remote; 0 = 30 s */ };
int stage_fetch_run(const struct stage_fetch *s);

/* get: network, libcurl. Started before the supervisor gives the network up, waits in its jail for STAGE_MSG_FETCH_ITEM and _GO (end of
 * file: nothing is to be fetched), brings each item into the store fetch_store/SHA256/file, writes them all as a tar to deps_fd, and is gone
 * before the machine starts. What cannot be had is the outcome error, naming the item. */
#define STAGE_FETCH_ITEMS_MAX 64
struct stage_get { int msg_fd; const struct job_plan *plan; int deps_fd; };
int stage_get_run(const struct stage_get *s);

/* pack: no network. Reads the commit from a git objects folder (read-only in the jail), finds and parses the plan,
 * writes the canonical source tar to source_fd and the plan tar (guest.h) to plan_fd: both empty, writable files, padded
 * with zeros to a multiple of 512 bytes. */
struct stage_pack { int msg_fd; const struct job_plan *plan; const char *objects_path; int source_fd, plan_fd; };
int stage_pack_run(const struct stage_pack *s);

/* log: no network, no file system. Reads frames (frames.h) from the guest's log port guest_fd and the kernel's console
 * console_fd (both stream sockets), writes log_fd, run_log_fd (JSON lines; -1 = none) and console_log_fd within their caps. Ends at end of file on guest_fd. */
struct stage_log { int msg_fd; int guest_fd, console_fd, log_fd, run_log_fd, console_log_fd; uint64_t log_bytes; const char *const *step_names; uint32_t steps; bool any_order; };
int stage_log_run(const struct stage_log *s);

/* collect: no network. Reads the guest's tar of tar_bytes from artifacts_fd (a raw disk image, read-only), writes
 * plain files below out_fd (a folder, the only one in the jail). Regular files and folders only. cache_bytes: of the
 * cache tar on cache_fd (cachetar.h), which is copied to cache_out_fd; 0 = there is none. One that is not taken is no failure. */
struct stage_collect { int msg_fd; int artifacts_fd; uint64_t tar_bytes; int out_fd; uint64_t max_bytes; uint32_t max_count;
		       int cache_fd; uint64_t cache_bytes; int cache_out_fd; };
int stage_collect_run(const struct stage_collect *s);

#endif
