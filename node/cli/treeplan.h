/* The plan of a commit in a repository at hand: discovery (runner/plan) over the commit's tree. */
#ifndef TALKOO_CLI_TREEPLAN_H
#define TALKOO_CLI_TREEPLAN_H

#include "node/cli/gitrepo.h"
#include "runner/plan/plan.h"

/* The plan of one of the commit's cells, as plan_discover() says. */
int treeplan_find_cell(struct gitrepo *repo, const char *commit, const char *cell, struct plan_found *ret, struct err *err) MUST_CHECK;
/* plan_discover()'s errors; of a plan with cells the first; without a plan the hint says what to do. ret: plan_found_release(). */
int treeplan_find(struct gitrepo *repo, const char *commit, struct plan_found *ret, struct err *err) MUST_CHECK;
/* The same over the files of a folder as they are now (lint, and the checkout's `project:`). */
int treeplan_find_in_folder(const char *folder, struct plan_found *ret, struct err *err) MUST_CHECK;

#endif
