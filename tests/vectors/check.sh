#!/usr/bin/env bash
# proto/vectors against an implementation that shares no code with ours (python3's standard library, openssl)
set -u
for tool in python3 openssl; do
	if ! command -v "$tool" >/dev/null; then
		echo "1..0 # SKIP no $tool"
		exit 0
	fi
done
exec python3 "${TALKOO_SRCDIR:-.}/tests/vectors/check.py"
