/* The reading half of mp.h: msgpack-c's objects through a cursor that fails once. */
#include <string.h>

#include "proto/mp.h"

int mp_doc_open(const uint8_t *bytes, size_t len, const struct mp_limits *limits, struct mp_doc *ret, struct err *err)
{
	const int r = mp_scan(bytes, len, limits, err);
	if (r)
		return r;
	struct mp_doc d = {.zone = msgpack_zone_new(1024)};
	if (!d.zone)
		return err_set(err, ERR_NOMEM, "out of memory");
	size_t at = 0;
	const msgpack_unpack_return got = msgpack_unpack((const char *)bytes, len, &at, d.zone, &d.root);
	if (got != MSGPACK_UNPACK_SUCCESS) {
		mp_doc_release(&d);
		return err_set(err, got == MSGPACK_UNPACK_NOMEM_ERROR ? ERR_NOMEM : ERR_BUG, "msgpack-c: unpack failed (%d)", (int)got);
	}
	*ret = d;
	return 0;
}

void mp_doc_release(struct mp_doc *d)
{
	if (d && d->zone)
		msgpack_zone_free(d->zone);
	if (d)
		d->zone = NULL;
}

void mp_cursor_init(struct mp_cursor *c, const msgpack_object *array, const char *what)
{
	*c = (struct mp_cursor){.what = what};
	if (array->type != MSGPACK_OBJECT_ARRAY) {
		mp_cursor_fail(c, "it", "is no array");
		return;
	}
	c->items = array->via.array.ptr;
	c->len = array->via.array.size;
}

int mp_cursor_check(const struct mp_cursor *c, struct err *err)
{
	if (!c->failed)
		return 0;
	if (err)
		*err = c->err;
	return c->err.code;
}

void mp_cursor_fail(struct mp_cursor *c, const char *field, const char *why)
{
	if (c->failed)
		return;
	c->failed = true;
	err_set(&c->err, ERR_INVALID, "%s: %s %s", c->what, field, why);
}

void mp_cursor_join(struct mp_cursor *c, const struct mp_cursor *nested)
{
	if (c->failed || !nested->failed)
		return;
	c->failed = true;
	c->err = nested->err;
}

bool mp_more(const struct mp_cursor *c)
{
	return !c->failed && c->at < c->len;
}

bool mp_take_nil(struct mp_cursor *c)
{
	if (!mp_more(c) || c->items[c->at].type != MSGPACK_OBJECT_NIL)
		return false;
	c->at++;
	return true;
}

/* The next object, or NULL with the cursor failed. */
static const msgpack_object *next(struct mp_cursor *c, const char *field, msgpack_object_type type, const char *type_name)
{
	if (c->failed)
		return NULL;
	if (c->at == c->len) {
		mp_cursor_fail(c, field, "is missing");
		return NULL;
	}
	const msgpack_object *o = &c->items[c->at];
	if (o->type != type) {
		mp_cursor_fail(c, field, type_name);
		return NULL;
	}
	c->at++;
	return o;
}

uint64_t mp_get_uint(struct mp_cursor *c, const char *field, uint64_t max)
{
	const msgpack_object *o = next(c, field, MSGPACK_OBJECT_POSITIVE_INTEGER, "is no integer");
	if (!o)
		return 0;
	if (o->via.u64 > max) {
		mp_cursor_fail(c, field, "is too large");
		return 0;
	}
	return o->via.u64;
}

bool mp_get_bool(struct mp_cursor *c, const char *field)
{
	const msgpack_object *o = next(c, field, MSGPACK_OBJECT_BOOLEAN, "is no boolean");
	return o && o->via.boolean;
}

void mp_get_str(struct mp_cursor *c, const char *field, char *out, size_t size)
{
	out[0] = 0;
	const msgpack_object *o = next(c, field, MSGPACK_OBJECT_STR, "is no text");
	if (!o)
		return;
	const size_t len = o->via.str.size;
	if (len >= size) {
		mp_cursor_fail(c, field, "is too long");
		return;
	}
	if (len && memchr(o->via.str.ptr, 0, len)) {
		mp_cursor_fail(c, field, "holds a NUL character");
		return;
	}
	if (len)
		memcpy(out, o->via.str.ptr, len);
	out[len] = 0;
}

void mp_get_line(struct mp_cursor *c, const char *field, char *out, size_t size)
{
	mp_get_str(c, field, out, size);
	for (const char *p = out; *p; p++) {
		if ((uint8_t)*p >= 0x20 && *p != 0x7f)
			continue;
		mp_cursor_fail(c, field, "holds a control character");
		out[0] = 0;
		return;
	}
}

void mp_get_bin_exact(struct mp_cursor *c, const char *field, void *out, size_t len)
{
	memset(out, 0, len);
	const msgpack_object *o = next(c, field, MSGPACK_OBJECT_BIN, "is no byte string");
	if (!o)
		return;
	if (o->via.bin.size != len)
		mp_cursor_fail(c, field, "has a wrong length");
	else if (len)
		memcpy(out, o->via.bin.ptr, len);
}

void mp_get_bin(struct mp_cursor *c, const char *field, size_t max, const uint8_t **ret, size_t *ret_len)
{
	*ret = NULL;
	*ret_len = 0;
	const msgpack_object *o = next(c, field, MSGPACK_OBJECT_BIN, "is no byte string");
	if (!o)
		return;
	if (o->via.bin.size > max) {
		mp_cursor_fail(c, field, "is too long");
		return;
	}
	*ret = (const uint8_t *)o->via.bin.ptr;
	*ret_len = o->via.bin.size;
}

void mp_get_array(struct mp_cursor *c, const char *field, uint32_t max, struct mp_cursor *ret)
{
	*ret = (struct mp_cursor){.what = field};
	const msgpack_object *o = next(c, field, MSGPACK_OBJECT_ARRAY, "is no array");
	if (o && o->via.array.size > max)
		mp_cursor_fail(c, field, "has too many elements");
	if (c->failed) {
		mp_cursor_join(ret, c);
		return;
	}
	ret->items = o->via.array.ptr;
	ret->len = o->via.array.size;
}

void mp_skip(struct mp_cursor *c)
{
	if (mp_more(c))
		c->at++;
}
