include node/store/local.mk

# node: talkood, and what it shares with talkoo (libtalkoo-node.la)
noinst_LTLIBRARIES += libtalkoo-node.la

libtalkoo_node_la_SOURCES = \
	node/attestor.c node/attestor.h \
	node/config.c node/config.h \
	node/home.c node/home.h \
	node/identity.c node/identity.h \
	node/init.c node/init.h
libtalkoo_node_la_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(SODIUM_CFLAGS)
libtalkoo_node_la_LIBADD = libtalkoo-job.la libtalkoo-proto.la libtalkoo-base.la
EXTRA_DIST += node/CONTROL.md
include node/cli/local.mk
