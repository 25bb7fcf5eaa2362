#!/usr/bin/env bash
# The recipes with a Debian root, minutes each and therefore not in `make check`: each built by `talkoo image build` with
# progress, `c` twice to the same bytes (also by a normal user, where one can be had), each then runs what it is for; a real C
# project (zlib's source package) is built and tested in `c` by `talkoo run`.
#   TALKOO_LONG_RECIPES   which recipes (default: all)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
need git qemu-system-x86_64 apt-get mmdebstrap mksquashfs
recipes=${TALKOO_LONG_RECIPES:-c debian rust node python}
mkdir -p "$TALKOO_HOME/state"

# What proves an image: a step that passes in it only.
proof() { # RECIPE
	# shellcheck disable=SC2028  # the guest's shell reads them
	case $1 in
	c) echo 'printf "int main(void){return 0;}\n" >a.c; gcc a.c && ./a.out && clang a.c && ./a.out; cmake --version; meson --version; autoconf --version' ;;
	debian) echo 'dpkg-buildpackage --version; debuild --version; git --version; python3 -c "print(1)"' ;;
	rust) echo 'mkdir -p src; printf "[package]\nname=\"a\"\nversion=\"0.1.0\"\n" >Cargo.toml; printf "#[test]\nfn t() {}\nfn main() {}\n" >src/main.rs; cargo test --offline' ;;
	node) echo 'node -e "console.log(1+1)" | grep 2; npm --version' ;;
	python) echo 'printf "def test_a():\n    assert 1\n" >test_a.py; python3 -m pytest test_a.py; python3 -m venv v && v/bin/python -c "print(1)"' ;;
	esac
}

mkdir "$dir/empty" && repository "$dir/empty" && cd "$dir/empty" || exit
for recipe in $recipes; do
	began=$SECONDS
	expect 0 "$recipe is built" -- talkoo image build "$recipe"
	echo "# $((SECONDS - began)) s, $(du -shL "$TALKOO_HOME/state/images/$recipe@1" | cut -f 1)"
	says "^$recipe: [0-9]+ of [0-9]+ packages installed"
	expect 0 "$recipe is whole, its packages are written out" -- talkoo image show "$recipe"
	prints '^  gcc=|^  dpkg=|^  python3='
	expect 0 "$recipe does what it is for" -- talkoo run --image "$recipe" --cmd "$(proof "$recipe")" || tail -n 5 "$out" "$err" | sed 's/^/# /'
done

if [[ " $recipes " = *" c "* ]]; then
	build=$TALKOO_SRCDIR/contrib/images/build.sh
	"$build" c "$dir/again" >"$out" 2>"$err" && diff -r "$TALKOO_HOME/state/images/c@1" "$dir/again/c@1" >>"$err" 2>&1
	ok $? "c a second time is the same, byte for byte"
	rm -rf "$dir/again"
	if [ "$(id -u)" = 0 ] && grep -q '^nobody:' /etc/subuid 2>/dev/null && command -v newuidmap >/dev/null; then
		cp -r "$TALKOO_SRCDIR/contrib/images" "$dir/recipes" && cp "$TALKOO_LIBEXECDIR/talkoo-init" "$dir/init"
		chmod -R a+rX "$dir/recipes" "$dir/init" && chmod a+x "$dir" && install -d -o nobody "$dir/user"
		HOME=$dir/user setpriv --reuid=nobody --regid=nogroup --clear-groups "$dir/recipes/debian.sh" "$dir/recipes/c/packages" "$dir/user" "$dir/init" >"$out" 2>"$err" &&
			diff -r "$TALKOO_HOME/state/images/c@1" "$dir/user/c@1" >>"$err" 2>&1
		ok $? "and so is a normal user's"
		rm -rf "$dir/user"
	else
		ok 0 "a normal user's build # SKIP needs root, newuidmap and a line for nobody in /etc/subuid"
	fi

	tar=$(apt_source zlib) || { ok 0 "a C project # SKIP no Debian source of zlib to be had here"; done_testing; }
	mkdir "$dir/project" && cd "$dir/project" && tar -xf "$tar" --strip-components=1 || exit
	cat >.talkoo.yml <<-'PLAN'
	image: c
	resources: {cpus: 2, memory: 1G, disk: 1G, timeout: 20m}
	steps:
	  - name: configure
	    run: ./configure
	  - name: build
	    run: make -j2
	  - name: test
	    run: make test
	artifacts: [libz.a]
	PLAN
	git init -q && git add -f . && git commit -qm zlib || exit
	expect 0 "zlib is built and tested in the VM" -- talkoo run --out "$dir/things"
	says '^time' && sed -n 's/^time/# time/p' "$err"
	[ -s "$dir/things/libz.a" ]
	ok $? "its library comes out"
fi
done_testing
