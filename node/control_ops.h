/* The operations of the control socket, by name (node/CONTROL.md). control_ops.c: the table, arguments, donation; control_status.c;
 * control_policy.c: projects, policy, trust; control_jobs.c; control_results.c: results, export; control_files.c: logs, artifacts;
 * control_forget.c; control_watch.c: watch, log -f; control_events.c. What they ask the store goes through control_ask.h.
 * Must not know: libuv, sockets. */
#ifndef TALKOO_NODE_CONTROL_OPS_H
#define TALKOO_NODE_CONTROL_OPS_H

#include "node/control.h"
#include "node/node.h"

/* An operation: answers c now or later. args: the request object, lent; unknown arguments are refused before. */
typedef void (*op_fn)(struct node *n, struct control_call *c, const json_t *args);

/* Arguments, of the type that the table says. Absent: NULL / the fallback (op_text_needed fails the call and returns NULL). */
const char *op_text(const json_t *args, const char *key);
const char *op_text_needed(struct control_call *c, const json_t *args, const char *key);
uint64_t op_number(const json_t *args, const char *key, uint64_t fallback);
bool op_bool(const json_t *args, const char *key);
/* False: it is not from min to max, and the call has been failed. */
bool op_range(struct control_call *c, const json_t *args, const char *key, uint64_t fallback, uint64_t min, uint64_t max, uint64_t *ret);
/* Text that may be cut within a character, or foreign: always a string. */
json_t *op_json_text(const char *text);
/* Fails the call with this sentence. */
void op_fail(struct control_call *c, int code, const char *hint /* may be NULL */, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* A project's id from a link or a full id or an alias. False: the call has been failed. */
bool op_project(struct node *n, struct control_call *c, const char *text, struct id32 *ret);

void op_job_announce(struct node *n, struct control_call *c, const json_t *args);
void op_job_cancel(struct node *n, struct control_call *c, const json_t *args);
void op_job_list(struct node *n, struct control_call *c, const json_t *args);
void op_job_show(struct node *n, struct control_call *c, const json_t *args);
void op_watch(struct node *n, struct control_call *c, const json_t *args);
void op_results(struct node *n, struct control_call *c, const json_t *args);
void op_log(struct node *n, struct control_call *c, const json_t *args);
void op_artifacts(struct node *n, struct control_call *c, const json_t *args);
void op_artifact(struct node *n, struct control_call *c, const json_t *args);
void op_export(struct node *n, struct control_call *c, const json_t *args);
void op_status(struct node *n, struct control_call *c, const json_t *args);
void op_events(struct node *n, struct control_call *c, const json_t *args);
/* op_log with follow */
void op_log_follow(struct node *n, struct control_call *c, const json_t *args);
/* The policy's stored word on a job (op policy.why with "job"). */
void op_policy_why_job(struct node *n, struct control_call *c, const json_t *args);

#endif
