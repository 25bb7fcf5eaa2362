#include "node/config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/schema.h"
#include "proto/host.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define MINUTE_MS UINT64_C(60000)
#define SIZE_MAX_BYTES (UINT64_C(1) << 50)
#define TIMEOUT_MAX_MS (7 * 24 * 60 * MINUTE_MS)

static int read_network(const struct yaml_node *value, void *record, struct err *err)
{
	struct config *c = record;
	const char *text;
	const int rc = schema_text(value, 1, sizeof c->network - 1, &text, err);
	if (rc)
		return rc;
	if (!network_name_is_valid(text))
		return yaml_err(value, err, "a network's name is 1 to 32 of a-z, 0-9 and -");
	snprintf(c->network, sizeof c->network, "%s", text);
	return 0;
}

static int read_seeds(const struct yaml_node *value, void *record, struct err *err)
{
	struct config *c = record;
	const int rc = schema_list(value, 0, CONFIG_SEEDS_MAX, err);
	if (rc)
		return rc;
	c->seeds_len = 0;
	for (const struct yaml_node *item = value->first; item; item = item->next) {
		const char *text;
		struct err why;
		if (schema_text(item, 1, ADDR_TEXT_MAX - 1, &text, err))
			return ERR_INVALID;
		if (node_addr_parse(text, &c->seeds[c->seeds_len], &why))
			return yaml_err(item, err, "%s", why.what);
		c->seeds_len++;
	}
	return 0;
}

/* An address in numbers, with a port or not; port 0: any. */
static bool is_listen_address(const char *text)
{
	struct host_port hp;
	unsigned char address[16];
	const size_t len = strlen(text);
	/* host_port_parse() knows no port 0 */
	const bool is_any_port = len > 2 && !strcmp(text + len - 2, ":0");
	return host_port_parse(text, is_any_port ? len - 2 : len, 1, &hp) && inet_pton(hp.is_ipv6 ? AF_INET6 : AF_INET, hp.host, address) == 1;
}

static int read_listen(const struct yaml_node *value, void *record, struct err *err)
{
	struct config *c = record;
	const char *text;
	const int rc = schema_text(value, 1, sizeof c->listen - 1, &text, err);
	if (rc)
		return rc;
	if (!is_listen_address(text)) {
		const int code = yaml_err(value, err, "\"%.80s\" is no address to listen at", text);
		err_hint(err, "an address of this machine and a port: 0.0.0.0:8255, [::]:8255 or the address of one interface");
		return code;
	}
	snprintf(c->listen, sizeof c->listen, "%s", text);
	return 0;
}

static int read_images(const struct yaml_node *value, void *record, struct err *err)
{
	struct config *c = record;
	const char *text;
	const int rc = schema_text(value, 1, sizeof c->images - 1, &text, err);
	if (rc)
		return rc;
	if (*text != '/')
		return yaml_err(value, err, "needs an absolute path");
	snprintf(c->images, sizeof c->images, "%s", text);
	return 0;
}

static int read_fetch(const struct yaml_node *value, void *record, struct err *err)
{
	struct config *c = record;
	const int rc = schema_list(value, 0, 64, err);
	size_t len = 0;
	c->fetch_hosts[0] = '\0';
	for (const struct yaml_node *item = rc ? NULL : value->first; item; item = item->next) {
		const char *text;
		if (schema_text(item, 1, 253, &text, err))
			return ERR_INVALID;
		if (text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:")])
			return yaml_err(item, err, "is no name of a host");
		if (len + strlen(text) + 2 > sizeof c->fetch_hosts)
			return yaml_err(value, err, "is too long");
		len += (size_t)snprintf(c->fetch_hosts + len, sizeof c->fetch_hosts - len, "%s%s", len ? "," : "", text);
	}
	return rc;
}

#define LIMIT(member) SCHEMA_AT(struct config, limits.member)
#define CAP(member) SCHEMA_AT(struct config, caps.member)

static const struct schema_field limit_fields[] = {
	{.name = "jobs", .kind = SCHEMA_NUMBER, .min = 1, .max = 64, LIMIT(jobs), .help = "jobs at once"},
	{.name = "cpus", .kind = SCHEMA_NUMBER, .min = 1, .max = 64, LIMIT(cpus), .help = "cpus of a job"},
	{.name = "memory", .kind = SCHEMA_SIZE, .min = 128 * MIB, .max = SIZE_MAX_BYTES, LIMIT(memory_bytes), .help = "memory of a job"},
	{.name = "disk", .kind = SCHEMA_SIZE, .min = 64 * MIB, .max = SIZE_MAX_BYTES, LIMIT(disk_bytes), .help = "scratch disk of a job"},
	{.name = "timeout", .kind = SCHEMA_DURATION, .min = 1000, .max = TIMEOUT_MAX_MS, LIMIT(timeout_ms),
	 .help = "wall time of a job under KVM"},
	{.name = "emulated_timeout", .kind = SCHEMA_DURATION, .min = 1000, .max = TIMEOUT_MAX_MS, LIMIT(emulated_timeout_ms),
	 .help = "real time of a job without KVM, which gets 15 times its own limit but no more than this"},
	{.name = "log", .kind = SCHEMA_SIZE, .min = 4 * KIB, .max = GIB, LIMIT(log_bytes), .help = "log of a job"},
	{.name = "artifacts", .kind = SCHEMA_SIZE, .min = 0, .max = SIZE_MAX_BYTES, LIMIT(artifact_bytes), .help = "artifacts of a job, together"},
	{.name = "source", .kind = SCHEMA_SIZE, .min = MIB, .max = SIZE_MAX_BYTES, LIMIT(source_bytes),
	 .help = "what a fetch may bring, and a commit's files together"},
	{.name = "fetch", .kind = SCHEMA_SIZE, .min = 0, .max = SIZE_MAX_BYTES, LIMIT(fetch_bytes), .help = "what a plan may fetch, together"},
	{.name = "cache", .kind = SCHEMA_SIZE, .min = 0, .max = SIZE_MAX_BYTES, LIMIT(cache_bytes), .help = "what a job may keep for the next run"},
};

static const struct schema_field cap_fields[] = {
	{.name = "database", .kind = SCHEMA_SIZE, .min = MIB, .max = SIZE_MAX_BYTES, CAP(database_bytes), .help = "records and events"},
	{.name = "blobs", .kind = SCHEMA_SIZE, .min = MIB, .max = SIZE_MAX_BYTES, CAP(blobs_bytes), .help = "logs and artifacts of results"},
	{.name = "images", .kind = SCHEMA_SIZE, .min = MIB, .max = SIZE_MAX_BYTES, CAP(images_bytes), .help = "VM images"},
	{.name = "mirrors", .kind = SCHEMA_SIZE, .min = MIB, .max = SIZE_MAX_BYTES, CAP(mirrors_bytes), .help = "mirrors of repositories"},
	{.name = "caches", .kind = SCHEMA_SIZE, .min = 0, .max = SIZE_MAX_BYTES, CAP(caches_bytes), .help = "what jobs keep over runs"},
	{.name = "fetched", .kind = SCHEMA_SIZE, .min = 0, .max = SIZE_MAX_BYTES, CAP(fetched_bytes), .help = "files that plans fetched"},
	{.name = "snapshots", .kind = SCHEMA_SIZE, .min = 0, .max = SIZE_MAX_BYTES, CAP(snapshots_bytes), .help = "snapshots of started VMs"},
	{.name = "free_disk", .kind = SCHEMA_SIZE, .min = 0, .max = SIZE_MAX_BYTES, CAP(free_disk_bytes), .help = "nothing is built with less free"},
};

/* Offsets of the nested tables count from the whole struct, so the maps themselves stand at 0. */
static const struct schema_field fields[] = {
	{.name = "network", .kind = SCHEMA_OTHER, .read = read_network, .help = "records of other networks are not understood (main)"},
	{.name = "alias", .kind = SCHEMA_TEXT, SCHEMA_AT(struct config, alias), .help = "a name for people; shown, never resolved"},
	{.name = "listen", .kind = SCHEMA_OTHER, .read = read_listen, .help = "ADDRESS:PORT, like 0.0.0.0:8255; absent: dial out only"},
	{.name = "address", .kind = SCHEMA_TEXT, .min = 1, SCHEMA_AT(struct config, address), .help = "HOST:PORT by which others reach this node; absent: listen's, when that names one address"},
	{.name = "seeds", .kind = SCHEMA_OTHER, .read = read_seeds, .help = "ID@HOST:PORT of nodes to begin with"},
	{.name = "fetch", .kind = SCHEMA_OTHER, .read = read_fetch, .help = "hosts that plans may fetch files from; absent: none"},
	{.name = "images", .kind = SCHEMA_OTHER, .read = read_images, .help = "folder of VM images"},
	{.name = "limits", .kind = SCHEMA_MAP, .sub = limit_fields, .sub_len = ARRAY_LEN(limit_fields), .help = "of a job, and how many at once"},
	{.name = "caps", .kind = SCHEMA_MAP, .sub = cap_fields, .sub_len = ARRAY_LEN(cap_fields), .help = "of the stores"},
};

static void describe(const struct schema_field *list, size_t len, const char *above, struct buf *out)
{
	for (size_t i = 0; i < len; i++) {
		char name[64];
		snprintf(name, sizeof name, "%s%s%s", above, *above ? ": " : "", list[i].name);
		if (list[i].kind == SCHEMA_MAP)
			describe(list[i].sub, list[i].sub_len, list[i].name, out);
		else
			buf_printf(out, "  %-24s %s\n", name, list[i].help);
	}
}

void config_describe(struct buf *out)
{
	describe(fields, ARRAY_LEN(fields), "", out);
}

void config_machine(struct config_machine *ret)
{
	const long cores = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	ret->cores = cores > 0 ? (uint32_t)cores : 1;
	ret->memory_bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : GIB;
}

void config_defaults(const struct config_machine *machine, struct config *ret)
{
	memset(ret, 0, sizeof *ret);
	snprintf(ret->network, sizeof ret->network, "main");
	const uint64_t quarter = machine->memory_bytes / 4 & ~(MIB - 1);
	ret->limits.jobs = 1;
	ret->limits.cpus = machine->cores > 1 ? machine->cores / 2 : 1;
	if (ret->limits.cpus > 64)
		ret->limits.cpus = 64;
	ret->limits.memory_bytes = quarter < 256 * MIB ? 256 * MIB : quarter;
	ret->limits.disk_bytes = 10 * GIB;
	ret->limits.timeout_ms = 30 * MINUTE_MS;
	ret->limits.emulated_timeout_ms = 120 * MINUTE_MS;
	ret->limits.log_bytes = 10 * MIB;
	ret->limits.artifact_bytes = 256 * MIB;
	ret->limits.source_bytes = GIB;
	ret->limits.cache_bytes = GIB;
	ret->limits.fetch_bytes = GIB;
	ret->caps.database_bytes = 512 * MIB;
	ret->caps.blobs_bytes = 2 * GIB;
	ret->caps.images_bytes = 6 * GIB;
	ret->caps.mirrors_bytes = 2 * GIB;
	ret->caps.caches_bytes = 4 * GIB;
	ret->caps.fetched_bytes = 2 * GIB;
	ret->caps.snapshots_bytes = 2 * GIB;
	ret->caps.free_disk_bytes = 5 * GIB;
}

int config_parse(const char *name, const char *text, size_t len, const struct config_machine *machine, struct config *ret,
		 struct err *err)
{
	CLEANUP(yaml_release) struct yaml doc = {0};
	int rc = yaml_parse(&doc, name, text, len, CONFIG_BYTES_MAX, err);
	if (rc)
		return rc;
	CLEANUP(cleanup_free) struct config *c = malloc(sizeof *c);
	if (!c)
		return err_set(err, ERR_NOMEM, "out of memory");
	config_defaults(machine, c);
	if (!yaml_is_empty(&doc))
		rc = schema_read(doc.root, fields, ARRAY_LEN(fields), c, err);
	if (!rc)
		*ret = *c;
	return rc;
}

int config_load(struct home *home, struct config *ret, struct err *err)
{
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, CONFIG_BYTES_MAX);
	int rc = io_read_file(home->config_file, &text, err);
	if (rc == ERR_NOT_FOUND)
		return err_hint(err, "`talkoo init` makes a node here");
	if (rc)
		return rc;
	struct config_machine machine;
	config_machine(&machine);
	rc = config_parse(home->config_file, buf_cstr(&text), text.len, &machine, ret, err);
	if (!rc && ret->images[0])
		snprintf(home->images, sizeof home->images, "%s", ret->images);
	return rc;
}
