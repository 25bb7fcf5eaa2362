/* What the files of body.h share; for them alone. */
#ifndef TALKOO_PROTO_BODY_IMPL_H
#define TALKOO_PROTO_BODY_IMPL_H

#include "proto/body.h"
#include "proto/mp.h"

/* Elements of a nested array that stands for a struct: as many as a record may hold, for what a later version adds is ignored,
 * however much it is. PROTOCOL 5.1 */
#define BODY_STRUCT_LEN_MAX RECORD_ITEMS_MAX

/* Opens the record's body as a cursor. Zeroed doc: mp_doc_release() it. */
int body_open(const struct record *r, const char *what, struct mp_doc *doc, struct mp_cursor *ret, struct err *err) MUST_CHECK;
void body_require_no_key(struct mp_cursor *c, const struct record *r);

#endif
