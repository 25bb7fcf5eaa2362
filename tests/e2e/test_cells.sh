#!/usr/bin/env bash
# Plans with cells, at home and through a node: a matrix of .talkoo.yml, SourceHut's .build.yml and .builds/.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
need git qemu-system-x86_64
need_image
at_end+=('talkoo stop')

cd "$dir" || exit
repository work - <<-'PLAN'
	image: mini
	matrix:
	  environment:
	    WORD: [good, bad]
	steps:
	  - name: say it
	    run: |
	      echo "the word is $WORD"
	      echo "$WORD" >/ci/artifacts/word
	      test "$WORD" = good
PLAN
git clone -q --bare work work.git
cd work || exit
expect 0 "lint lists the cells" -- talkoo lint
prints '^cells: WORD=good$' && prints '^       WORD=bad$'
expect 1 "all cells: one fails" -- talkoo run --json --out "$dir/cells"
cp "$out" "$dir/run.json"
[ "$(cat "$dir/cells/WORD=good/word" "$dir/cells/WORD=bad/word")" = "good
bad" ]
ok $? "each cell's artifacts in a folder of its own"
expect 2 "a cell that is not there" -- talkoo run --cell WORD=ugly
expect 0 "one cell" -- talkoo run --cell WORD=good
prints 'the word is good'

expect 0 "init" -- talkoo init
expect 0 "start" -- talkoo start
expect 0 "project" -- talkoo project create demo --url "file://$dir/work.git"
link=$(cat "$out")
expect 0 "allow" -- talkoo allow "$link" --allow-emulation --source file
expect 0 "trust" -- talkoo trust add "$(talkoo id)" --operator me
expect 1 "the verdict needs every cell" -- talkoo job announce "$link" --ref main --wait --timeout 120s
[ "$(wc -l <"$out")" -eq 2 ]
ok $? "two jobs"
good=$(head -n 1 "$out")
expect 1 "for the commit" -- talkoo results HEAD --project "$link" --exit-code
prints 'failed in cell WORD=bad'
# a run at home and the volunteer's come to the same, cell by cell
talkoo results HEAD --project "$link" --json >"$dir/results.json"
for cell in WORD=good WORD=bad; do
	there=$(digest_of "$dir/results.json" "$cell")
	[ ${#there} -eq 64 ] && [ "$there" = "$(digest_of "$dir/run.json" "$cell")" ]
	ok $? "$cell: the same outcome digest at home and at the volunteer's ($there)"
done
expect 0 "one cell alone passed" -- talkoo watch "$good" --timeout 60s

# SourceHut's: tasks begin at home, where the source has its name; .buildenv is read by each; 255 ends the build well
git rm -q .talkoo.yml && cat >.build.yml <<'P'
image: mini
packages: [busybox-static]
sources: [https://git.sr.ht/~someone/demo]
environment: {word: hello}
secrets: [46f739e5-4538-45dd-a79f-bf173b7a2ed9]
triggers: [{action: email, condition: failure, to: x@example.org}]
tasks:
  - setup: |
      test "$(pwd)" = "$HOME"
      cd demo
      test -e README.md
      echo 'export more="$word world"' >>~/.buildenv
  - say: |
      false | true
      echo "$more $not_there" >demo/said.txt
      echo outside >report.txt
  - enough: complete-build
  - never: "false"
artifacts: [demo/said.txt, report.txt]
P
git add . && git commit -qm builds
expect 0 "a SourceHut manifest" -- talkoo run --out "$dir/things"
[ "$(cat "$dir/things/said.txt")" = "hello world " ] && [ "$(cat "$dir/things/report.txt")" = outside ]
ok $? "its artifacts"
mkdir .builds && git mv .build.yml .builds/one.yml
printf 'image: mini\npackages: [nosuchprogram]\nsources: [x/demo]\ntasks: [{t: echo never}]\n' >.builds/two.yml
git add . && git commit -qm several
expect 0 "lint looks at all files" -- talkoo lint
prints '^ok: .builds/one.yml, 4 steps' && prints '^ok: .builds/two.yml, 1 step'
talkoo run --cell two >"$out" 2>"$err"
says 'the image mini@1 lacks these packages: nosuchprogram' "what the image lacks is refused, and named"
! grep -q never "$out"
ok $? "before a machine starts"
printf 'image: mini\nsources: [x/demo, y/other]\ntasks: [{t: x}]\n' >.builds/two.yml
expect 2 "outside sources" -- talkoo lint
prints '.builds/two.yml:2:19: error: sources\[1\]: cannot be fetched'
done_testing
