/* Inside dialer only: what its files share. dialer.c what is known and what happened; dialer_plan.c whom to call and ask. */
#ifndef TALKOO_P2P_DIALER_IMPL_H
#define TALKOO_P2P_DIALER_IMPL_H

#include "p2p/addrbook.h"
#include "p2p/dialer.h"

#define ACTIONS_MAX 512

struct pinned {
	struct node_addr addr;
	unsigned fails;
	uint64_t next_ms;
	bool is_called; /* at least once */
};

struct peer {
	uint32_t number;
	struct node_id id;
	bool is_outbound, is_going; /* HANG_UP was said: counts for nothing */
	bool is_counted;            /* plan: among the carriers that a topic needs */
	uint64_t opened_ms, doubt_until_ms;
	uint64_t source;            /* its network */
	bool is_loopback, is_private;
	struct id32 *topics;        /* owned */
	size_t topics_len;
};

struct call { struct node_addr addr; bool is_pinned; };

struct followed {
	struct id32 id;
	unsigned need; /* plan: carriers that are missing */
	uint64_t ask_ms; /* not asked for before */
};

struct dialer {
	struct node_id self;
	bool is_private;
	uint8_t seed[32];
	uint64_t draws;
	struct addrbook book;
	struct pinned *pinned;
	size_t pinned_len;
	struct followed *topics;
	size_t topics_len;
	uint16_t needy[4 * DIALER_TOPICS_MAX]; /* plan: indices of topics that lack carriers, plus one, by tag */
	struct peer peers[DIALER_PEERS_MAX];
	size_t peers_len;
	struct call calls[DIALER_CALLS_MAX];
	size_t calls_len;
	struct dialer_action *actions; /* ring */
	size_t actions_at, actions_len;
	bool is_due;       /* something happened that a plan must see */
	uint64_t next_ms;  /* of the plan by itself */
	uint64_t now_ms, unix_ms;
	struct dialer_stats stats;
};

/* dialer.c */
uint64_t dialer_draw(struct dialer *d, uint64_t below); /* 0 to below - 1 */
bool dialer_push(struct dialer *d, const struct dialer_action *a); /* false: full */
bool dialer_peer_carries(const struct peer *p, const struct id32 *topic);
/* The wait after so many failures: doubled each time, at most most_ms, of which the second half is jitter. */
uint64_t dialer_wait(struct dialer *d, unsigned fails, uint64_t most_ms);
bool dialer_is_called(const struct dialer *d, const struct node_id *id);
bool dialer_is_sure(const struct dialer *d, const struct peer *p); /* open and not doubtful */
const struct peer *dialer_sure_peer(const struct dialer *d, const struct node_id *id);

/* dialer_plan.c: calls and asks that are due; sets next_ms. */
void dialer_plan(struct dialer *d);

#endif
