/* What jail.c is made of; nobody else includes this. */
#ifndef TALKOO_RUNNER_JAIL_PARTS_H
#define TALKOO_RUNNER_JAIL_PARTS_H

#include "runner/jail.h"

enum jail_filter {
	JAIL_FILTER_NETWORK = 1, /* may open Internet sockets; no programs */
	JAIL_FILTER_FILES,       /* no sockets, no processes, no programs */
	JAIL_FILTER_QEMU,        /* one exec, threads; no sockets */
	JAIL_FILTER_PIPES,       /* a short allow list: what it holds is all it uses */
};

/* A stage's rights. */
struct jail_rights {
	bool has_network;
	enum jail_filter filter;
	uint32_t files, processes;       /* descriptors; threads (counted only in a user namespace of ours) */
	uint64_t file_bytes, memory_bytes; /* 0: none of its own */
};
const struct jail_rights *jail_rights_of(enum stage_id stage);

/* jail_ids.c. Who the stages are, outside and inside of a new user namespace. */
enum mapping {
	MAPPING_NONE = 1, /* no user namespace */
	MAPPING_SINGLE,   /* the launcher's own ids alone */
	MAPPING_OWN_UID,  /* root's: an id for each stage */
	MAPPING_SUB_UID,  /* from the user's sub-uids: for the stages that write no folder */
};
/* Writes the maps of process pid; job: a number that no other job has while this one runs. 0: it cannot be done. */
enum mapping jail_map_ids(pid_t pid, pid_t job);
/* facts' ids under a mapping. */
void jail_fill_ids(struct jail_facts *facts, enum mapping mapping, pid_t job);

/* jail_landlock.c. The ABI version of the running kernel, 0 without. */
int jail_landlock_abi(void);
/* Restricts file access to the jail's paths and folder_fd, TCP to has_network. Needs no_new_privs. */
int jail_landlock_restrict(const struct jail *j, bool has_network, struct err *err) MUST_CHECK;

/* jail_filter.c. */
bool jail_filter_available(void);
int jail_filter_load(enum jail_filter filter, struct err *err) MUST_CHECK;

#endif
