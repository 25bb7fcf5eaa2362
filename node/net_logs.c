/* net.h: live logs. Ours are read from the run's file, a small piece at a time; others' are handed to who reads here. */
#include "node/net_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "node/blobs.h"
#include "node/runplan.h"
#include "proto/base/cleanup.h"

static struct net_reader *reader(struct node *n, uint32_t subscription)
{
	for (size_t i = 0; n->net && subscription && i < LIVELOG_STREAMS_MAX; i++)
		if (n->net->readers[i].subscription == subscription)
			return &n->net->readers[i];
	return NULL;
}

uint32_t net_log_subscribe(struct node *n, const struct id32 *job, const struct node_id *volunteer, uint64_t offset, net_log_fn fn, void *user)
{
	struct net_reader *r = NULL;
	for (size_t i = 0; n->net && i < LIVELOG_STREAMS_MAX && !r; i++)
		if (!n->net->readers[i].subscription)
			r = &n->net->readers[i];
	if (!r)
		return 0;
	const uint32_t subscription = livelog_subscribe(network_livelog(n->net->network), job, volunteer, offset, net_mono(n));
	if (subscription)
		*r = (struct net_reader){.subscription = subscription, .fn = fn, .user = user};
	n->hooks.want_work(n->hooks.user);
	return subscription;
}

void net_log_unsubscribe(struct node *n, uint32_t subscription)
{
	struct net_reader *r = reader(n, subscription);
	if (!r)
		return;
	*r = (struct net_reader){0};
	livelog_unsubscribe(network_livelog(n->net->network), subscription);
	n->hooks.want_work(n->hooks.user);
}

void net_log_grown(struct node *n, const struct id32 *job, uint64_t size, bool is_end)
{
	if (!n->net)
		return;
	livelog_grown(network_livelog(n->net->network), job, size, is_end, net_mono(n));
	n->hooks.want_work(n->hooks.user);
}

/* At most LIVELOG_CHUNK_MAX bytes that were just written: they come from the page cache. */
static void on_read(struct node *n, const struct livelog_action *a)
{
	uint8_t bytes[LIVELOG_CHUNK_MAX];
	char dir[PATH_MAX];
	CLEANUP(cleanup_fd) int fd = -1;
	ssize_t got = -1;
	runplan_dir(n, &a->job, dir);
	/* kept already: the run is over, its files have moved */
	if (blobs_open(dir, "log", &fd, NULL) && !blobs_dir(&n->home, &a->job, &n->self, dir, NULL))
		(void)!blobs_open(dir, "log", &fd, NULL);
	if (fd >= 0)
		got = pread(fd, bytes, a->len < sizeof bytes ? a->len : sizeof bytes, (off_t)a->offset);
	livelog_data(network_livelog(n->net->network), a->stream, a->offset, bytes, got > 0 ? (size_t)got : 0, net_mono(n));
}

void net_logs_act(struct node *n, const struct livelog_action *a)
{
	struct net_reader *r = reader(n, a->subscription);
	switch (a->type) {
	case LIVELOG_SEND: break; /* the network's own */
	case LIVELOG_READ: on_read(n, a); break;
	case LIVELOG_CHUNK:
		if (r && a->len)
			r->fn(r->user, a->offset, a->bytes, a->len, NULL);
		r = reader(n, a->subscription); /* fn may have let go */
		if (r && a->is_end) {
			const struct net_reader was = *r;
			*r = (struct net_reader){0};
			was.fn(was.user, a->offset + a->len, NULL, 0, "");
		}
		break;
	case LIVELOG_LOST:
		if (r) {
			const struct net_reader was = *r;
			*r = (struct net_reader){0};
			was.fn(was.user, 0, NULL, 0, livelog_end_name(a->why));
		}
		break;
	}
}
