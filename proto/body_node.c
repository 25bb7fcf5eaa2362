#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/body_impl.h"
#include "proto/host.h"

void node_body_encode(const struct node_body *p, struct buf *b)
{
	mp_put_array(b, 4);
	mp_put_array(b, (uint32_t)p->addresses_len);
	for (size_t i = 0; i < p->addresses_len; i++) {
		mp_put_array(b, 2);
		mp_put_str(b, p->addresses[i].host);
		mp_put_uint(b, p->addresses[i].port);
	}
	mp_put_str(b, p->arch);
	mp_put_array(b, (uint32_t)p->images_len);
	for (size_t i = 0; i < p->images_len; i++)
		mp_put_str(b, p->images[i]);
	mp_put_text(b, p->software, sizeof p->software);
}

/* PROTOCOL 2.4: one text for one host, so that addresses are compared as text. */
static bool host_is_normal(const char *host)
{
	char text[HOST_TEXT_MAX + 3];
	struct host_port parsed;
	snprintf(text, sizeof text, host_is_ipv6(host) ? "[%s]" : "%s", host);
	return host_port_parse(text, strlen(text), PORT_DEFAULT, &parsed) && !strcmp(parsed.host, host);
}

static void get_address(struct mp_cursor *list, struct node_body_address *ret)
{
	struct mp_cursor c;
	mp_get_array(list, "addresses", BODY_STRUCT_LEN_MAX, &c);
	mp_get_line(&c, "host", ret->host, sizeof ret->host);
	if (!c.failed && !host_is_normal(ret->host))
		mp_cursor_fail(&c, "host", "is no host in normal form");
	ret->port = (uint16_t)mp_get_uint(&c, "port", 65535);
	if (!ret->port)
		mp_cursor_fail(&c, "port", "is 0");
	mp_cursor_join(list, &c);
}

static void get_addresses(struct mp_cursor *c, struct node_body *p)
{
	struct mp_cursor list;
	mp_get_array(c, "addresses", NODE_ADDRESSES_MAX, &list);
	for (; mp_more(&list); p->addresses_len++)
		get_address(&list, &p->addresses[p->addresses_len]);
	mp_cursor_join(c, &list);
}

static void get_images(struct mp_cursor *c, struct node_body *p)
{
	struct mp_cursor list;
	mp_get_array(c, "images", NODE_IMAGES_MAX, &list);
	for (; mp_more(&list); p->images_len++) {
		char *image = p->images[p->images_len];
		mp_get_line(&list, "images", image, sizeof p->images[0]);
		if (!list.failed && (!image_name_is_valid(image) || !strchr(image, '@')))
			mp_cursor_fail(&list, "images", "holds what is no NAME@VERSION");
	}
	mp_cursor_join(c, &list);
}

/* PROTOCOL 5.7 */
static void node_agree(struct mp_cursor *c, const struct record *r, const struct node_body *p)
{
	const struct record_fields *f = record_get(r);
	if (c->failed)
		return;
	if (!arch_name_is_valid(p->arch))
		mp_cursor_fail(c, "arch", "is no architecture's name");
	if (!sodium_is_zero(f->topic.b, sizeof f->topic.b))
		mp_cursor_fail(c, "topic", "is not zero");
	if (f->depends_len)
		mp_cursor_fail(c, "depends", "is not empty");
	body_require_no_key(c, r);
}

int node_body_decode(const struct record *r, struct node_body *ret, struct err *err)
{
	assert(record_get(r)->kind == RECORD_NODE);
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	int e = body_open(r, "node", &doc, &c, err);
	if (e)
		return e;
	struct node_body p = {0};
	get_addresses(&c, &p);
	mp_get_line(&c, "arch", p.arch, sizeof p.arch);
	get_images(&c, &p);
	mp_get_line(&c, "software", p.software, sizeof p.software);
	node_agree(&c, r, &p);
	if ((e = mp_cursor_check(&c, err)))
		return e;
	*ret = p;
	return 0;
}
