# shellcheck shell=bash disable=SC2034
# Common parts of the end-to-end tests: TAP, a temporary home with the test image, git repositories.
set -u
# one after the other, whatever make's -j says: they share the machine, and look for each other's left processes
[ -n "${E2E_ALONE-}" ] || E2E_ALONE=1 exec flock -o "$TALKOO_BUILDDIR/e2e.lock" bash "$0" "$@"
count=0 failed=0
dir=$(mktemp -d "${TMPDIR:-/tmp}/talkoo-e2e-XXXXXX")
export HOME=$dir/user TALKOO_HOME=$dir/home LC_ALL=C.UTF-8 GIT_CONFIG_NOSYSTEM=1 NO_COLOR=1
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org
export GIT_AUTHOR_DATE='1600000000 +0200' GIT_COMMITTER_DATE='1700000000 +0100'
unset XDG_CONFIG_HOME XDG_STATE_HOME XDG_RUNTIME_DIR
mkdir -p "$HOME" "$TALKOO_HOME"
git config --global init.defaultBranch main
at_end=()
out=$dir/out err=$dir/err

finish() {
	local command
	for command in "${at_end[@]}"; do
		eval "$command" >/dev/null 2>&1
	done
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM

ok() { # STATUS, TEXT
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		failed=$((failed + 1))
		sed 's/^/# out: /' "$out" 2>/dev/null | tail -n 20
		sed 's/^/# err: /' "$err" 2>/dev/null | tail -n 20
	fi
}

skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

# nobody_lives: no runner of this build; with the first of its processes the kernel ends all of a job's (pid namespace)
nobody_lives() {
	local exe
	for exe in /proc/[0-9]*/exe; do
		[ "$exe" -ef "$TALKOO_BUILDDIR/talkoo-runner" ] && return 1
	done
	return 0
}

need() { # PROGRAM…
	local program
	for program; do
		command -v "$program" >/dev/null || skip_all "$program is missing"
	done
}

need_image() { # the image mini, shared by all tests, into the home's store
	[ -e "$TALKOO_TEST_IMAGES/mini@1/manifest.json" ] || skip_all "no image mini in $TALKOO_TEST_IMAGES (make test-image)"
	mkdir -p "$TALKOO_HOME/state"
	ln -sfn "$TALKOO_TEST_IMAGES" "$TALKOO_HOME/state/images"
}

# expect EXIT_CODE TEXT -- COMMAND…: runs it, stdout to $out, stderr to $err
expect() {
	local want=$1 text=$2 got
	shift 3
	"$@" >"$out" 2>"$err"
	got=$?
	[ "$got" -eq "$want" ]
	ok $? "$text (exit code $got, want $want)"
}

says() { # REGEX TEXT: a line of the last command's stderr
	grep -Eq -- "$1" "$err"
	ok $? "${2:-says: $1}"
}

prints() { # REGEX TEXT: a line of its stdout
	grep -Eq -- "$1" "$out"
	ok $? "${2:-prints: $1}"
}

# repository FOLDER [PLAN]: a checkout with one commit; PLAN on stdin when the second argument is -
repository() {
	git init -q "$1" && (
		cd "$1" || exit
		echo "# $1" >README.md
		[ "${2-}" = - ] && cat >.talkoo.yml
		git add . && git commit -qm "first of ${1##*/}"
	)
}

# the outcome digest in FILE, the JSON of `run` or `results`; of CELL where the jobs have cells
digest_of() { # FILE [CELL]
	python3 - "$1" "${2-}" <<-'X'
		import json, sys
		for line in open(sys.argv[1]):
		    object = json.loads(line)
		    for r in object.get("results", [object]):
		        if "outcome_digest" in r and r.get("cell", sys.argv[2]) == sys.argv[2]:
		            print(r["outcome_digest"])
	X
}

# poll SECONDS COMMAND…: until it succeeds
poll() {
	local i
	for ((i = 0; i < $1 * 20; i++)); do
		"${@:2}" >/dev/null 2>&1 && return 0
		sleep 0.05
	done
	return 1
}

# apt_source PACKAGE: prints the path of its upstream tar, fetched through apt and kept in the build folder
apt_source() {
	local apt=$dir/apt cache=$TALKOO_BUILDDIR/debian-source site release
	ls "$cache/$1"_*.orig.tar.* 2>/dev/null && return 0
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$cache"
	# shellcheck disable=SC2016  # apt's own variables
	apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Identifier: Packages' 'Component: main' | sort -u |
		grep -v -e security -e updates | while read -r site release; do
		echo "deb-src $site $release main"
	done >"$apt/sources.list"
	set -- "$1" -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State="$apt" \
		-o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User= -o Acquire::Retries=2 -o Acquire::http::Timeout=20
	(cd "$cache" && apt-get "${@:2}" update && apt-get "${@:2}" source --download-only --tar-only "$1") >"$out" 2>"$err"
	ls "$cache/$1"_*.orig.tar.* 2>/dev/null
}

done_testing() {
	echo "1..$count"
	[ "$failed" -eq 0 ]
	exit
}
