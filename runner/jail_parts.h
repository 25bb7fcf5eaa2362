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
	bool has_network, has_own_uid;
	enum jail_filter filter;
	uint32_t files, processes;       /* descriptors; threads (counted only in a user namespace of ours) */
	uint64_t file_bytes, memory_bytes; /* 0: none of its own */
};
const struct jail_rights *jail_rights_of(enum stage_id stage);

/* jail_landlock.c. The ABI version of the running kernel, 0 without. */
int jail_landlock_abi(void);
/* Restricts file access to the jail's paths and folder_fd, TCP to has_network. Needs no_new_privs. */
int jail_landlock_restrict(const struct jail *j, bool has_network, struct err *err) MUST_CHECK;

/* jail_filter.c. */
bool jail_filter_available(void);
int jail_filter_load(enum jail_filter filter, struct err *err) MUST_CHECK;

#endif
