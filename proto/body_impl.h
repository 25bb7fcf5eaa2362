/* What the files of body.h share; for them alone. */
#ifndef TALKOO_PROTO_BODY_IMPL_H
#define TALKOO_PROTO_BODY_IMPL_H

#include "proto/body.h"
#include "proto/mp.h"

#define BODY_STRUCT_LEN_MAX 64 /* elements of a nested array that stands for a struct: room for later fields */

/* Opens the record's body as a cursor. Zeroed doc: mp_doc_release() it. */
int body_open(const struct record *r, const char *what, struct mp_doc *doc, struct mp_cursor *ret, struct err *err) MUST_CHECK;
void body_require_no_key(struct mp_cursor *c, const struct record *r);

#endif
