/* config.yml: what a person sets of a node. Text in, values out; every field has a default, unknown keys are refused
 * with file, line and key.
 *
 *   network: main              # records of other networks are not understood
 *   alias: basement            # a name for people; shown, never resolved
 *   listen: 0.0.0.0:8255       # absent: dial out only
 *   address: ci.example.org:8255 # what others may call; absent: listen's, when that names one address
 *   seeds: [z6Mk…@host:port]
 *   fetch: [static.example.org] # hosts that plans may fetch files from; absent: none
 *   images: /srv/talkoo/images # absent: STATE/images
 *   limits:                    # of a job, and how many at once; a policy rule may only lower them
 *     jobs: 1
 *     cpus: 2                  # absent: half the cores
 *     memory: 2G               # absent: a quarter of the memory
 *     disk: 10G                # scratch
 *     timeout: 30m             # wall time under KVM
 *     emulated_timeout: 2h     # real time of a run without KVM (15 times the job's, but no more than this)
 *     log: 10M
 *     artifacts: 256M
 *     source: 1G
 *     fetch: 1G                # what a plan may fetch, together
 *     cache: 1G                # what a job may keep for the next run
 *   caps:                      # of the stores
 *     database: 512M
 *     blobs: 2G                # logs and artifacts of results
 *     images: 6G
 *     mirrors: 2G
 *     caches: 4G
 *     fetched: 2G
 *     snapshots: 2G
 *     free_disk: 5G            # nothing is built with less free
 *
 * Pure but for config_load() and config_machine(). Must not know: who uses the values. Links: base, proto (ids). */
#ifndef TALKOO_NODE_CONFIG_H
#define TALKOO_NODE_CONFIG_H

#include <limits.h>

#include "node/home.h"
#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proto/ids.h"

#define CONFIG_SEEDS_MAX 16
#define CONFIG_BYTES_MAX 65536

/* What defaults depend on. */
struct config_machine {
	uint32_t cores;
	uint64_t memory_bytes;
};

struct config {
	char network[33];
	char alias[64];
	char listen[ADDR_TEXT_MAX]; /* "HOST:PORT" ([HOST]:PORT for IPv6); "" = dial out only */
	char address[ADDR_TEXT_MAX]; /* HOST:PORT as others reach it; "" = listen's */
	struct node_addr seeds[CONFIG_SEEDS_MAX];
	size_t seeds_len;
	char fetch_hosts[4096]; /* joined by commas; "" = none */
	char images[PATH_MAX]; /* "" = the home's */
	struct {
		uint64_t jobs, cpus;
		uint64_t memory_bytes, disk_bytes, timeout_ms, emulated_timeout_ms, log_bytes, artifact_bytes, source_bytes, cache_bytes, fetch_bytes;
	} limits;
	struct {
		uint64_t database_bytes, blobs_bytes, images_bytes, mirrors_bytes, caches_bytes, fetched_bytes, snapshots_bytes, free_disk_bytes;
	} caps;
};

/* This machine's, from the system. */
void config_machine(struct config_machine *ret);
void config_defaults(const struct config_machine *machine, struct config *ret);
/* text: config.yml's bytes; name: for sentences. ret holds the defaults where text is silent. */
int config_parse(const char *name, const char *text, size_t len, const struct config_machine *machine, struct config *ret,
		 struct err *err) MUST_CHECK;
/* A line for each key, for `talkoo help config`. */
void config_describe(struct buf *out);
/* Reads the home's config.yml (absent: ERR_NOT_FOUND with `talkoo init` in the hint), and puts `images` into home where it is said. */
int config_load(struct home *home, struct config *ret, struct err *err) MUST_CHECK;

#endif
