#!/usr/bin/env bash
# Real public projects of six kinds, from Debian's source packages, each built and tested by its own build in a VM: at home by
# `talkoo run`, then through a volunteer, with the same outcome digest. Minutes each under emulation: make check-long.
#   TALKOO_LONG_IMAGES    a folder with the images c, python, rust and node (default: they are built)
#   TALKOO_LONG_PROJECTS  which projects (default: all)
# Prints a row of a table for each: project, kind, image, source, VM's time at home, outcome there.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2016 # at_end and plans are expanded later
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
need git qemu-system-x86_64 apt-get python3
export TALKOO_HOME=$dir/volunteer
mkdir -p "$TALKOO_HOME/state"
vt=(talkoo) mt=(env "TALKOO_HOME=$dir/maintainer" talkoo)
at_end+=('"${vt[@]}" stop' '"${mt[@]}" stop')

# PACKAGE IMAGE KIND; its plan's steps: steps_of
projects() {
	cat <<-'X'
	libyaml c C, autotools
	cjson c C, CMake
	fribidi c C, meson
	python-colorama python Python, unittest
	rust-fnv rust Rust, cargo with a lockfile
	node-path-is-absolute node Node
	X
}

steps_of() { # PACKAGE
	case $1 in
	libyaml) printf '%s\n' 'bootstrap: autoreconf -fi' 'configure: ./configure' 'build: make -j2' 'test: make check' ;;
	cjson) printf '%s\n' 'configure: cmake -B build -DENABLE_CJSON_UTILS=On' 'build: cmake --build build -j2' 'test: ctest --test-dir build --output-on-failure' ;;
	fribidi) printf '%s\n' 'configure: meson setup build -Ddocs=false' 'build: meson compile -C build' 'test: meson test -C build' ;;
	python-colorama) printf '%s\n' "test: python3 -m unittest discover -p '*_test.py'" ;;
	rust-fnv) printf '%s\n' 'test: cargo test --offline --locked' ;;
	node-path-is-absolute) printf '%s\n' 'test: node test.js' ;;
	esac
}

# PACKAGE IMAGE: a repository of the source as it was released, with a plan
import_source() {
	local tar line
	tar=$(apt_source "$1") && [ -n "$tar" ] || return 1
	mkdir "$dir/$1" && tar -xf "$tar" -C "$dir/$1" --strip-components=1 && cd "$dir/$1" || return 1
	if [ "$1" = rust-fnv ] && [ ! -e Cargo.lock ]; then
		printf 'version = 3\n\n[[package]]\nname = "fnv"\nversion = "1.0.7"\n' >Cargo.lock
	fi
	{
		printf 'image: %s\nresources: {cpus: 1, memory: 1G, disk: 2G, timeout: 30m}\nsteps:\n' "$2"
		steps_of "$1" | while IFS= read -r line; do
			printf '  - name: %s\n    run: %s\n' "${line%%: *}" "${line#*: }"
		done
	} >.talkoo.yml
	git init -q && git add -f . && git commit -qm "$1 as it was released" && git clone -q --bare . "$dir/$1.git"
}

if [ -n "${TALKOO_LONG_IMAGES-}" ]; then
	ln -sfn "$TALKOO_LONG_IMAGES" "$TALKOO_HOME/state/images"
else
	for image in c python rust node; do
		expect 0 "image $image" -- talkoo image build "$image"
	done
fi

expect 0 "maintainer: init" -- "${mt[@]}" init --listen 127.0.0.1:0
expect 0 "maintainer: start" -- "${mt[@]}" start
seed=$("${mt[@]}" peers --json | sed -n 's/.*"address": *"\([^"]*\)".*/\1/p')
expect 0 "volunteer: init" -- "${vt[@]}" init --seed "$seed"
expect 0 "volunteer: start" -- "${vt[@]}" start
expect 0 "trust add" -- "${mt[@]}" trust add "$("${vt[@]}" id)" --operator friend

while read -r name image kind; do
	[[ " ${TALKOO_LONG_PROJECTS-$name} " = *" $name "* ]] || continue
	import_source "$name" "$image" || {
		ok 0 "$name # SKIP no Debian source to be had here"
		continue
	}
	began=$SECONDS
	expect 0 "$name passes at home" -- talkoo run --json || tail -n 30 "$out" | cut -c 1-300 | sed 's/^/# /'
	home=$((SECONDS - began))
	cp "$out" "$dir/run.json"
	expect 0 "$name: project" -- "${mt[@]}" project create "$name" --url "file://$dir/$name.git"
	link=$(cat "$out")
	expect 0 "$name: allow" -- "${vt[@]}" allow "$link" --allow-emulation --source file --timeout 2h
	began=$SECONDS
	expect 0 "$name passes at a volunteer's" -- "${mt[@]}" job announce "$link" --ref "$(git symbolic-ref HEAD)" --wait || sed 's/^/# /' "$err"
	there=$((SECONDS - began))
	"${mt[@]}" results "$(git rev-parse HEAD)" --project "$link" --json >"$dir/results.json"
	[ -n "$(digest_of "$dir/results.json")" ] && [ "$(digest_of "$dir/results.json")" = "$(digest_of "$dir/run.json")" ]
	ok $? "$name: the same outcome digest"
	echo "# | $name | $kind | $image | $(du -sh --exclude=.git . | cut -f 1) | $home s | $there s | $(digest_of "$dir/run.json" | cut -c 1-12) |"
done < <(projects)
done_testing
