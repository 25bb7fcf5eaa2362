#!/usr/bin/env bash
# A shell project out of a Debian source package, its own tests run in a VM by `talkoo run`: BusyBox's test suite (some
# hundred shell scripts), put to the BusyBox of the image. The source comes through apt, from the mirror that this machine
# is set up for; without one the test is skipped.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
need git qemu-system-x86_64 apt-get tar bzip2
need_image

tar=$(apt_source busybox) || skip_all "no Debian source of busybox to be had through apt here"
echo "# $(basename "$tar")"
mkdir "$dir/project" && cd "$dir/project" || exit
tar -xf "$tar" --strip-components=1 --wildcards '*/testsuite' '*/LICENSE'
cat >.talkoo.yml <<'PLAN'
image: mini
resources: {cpus: 1, memory: 256M, timeout: 10m}
steps:
  - name: the image's own BusyBox
    run: |
      cp /bin/busybox busybox
      : >.config
      ./busybox | grep -i '^BusyBox v'
  - name: test suite
    run: |
      cd testsuite
      failed=0
      sh ./runtest sort cut head tail uniq tr expr echo wc xargs basename dirname printf cmp tee >../log 2>&1 || failed=1
      grep -c ^PASS ../log
      if grep ^FAIL ../log; then failed=1; fi
      exit $failed
artifacts: [log]
PLAN
git init -q && git add -f . && git commit -qm "$(basename "$tar")" || exit
expect 0 "lint" -- talkoo lint
expect 0 "its own tests pass" -- talkoo run --out "$dir/things"
passed=$(grep -c ^PASS "$dir/things/log")
[ "$passed" -gt 50 ] && ! grep -q ^FAIL "$dir/things/log"
ok $? "$passed tests, as its own log says"
says '^time' && sed -n 's/^time/# time/p' "$err"

# a change that breaks what is tested is found
sed -i '0,/^testing "sort" /s/"a\\nb/"x\\nb/' testsuite/sort.tests
git commit -qam 'break a test'
expect 1 "a broken test fails the step" -- talkoo run
says '^failed .*test suite' && prints '^FAIL: sort'
done_testing
