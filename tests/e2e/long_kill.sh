#!/usr/bin/env bash
# test_kill.sh with 500 kills.
TALKOO_KILLS=${TALKOO_KILLS:-500} exec bash "$TALKOO_SRCDIR/tests/e2e/test_kill.sh"
