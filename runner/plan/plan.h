/* The plan: what a commit says is to be done with it. Bytes in, a value out; used by the runner's pack stage, by lint and
 * by announce.
 *
 * A plan comes from the tree (PLAN_FILE: `talkoo` format; Ambient's, Radicle's native and SourceHut's files), else from
 * what its build system is (detected), or from the command line
 * (plan_inline). plan_discover() is the one place that knows the order in which they are looked for.
 * A matrix, or several files of .builds/, are several cells: each is a plan, and a job, of its own.
 * Must not know: git, files, the network, how a VM runs it. Pure. Links: base, proto's ids, libsodium (SHA-256).
 *
 *   CLEANUP(plan_found_release) struct plan_found found = {0};
 *   const struct plan_tree tree = {read_from_tree, list_tree, context};
 *   rc = plan_discover(&tree, NULL, &found, err);    ERR_NOT_FOUND: the commit has no plan
 *                                                    ERR_INVALID, ERR_LIMIT: the file is wrong, and where */
#ifndef TALKOO_RUNNER_PLAN_H
#define TALKOO_RUNNER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proto/ids.h"
#include "runner/job.h"

#define PLAN_FILE ".talkoo.yml"
#define PLAN_FILE_AMBIENT ".radicle/ambient.yaml"
#define PLAN_FILE_NATIVE ".radicle/native.yaml"
#define PLAN_FILE_BUILD ".build.yml"
#define PLAN_FOLDER_BUILDS ".builds"
#define PLAN_FILES_TEXT PLAN_FILE ", " PLAN_FILE_AMBIENT ", " PLAN_FILE_NATIVE ", " PLAN_FILE_BUILD " or " PLAN_FOLDER_BUILDS "/*.yml"
#define PLAN_BYTES_MAX 65536      /* of a plan file */
#define PLAN_INLINE_MAX 2048      /* bytes of an inline plan's commands */
#define PLAN_STEPS_MAX JOB_STEPS_MAX
#define PLAN_ENV_MAX 256
#define PLAN_ENV_NAME_MAX 64      /* bytes with the 0 */
#define PLAN_GLOBS_MAX 64
#define PLAN_GLOB_LEN_MAX 255
#define PLAN_CACHE_MAX 16
#define PLAN_PACKAGES_MAX 256
#define PLAN_FETCH_MAX 64
#define PLAN_IMAGE_MAX 128        /* bytes with the 0 */
#define PLAN_NOTES_MAX 8
#define PLAN_STEP_FILE_MAX 160
#define PLAN_CELLS_MAX 32
#define PLAN_CELL_MAX 256         /* bytes of a cell's name with the 0 */
#define PLAN_AXES_MAX 8           /* of a matrix, the images not counted */

/* The formats that discovery can meet; a format's name is what job reports and results say. */
#define PLAN_FORMATS(X)                                                                                                \
	X(PLAN_FORMAT_TALKOO, 1, "talkoo")                                                                             \
	X(PLAN_FORMAT_INLINE, 2, "inline")                                                                             \
	X(PLAN_FORMAT_AMBIENT, 3, "ambient")                                                                           \
	X(PLAN_FORMAT_NATIVE, 4, "native")                                                                             \
	X(PLAN_FORMAT_DETECTED, 5, "detected")                                                                         \
	X(PLAN_FORMAT_SOURCEHUT, 6, "sourcehut")

enum plan_format {
#define X(name, value, text) name = value,
	PLAN_FORMATS(X)
#undef X
};

struct plan_step {
	char name[JOB_STEP_NAME_MAX]; /* UTF-8, one line, never empty */
	char *run;                    /* the commands; owned; neither NULL nor blank */
	char *prelude;                /* commands that a format puts before them (variables, options); owned; NULL = none */
	char file[PLAN_STEP_FILE_MAX];/* a file of the source that the step runs; "" = not known. For lint */
	uint32_t line, column;        /* of the value of `run` in the plan file; 0 = inline */
	bool has_needs;               /* it says what it needs; else it needs the step before it */
	uint16_t *needs;              /* owned; indices of earlier steps, none twice */
	size_t needs_len;
	bool on_failure;              /* `if: failed`: only when a step failed, after all others; needs nothing */
	uint64_t timeout_ms;          /* 0 = only the job's limit */
	uint32_t first_line;          /* line of the file on which the commands' first line stands; 0 = lines do not match */
};

struct plan_env {
	char name[PLAN_ENV_NAME_MAX]; /* [A-Za-z_][A-Za-z0-9_]*, not TALKOO_* */
	char *value;                  /* owned; UTF-8 */
};

/* What the plan asks for; 0 = it does not say. */
struct plan_resources {
	uint64_t cpus, memory_bytes, disk_bytes, timeout_ms;
};

/* A file that is fetched before the machine starts; the steps find it as /ci/deps/NAME. */
struct plan_fetch {
	char url[1024];               /* http or https */
	char sha256[65];              /* hex; "" where a format knows none */
	char name[128];               /* relative, no empty, "." or ".." parts; no two alike */
};

/* One dimension of a matrix: an environment variable and its values. */
struct plan_axis {
	char name[PLAN_ENV_NAME_MAX];
	char *values[PLAN_CELLS_MAX]; /* owned */
	size_t values_len;
};

struct plan_matrix {
	char (*images)[PLAN_IMAGE_MAX]; /* owned; at most PLAN_CELLS_MAX */
	size_t images_len;
	struct plan_axis *axes;         /* owned */
	size_t axes_len;
};

struct plan {
	char project[LINK_TEXT_MAX];  /* a project link or id, "" = not said */
	char image[PLAN_IMAGE_MAX];   /* NAME or NAME@VERSION; "" = the format names none, whoever asks for the run does */
	struct plan_resources resources;
	struct plan_env *env;         /* owned, in the file's order */
	size_t env_len;
	struct plan_step *steps;      /* owned, 1 to PLAN_STEPS_MAX */
	size_t steps_len;
	char *globs[PLAN_GLOBS_MAX];  /* owned; relative, no empty, "." or ".." parts */
	size_t globs_len;
	bool has_cache;               /* /ci/cache is kept over runs, and … */
	char *cache[PLAN_CACHE_MAX];  /* … these paths of the source with it; owned; relative, no empty, "." or ".." parts */
	size_t cache_len;
	char *packages[PLAN_PACKAGES_MAX]; /* that the image must have; owned */
	size_t packages_len;
	struct plan_fetch *fetch;     /* owned; at most PLAN_FETCH_MAX */
	size_t fetch_len;
	char notes[PLAN_NOTES_MAX][160]; /* what a person should know of how it was read; lint shows them */
	size_t notes_len;
	struct plan_matrix matrix;    /* before plan_take_cell() made one of its cells of the plan; else empty */
};

/* An all-zero plan and NULL are fine. */
void plan_release(struct plan *p);

/* A `.talkoo.yml` file. path: its name for sentences. Errors are yaml.h's: ERR_INVALID or ERR_LIMIT with file, line,
 * column, key, why and a hint. */
int plan_parse(const char *path, const void *bytes, size_t len, struct plan *ret, struct err *err) MUST_CHECK;
/* The JSON Schema of a PLAN_FILE, made of the parser's own tables, as one line. ERR_NOMEM. */
int plan_schema(struct buf *ret, struct err *err) MUST_CHECK;
/* Whether its steps may run otherwise than one after the other, all of them until one fails. */
bool plan_is_any_order(const struct plan *p);
/* How many cells the plan's matrix has; 0 without one. */
size_t plan_cells(const struct plan *p);
/* The name of a cell, "image=mini,CC=gcc": images first, then the axes in the file's order. */
void plan_cell_name(const struct plan *p, size_t cell, char ret[PLAN_CELL_MAX]);
/* Makes that cell of the plan: its image and variables; the matrix is gone afterwards. ERR_NOMEM. */
int plan_take_cell(struct plan *p, size_t cell, struct err *err) MUST_CHECK;
/* One step with these shell commands (at most PLAN_INLINE_MAX bytes, UTF-8), named by the first of them, in that image.
 * ERR_INVALID, ERR_LIMIT. */
int plan_from_cmd(const char *commands, const char *image, struct plan *ret, struct err *err) MUST_CHECK;

/* The plan as one line of JSON with sorted keys (project and places left out): equal plans, equal bytes, whatever the
 * file looked like. Appended to ret. What a detected plan's digest is taken of. ERR_NOMEM. */
int plan_canonical(const struct plan *p, struct buf *ret, struct err *err) MUST_CHECK;

/* A plan and where it came from. */
struct plan_found {
	struct plan plan;
	enum job_origin origin;
	enum plan_format format;
	char cell[PLAN_CELL_MAX];    /* which one plan is; "" without cells */
	char (*cells)[PLAN_CELL_MAX];/* owned; the names of all, in their order */
	size_t cells_len;            /* 0 = there is but one job */
	char path[256];              /* in the tree; of a detected one what it was made of; "" for an inline plan */
	char sha256[65];             /* hex: of the file; of plan_canonical() when detected; of the commands when inline */
	char canonical_sha256[65];   /* of plan_canonical() */
};

void plan_found_release(struct plan_found *f);

/* Reads a file of the commit's tree (or of a folder) by its path, appends it to ret (whose ceiling counts: ERR_LIMIT).
 * ERR_NOT_FOUND: no such file. A link, a folder or a submodule of that name is ERR_INVALID. */
typedef int (*plan_read_fn)(void *context, const char *path, struct buf *ret, struct err *err);

/* The names in a folder of the same tree, each ended by "\n", appended to ret. ERR_NOT_FOUND: no such folder. */
typedef int (*plan_list_fn)(void *context, const char *folder, struct buf *ret, struct err *err);

/* The tree that a plan is looked for in. list may be NULL: then no folder has anything. */
struct plan_tree {
	plan_read_fn read;
	plan_list_fn list;
	void *context;
};

/* The first plan that the tree has. cell: which of its cells; NULL = the first, "" = it must have none; another name than
 * those it has is ERR_REFUSED, and the hint lists them. ERR_NOT_FOUND "no plan: …" when it has none; what read() and the
 * parser say. */
int plan_discover(const struct plan_tree *tree, const char *cell, struct plan_found *ret, struct err *err) MUST_CHECK;
/* plan_from_cmd() as a found plan. */
int plan_inline(const char *commands, const char *image, struct plan_found *ret, struct err *err) MUST_CHECK;

/* The paths that discovery looks for, in its order: paths[0..*ret_len). Static. */
const char *const *plan_paths(size_t *ret_len);
/* Gives a step whose commands are set the name that it has by default: their first line that is not blank. */
void plan_name_step(struct plan_step *step);
const char *plan_format_name(enum plan_format f);
/* Name [a-z0-9][a-z0-9._-]* (at most 64), optionally @ and a version [A-Za-z0-9._-]+ (at most 32). */
bool plan_image_is_valid(const char *image);

#endif
