noinst_LTLIBRARIES += libtalkoo-base.la

libtalkoo_base_la_SOURCES = \
	proto/base/base58.c proto/base/base58.h \
	proto/base/buf.c proto/base/buf.h \
	proto/base/cleanup.h \
	proto/base/err.c proto/base/err.h \
	proto/base/hex.c proto/base/hex.h \
	proto/base/io.c proto/base/io.h \
	proto/base/log.c proto/base/log.h \
	proto/base/netaddr.c proto/base/netaddr.h \
	proto/base/sanitise.c proto/base/sanitise.h \
	proto/base/schema.c proto/base/schema.h \
	proto/base/schema_json.c \
	proto/base/suggest.c proto/base/suggest.h \
	proto/base/units.c proto/base/units.h \
	proto/base/utf8.c proto/base/utf8.h \
	proto/base/yaml.c proto/base/yaml.h
libtalkoo_base_la_CFLAGS = $(AM_CFLAGS) $(YAML_CFLAGS) $(JANSSON_CFLAGS)
libtalkoo_base_la_LIBADD = $(YAML_LIBS) $(JANSSON_LIBS)

noinst_LTLIBRARIES += libtalkoo-proto.la

libtalkoo_proto_la_SOURCES = \
	proto/body.c proto/body.h proto/body_impl.h proto/body_node.c \
	proto/dsse.c proto/dsse.h \
	proto/ed25519.c proto/ed25519.h \
	proto/host.c proto/host.h \
	proto/idmap.c proto/idmap.h \
	proto/ids.c proto/ids.h \
	proto/link.c \
	proto/merkle.c proto/merkle.h \
	proto/mp.c proto/mp.h proto/mp_read.c \
	proto/outcome.c proto/outcome.h \
	proto/record.c proto/record.h \
	proto/result.c \
	proto/statement.c proto/statement.h proto/statement_names.h \
	proto/statement_read.c \
	proto/url.c proto/url.h
libtalkoo_proto_la_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS) $(JANSSON_CFLAGS)
libtalkoo_proto_la_LIBADD = libtalkoo-base.la $(SODIUM_LIBS) $(MSGPACK_LIBS) $(JANSSON_LIBS)
