/* A job plan and its report: the two self-contained values that pass between a launcher (talkood, talkoo run, later a
 * batch system) and talkoo-runner, with their JSON forms. The folder's other files may change; these are the contract.
 *
 * Must not know: p2p, policy, records. Links: base (jansson). Pure: bytes in, values out.
 *
 * How it is used. The launcher starts `talkoo-runner job`, writes the plan as one line of JSON to its standard input
 * and keeps that pipe open: end of file there means "the launcher is gone" and ends the whole tree within 2 s
 * (outcome abandoned). The runner writes events to standard output, one JSON object a line (job_event_*), the last of
 * which is the report. It exits 0 when it could report, whatever the outcome; without a report the launcher takes
 * outcome error. Log bytes are in DIR/log as they come, artifacts afterwards in DIR/artifacts/ (plain files).
 * A line "cancel\n" on standard input ends the job with outcome abandoned and a report. After a crash of the supervisor
 * the last event may be cut short and an empty line follow: a reader skips lines that are not JSON objects.
 * What the runner leaves in DIR: log, run.jsonl (runlog.h), console.log, qemu.log, artifacts/ and report.json (the report line). */
#ifndef TALKOO_RUNNER_JOB_H
#define TALKOO_RUNNER_JOB_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/err.h"

#define JOB_STEPS_MAX 256
#define JOB_STEP_NAME_MAX 128 /* bytes with the 0 */
#define JOB_ARTIFACTS_MAX 10000
#define JOB_REASON_MAX 512
#define JOB_ALTERNATES_MAX 4
#define JOB_SHELL_FD 3

/* ARCHITECTURE 4 "Outcomes". The names are the wire's and the JSON's. */
#define JOB_OUTCOMES(X)                                                                                                \
	X(JOB_PASSED, 1, "passed")                                                                                     \
	X(JOB_FAILED, 2, "failed")                                                                                     \
	X(JOB_TIMEOUT, 3, "timeout")                                                                                   \
	X(JOB_ERROR, 4, "error")                                                                                       \
	X(JOB_ABANDONED, 5, "abandoned")                                                                               \
	X(JOB_REFUSED, 6, "refused")

enum job_outcome {
#define X(name, value, text) name = value,
	JOB_OUTCOMES(X)
#undef X
};

#define JOB_ORIGINS(X)                                                                                                 \
	X(JOB_ORIGIN_TREE, 1, "tree")         /* a plan file in the commit's tree */                                   \
	X(JOB_ORIGIN_DETECTED, 2, "detected") /* what discovery made of the tree */                                    \
	X(JOB_ORIGIN_INLINE, 3, "inline")     /* came with the job (--cmd) */

enum job_origin {
#define X(name, value, text) name = value,
	JOB_ORIGINS(X)
#undef X
};

#define JOB_ACCELS(X)                                                                                                  \
	X(JOB_ACCEL_AUTO, 1, "auto") /* in a plan only: the proven one */                                              \
	X(JOB_ACCEL_KVM, 2, "kvm")                                                                                     \
	X(JOB_ACCEL_TCG, 3, "tcg")

enum job_accel {
#define X(name, value, text) name = value,
	JOB_ACCELS(X)
#undef X
};

/* A blob's digest (ARCHITECTURE 4): hex texts. root: RFC 9162 tree, BLAKE2b-256, 16 KiB leaves. */
struct job_digest {
	char sha256[65];
	char root[65];
	uint64_t size_bytes;
};

struct job_limits {
	uint32_t cpus;
	uint64_t memory_bytes;
	uint64_t disk_bytes;      /* scratch disk */
	uint64_t timeout_ms;      /* wall time of the guest, real time (any factor for emulation is already in it) */
	uint64_t log_bytes;       /* past it the log is cut with a mark, the job goes on */
	uint64_t artifact_bytes;  /* sum */
	uint32_t artifact_count;
	uint64_t source_bytes;    /* of a fetch, and of the source tar */
};

/* Where the commit comes from. Exactly one of url and local_objects is set. */
struct job_source {
	char url[1024];              /* https, git; file, loopback or private ones only where the next three say so */
	bool allow_loopback, allow_private, allow_file;
	char ref[256];               /* full name, "refs/heads/main"; with url it is what is read, and commit must be on it;
	                                "" with url: the branch that the remote's HEAD names (talkoo run) */
	char commit[65];             /* full hex id. talkoo run of a url may leave it "" (the tip of ref) or give 7 or more
	                                digits, unique in ref's history: fetch resolves it, the report says which it was */
	char mirror[PATH_MAX];       /* folder of the bare mirror for url, created when absent; the runner's to write */
	char local_objects[PATH_MAX];/* a git objects folder of this machine (talkoo run in a checkout): only read */
	char local_alternates[JOB_ALTERNATES_MAX][PATH_MAX]; /* what its info/alternates leads to, all levels, absolute; visible
	                                to pack at these very paths, read-only. "" ends the list */
};

struct job_plan {
	char job[65];                /* id for the log, hex; "" at home */
	char dir[PATH_MAX];          /* the job's own folder: exists, empty, 0700; everything is written there */
	struct job_source source;
	enum job_origin plan_origin; /* expected: tree or detected (what discovery yields) or inline */
	char plan_path[256];         /* expected path in the tree; "" = whatever discovery yields */
	char plan_sha256[65];        /* expected digest of the plan file; "" = do not compare */
	char cell[256];              /* of a plan with cells (a matrix, .builds/): which one; "" = it has none */
	uint32_t cells;              /* how many the plan is said to have; 0 = do not compare */
	char inline_cmd[2049];       /* with JOB_ORIGIN_INLINE: shell commands of its single step */
	char image[128];             /* name@version the announcer asked for; "" = what the plan says. Inline: required */
	char image_store[PATH_MAX];  /* folder of images: STORE/NAME@VERSION/manifest.json … */
	enum job_accel accel;
	char accel_cache[PATH_MAX];  /* file in which the accelerator's proof is kept (accel.h); "" = prove each time */
	bool emulation_allowed;      /* false: without a proven KVM the outcome is refused */
	bool isolation_required;     /* a stranger's job: without namespaces the outcome is refused */
	uint64_t timeout_factor_emulated; /* limits.timeout_ms and the plan's are multiplied by it under TCG (15) */
	uint64_t timeout_cap_ms;     /* the donor's own cap, real time, after the factor; 0 = none */
	char cache_store[PATH_MAX];  /* folder of caches (cachekey.h), created when absent; "" = none is read or written */
	char cache_scope[65];        /* whose: cachekey_scope() of project and ref; required with cache_store */
	uint64_t cache_bytes;        /* ceiling of one cache; 0 = none */
	bool cache_may_write;        /* false: an untrusted ref, which reads and leaves nothing behind */
	char fetch_store[PATH_MAX];  /* folder of what plans fetched, by digest; created when absent; "" = nothing is fetched for a plan */
	char fetch_hosts[4096];      /* hosts that may be asked, joined by commas */
	bool fetch_any_host;         /* at home: any, loopback and private addresses too */
	uint64_t fetch_bytes;        /* of all that a plan fetches, together */
	char shell[8];               /* at home alone (job is ""): "failed", when a step failed a person gets a shell in the guest, before the
	                                artifacts are taken; "always", after success too; "" = never. Then the runner's descriptor
	                                JOB_SHELL_FD is a connected stream socket that speaks shellwire.h, and the time limit ends with the steps */
	struct job_limits limits;    /* ceilings: what the plan asks is cut down to them, or refused where it needs more cpus/memory/disk */
};

struct job_step_report {
	char name[JOB_STEP_NAME_MAX];
	int exit_code;               /* 0-255; 128+N killed by signal N; -1 never started or never ended */
	bool on_failure;             /* runs only when another failed: -1 is fine then */
	uint64_t started_ms;         /* since the job's start */
	uint64_t duration_ms;
};

struct job_artifact {
	char path[1024];             /* relative, checked by the collector */
	struct job_digest digest;
};

/* Where the time went; all in ms, 0 = did not happen. */
struct job_timings {
	uint64_t fetch_ms, pack_ms, boot_ms /* QEMU exec to first step */, steps_ms, collect_ms, total_ms;
};

struct job_report {
	enum job_outcome outcome;
	char reason[JOB_REASON_MAX]; /* a sentence; "" when passed */
	char hint[JOB_REASON_MAX];   /* what to do; may be "" */
	char commit[65];             /* full hex id of what was run; "" when it was never resolved */
	char ref_seen[256];          /* the ref on whose tip's history the fetch found the commit; "" at home */
	enum job_origin plan_origin;
	char plan_path[256], plan_sha256[65], plan_format[32]; /* "talkoo", later others */
	char image_name[128], image_digest[65];
	struct job_limits limits;    /* in force */
	enum job_accel accel;        /* kvm or tcg; AUTO when no VM was started */
	char isolation[128];         /* e.g. "userns,pidns,netns,seccomp,landlock" */
	char machine[32];            /* machine profile: "q35", "microvm" */
	struct job_digest source, log, deps; /* deps: the tar of what was fetched; empty texts without one */
	bool log_truncated;
	uint64_t started_unix_ms, finished_unix_ms;
	struct job_timings timings;
	uint64_t cpu_ms, memory_peak_bytes; /* of the guest, by its own account */
	struct job_step_report *steps; /* owned */
	size_t steps_len;
	struct job_artifact *artifacts; /* owned */
	size_t artifacts_len;
	bool artifacts_partial;      /* a step failed, or some were left out for a cap: the log says which */
};

/* Frees what it owns and empties it; NULL and an all-zero report are fine. */
void job_report_release(struct job_report *r);

/* Names of the enums; "unknown" for what is not in the list. *_parse: false if text is no name. */
const char *job_outcome_name(enum job_outcome o);
bool job_outcome_parse(const char *text, enum job_outcome *ret);
const char *job_origin_name(enum job_origin o);
bool job_origin_parse(const char *text, enum job_origin *ret);
const char *job_accel_name(enum job_accel a);
bool job_accel_parse(const char *text, enum job_accel *ret);

/* Plan <-> JSON object (new reference; NULL without memory). The keys are the members' names, source and limits are
 * objects, with "v":1 and "type":"plan". Reading is strict: unknown keys, wrong types, over-long texts and a plan that
 * contradicts itself are ERR_INVALID, naming the key; absent texts are empty. Text that is not UTF-8 is written with
 * replacement characters (a path like that does not come back). */
json_t *job_plan_to_json(const struct job_plan *plan);
int job_plan_from_json(const json_t *object, struct job_plan *ret, struct err *err) MUST_CHECK;
/* Report <-> JSON ("v":1, "type":"report"; keys likewise). Reading ignores unknown keys and bounds every text and list
 * (ERR_INVALID, ERR_LIMIT); an enum that was never set is written, and read, as "unknown" (0), but for the outcome.
 * ret is the caller's to job_report_release(). */
json_t *job_report_to_json(const struct job_report *report);
int job_report_from_json(const json_t *object, struct job_report *ret, struct err *err) MUST_CHECK;

/* Events before the report, each {"v":1,"type":T,"t_ms":since start,…}:
 *   stage   {"stage":"fetch|pack|vm|log|collect","state":"start|end"}
 *   plan    {"commit","path","origin","image","accel","steps":[names]}      once, when the plan is known
 *   step    {"index","count","name","state":"start|end","exit_code" (end),"duration_ms" (end)}
 *   log     {"size_bytes"}            DIR/log has grown to this; at most 20 a second
 *   stat    {"cpu_ms","memory_bytes","log_bytes"}                  once a second while the VM runs
 *   shell   {}                        a shell begins in the guest (plan's shell); once at most
 *   note    {"text"}                  something a person should know; the job goes on */

#endif
