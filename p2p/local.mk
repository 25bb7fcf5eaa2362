noinst_LTLIBRARIES += libtalkoo-p2p.la

libtalkoo_p2p_la_SOURCES = \
	p2p/addrbook.c p2p/addrbook.h \
	p2p/dialer.c p2p/dialer.h p2p/dialer_impl.h p2p/dialer_plan.c \
	p2p/exchange.c p2p/exchange.h p2p/exchange_impl.h \
	p2p/exchange_fetch.c p2p/exchange_serve.c \
	p2p/exchange_wire.c p2p/exchange_wire.h \
	p2p/gossip.c p2p/gossip.h p2p/gossip_impl.h \
	p2p/gossip_ask.c p2p/gossip_peers.c p2p/gossip_repair.c p2p/gossip_send.c \
	p2p/gossip_wire.c p2p/gossip_wire.h \
	p2p/hello.c \
	p2p/livelog.c p2p/livelog.h p2p/livelog_impl.h p2p/livelog_stream.c \
	p2p/livelog_wire.c p2p/livelog_wire.h \
	p2p/network.c p2p/network.h p2p/network_conns.c p2p/network_impl.h \
	p2p/noise.c p2p/noise.h \
	p2p/peers_wire.c p2p/peers_wire.h \
	p2p/reconcile.c p2p/reconcile.h \
	p2p/recset.c p2p/recset.h \
	p2p/session.c p2p/session.h \
	p2p/wirebuf.c p2p/wirebuf.h
libtalkoo_p2p_la_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS)
libtalkoo_p2p_la_LIBADD = libtalkoo-proto.la libtalkoo-base.la $(SODIUM_LIBS)

# the network over TCP: apart, so that what is pure links no libuv
noinst_LTLIBRARIES += libtalkoo-transport.la
libtalkoo_transport_la_SOURCES = \
	p2p/transport_uv.c p2p/transport_uv.h \
	p2p/transport_impl_uv.h p2p/transport_link_uv.c
libtalkoo_transport_la_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS) $(UV_CFLAGS)
libtalkoo_transport_la_LIBADD = libtalkoo-p2p.la $(UV_LIBS)

UNIT_TESTS += test_noise
test_noise_SOURCES = tests/unit/test_noise.c tests/unit/tap.c tests/unit/tap.h
test_noise_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(JANSSON_CFLAGS)
test_noise_LDADD = libtalkoo-p2p.la $(JANSSON_LIBS)

UNIT_TESTS += test_session
test_session_SOURCES = tests/unit/test_session.c tests/unit/tap.c tests/unit/tap.h
test_session_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(JANSSON_CFLAGS)
test_session_LDADD = libtalkoo-p2p.la

UNIT_TESTS += test_exchange
test_exchange_SOURCES = tests/unit/test_exchange.c tests/unit/exchange_world.c tests/unit/exchange_world.h tests/unit/tap.c tests/unit/tap.h
test_exchange_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS)
test_exchange_LDADD = libtalkoo-p2p.la

UNIT_TESTS += test_dialer
test_dialer_SOURCES = tests/unit/test_dialer.c tests/unit/samples.c tests/unit/samples.h tests/unit/tap.c tests/unit/tap.h
test_dialer_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS) $(JANSSON_CFLAGS)
test_dialer_LDADD = libtalkoo-p2p.la

UNIT_TESTS += test_livelog
test_livelog_SOURCES = tests/unit/test_livelog.c tests/unit/tap.c tests/unit/tap.h
test_livelog_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS)
test_livelog_LDADD = libtalkoo-p2p.la

UNIT_TESTS += test_transport
test_transport_SOURCES = tests/unit/test_transport.c tests/unit/samples.c tests/unit/samples.h tests/unit/tap.c tests/unit/tap.h
test_transport_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MSGPACK_CFLAGS) $(JANSSON_CFLAGS) $(UV_CFLAGS)
test_transport_LDADD = libtalkoo-transport.la
