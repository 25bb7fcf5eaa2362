/* The commands: one function each (cli_run_fn), named by the table; grouped into cmd_*.c by what they are about. */
#ifndef TALKOO_CLI_CMDS_H
#define TALKOO_CLI_CMDS_H

#include "node/cli/cli.h"

/* name of the function, of its file */
#define CMDS(X)                                                                                                        \
	X(cmd_run)                                                                                                     \
	X(cmd_lint)                                                                                                    \
	X(cmd_image_build) X(cmd_image_import) X(cmd_image_prune) X(cmd_image_list) X(cmd_image_show) X(cmd_image_remove)   \
	X(cmd_init) X(cmd_id) X(cmd_key_backup)                                                                        \
	X(cmd_start) X(cmd_stop) X(cmd_status) X(cmd_doctor)                                                           \
	X(cmd_peers) X(cmd_connect)                                                                                    \
	X(cmd_pause) X(cmd_resume) X(cmd_finish) X(cmd_events)                                                         \
	X(cmd_project_create) X(cmd_project_list) X(cmd_project_show) X(cmd_follow) X(cmd_unfollow) X(cmd_forget)                    \
	X(cmd_allow) X(cmd_deny) X(cmd_policy_show) X(cmd_policy_why) X(cmd_policy_check)                              \
	X(cmd_job_announce) X(cmd_job_cancel) X(cmd_job_list) X(cmd_job_show)                                          \
	X(cmd_watch) X(cmd_results) X(cmd_log) X(cmd_artifacts)                                                        \
	X(cmd_trust_add) X(cmd_trust_list) X(cmd_trust_remove)                                                         \
	X(cmd_export) X(cmd_verify)                                                                                    \
	X(cmd_help)

#define X(fn) int fn(struct cli *c, struct err *err);
CMDS(X)
#undef X

#endif
