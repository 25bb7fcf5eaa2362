#!/bin/bash
# The pack stage on repositories made by git: the canonical source tar against a second implementation and GNU tar, the plan
# against the tree's own, and trees and objects that are not as they should be.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2016 # some dollars are git's
. "$TALKOO_SRCDIR/tests/stages/lib.sh"
need git python3 tar

pack() { "$tool" pack "$1/objects" "$dir/s.tar" "$dir/p.tar" "${@:2}"; }

# compare NAME GIT_DIR COMMIT: our tar is the second implementation's, and its listing is git's
compare() {
	expect 0 '^source ' "$1 packs" -- pack "$2" "$3" cmd=true image=mini
	python3 "$TALKOO_SRCDIR/tests/srctar.py" "$2" "$3" >"$dir/want.tar" && cmp "$dir/s.tar" "$dir/want.tar" >"$dir/out" 2>&1
	ok $? "$1: byte by byte as the second implementation's"
	grep -q "$(sha256sum <"$dir/s.tar" | cut -c1-64) [0-9a-f]\{64\} $(stat -c %s "$dir/s.tar")$" <<<"$(pack "$2" "$3" cmd=true image=mini)"
	ok $? "$1: the digest said is the file's"
	tar -tf "$dir/s.tar" --quoting-style=literal | sed 's|/$||' | sort >"$dir/listed"
	git --git-dir "$2" -c core.quotePath=false ls-tree -rt --name-only "$3" | sort | diff - "$dir/listed" >"$dir/out" 2>&1
	ok $? "$1: GNU tar lists what git lists"
}

# the vector of PROTOCOL.md, "Canonical source tar"
vector=$dir/vector.git
git init -q --bare "$vector"
V() { git --git-dir "$vector" "$@"; }
blob() { printf %b "$1" | V hash-object -w --stdin; }
add() { V update-index --add --cacheinfo "$1,$2,$3"; }
long=$(printf 'n%.0s' $(seq 129))
add 100644 "$(blob '* export-ignore text eol=crlf\n')" .gitattributes
add 160000 0100000000000000000000000000000000000000 module
add 100755 "$(blob '#!/bin/sh\ntrue\n')" run.sh
add 100644 "$(blob 'hello\n')" sub-x
add 100644 "$(blob '')" sub/a
add 100644 "$(blob 'hello\n')" "sub/deep/$long"
add 120000 "$(blob 'sub/a')" to-a
add 100644 "$(blob 'hello\n')" "$(printf '\303\244')"
c=$(V commit-tree -m vector "$(V write-tree --missing-ok)")
[ "$c" = 4f03f0d058079c8a884055941386ddcd55aa1cbc ]
ok $? "git makes the vector's commit"
expect 0 '^source 1e01fae62d04fecc90ef47f46003a8278731fa86c3781f179ddb21fe975ceacc 47244a0a8fa7e5641b6d89bfb8df730782ec263f7c6053cfbb8e59f0a39ba4ce 9728$' \
	"the vector's digest" -- pack "$vector" "$c" cmd=true image=mini
compare vector "$vector" "$c"

# names and targets of every length around the limits of ustar, and times beyond them
lengths=$dir/lengths.git
git init -q --bare "$lengths"
L() { git --git-dir "$lengths" "$@"; }
b=$(echo x | L hash-object -w --stdin)
for n in 1 98 99 100 101 154 155 156 200 255; do
	name=$(printf 'f%.0s' $(seq "$n"))
	for prefix in '' "$(printf 'p%.0s' $(seq "$n"))/" "a/b/$(printf 'q%.0s' $(seq 100))/"; do
		L update-index --add --cacheinfo "100644,$b,$prefix$name"
	done
	target=$(printf "$name%s" /x | L hash-object -w --stdin)
	L update-index --add --cacheinfo "120000,$target,link$n"
done
tree=$(L write-tree)
compare lengths "$lengths" "$(L commit-tree -m x "$tree")"
early=$(printf 'tree %s\nauthor A <a> 0 +0000\ncommitter C <c> -86400 +0000\n\nx' "$tree" | L hash-object -t commit -w --stdin --literally)
compare "before 1970" "$lengths" "$early"
late=$(printf 'tree %s\nauthor A <a> 0 +0000\ncommitter C <c> 99999999999 +0000\n\nx' "$tree" | L hash-object -t commit -w --stdin --literally)
compare "in the year 5138" "$lengths" "$late"
compare "an empty tree" "$lengths" "$(L commit-tree -m x "$(L mktree </dev/null)")"

# packed, borrowed and missing objects
git clone -q --bare "$lengths" "$dir/packed.git" 2>/dev/null
git --git-dir "$dir/packed.git" fetch -q "$lengths" "$late:refs/heads/main" && git --git-dir "$dir/packed.git" repack -adq
compare packed "$dir/packed.git" "$late"
git clone -q --bare --shared "$dir/packed.git" "$dir/shared.git" 2>/dev/null
expect 0 '^source ' "objects borrowed from another repository" -- pack "$dir/shared.git" "$late" cmd=true image=mini
rm -f "$vector/objects/$(printf 'hello\n' | git hash-object --stdin | sed 's|^..|&/|')"
expect 1 'failed error: cannot pack commit .*sub-x' "a missing blob" -- pack "$vector" "$c" cmd=true image=mini
object=$vector/objects/$(printf '#!/bin/sh\ntrue\n' | git hash-object --stdin | sed 's|^..|&/|')
chmod u+w "$object" && echo garbage >"$object"
expect 1 'failed error: cannot pack commit .*run.sh' "a damaged blob" -- pack "$vector" "$c" cmd=true image=mini
expect 1 'failed refused: there is no commit' "a commit that is not there" -- pack "$vector" 0123456789012345678901234567890123456789 cmd=true image=mini
expect 1 'failed refused: .*is no commit' "a blob as a commit" -- pack "$lengths" "$b" cmd=true image=mini
expect 1 'failed refused: .*no full commit id' "a short id" -- pack "$lengths" "${late:0:8}" cmd=true image=mini
expect 1 'failed error: no git objects' "no repository" -- pack "$dir/nothing" "$late" cmd=true image=mini
expect 1 'failed refused: .*larger than 4096' "larger than allowed" -- pack "$lengths" "$late" cmd=true image=mini source_bytes=4096

# hostile trees, as a forge could serve them
evil=$dir/evil.git
git init -q --bare "$evil"
E() { git --git-dir "$evil" "$@"; }
b=$(echo x | E hash-object -w --stdin)
for name in .git .GIT .. . a/b; do
	commit=$(E commit-tree -m x "$(python3 -c '
import sys
sys.stdout.buffer.write(b"100644 " + sys.argv[1].encode() + b"\0" + bytes.fromhex(sys.argv[2]))' "$name" "$b" |
		E hash-object -t tree -w --stdin --literally)")
	expect 1 "failed refused: .*'$name'" "a file named $name" -- pack "$evil" "$commit" cmd=true image=mini
done

# a tree of trees of trees: 10 to the 10th files in eleven objects; and one that is too deep
t=$(printf '100644 blob %s\tf\n' "$b" | E mktree)
for ((i = 0; i < 10; i++)); do
	t=$(for n in 0 1 2 3 4 5 6 7 8 9; do printf '040000 tree %s\t%s\n' "$t" $n; done | E mktree)
done
began=$SECONDS
expect 1 'failed refused: .*larger than 1048576' "a tree of 10^10 files" -- pack "$evil" "$(E commit-tree -m x "$t")" cmd=true image=mini source_bytes=1048576
[ $((SECONDS - began)) -le 10 ]
ok $? "is refused at its cap"
t=$(python3 - "$evil" "$b" <<'P'
import hashlib, os, sys, zlib
entry = b"100644 f\0" + bytes.fromhex(sys.argv[2])
for i in range(5000):
    store = b"tree %d\0" % len(entry) + entry
    digest = hashlib.sha1(store).hexdigest()
    folder = f"{sys.argv[1]}/objects/{digest[:2]}"
    os.makedirs(folder, exist_ok=True)
    open(f"{folder}/{digest[2:]}", "wb").write(zlib.compress(store))
    entry = b"40000 d\0" + bytes.fromhex(digest)
print(digest)
P
)
expect 1 'failed refused: ' "a tree 5000 folders deep" -- pack "$evil" "$(E commit-tree -m x "$t")" cmd=true image=mini
raw_tree() { # MODE NAME ID…: a tree as it is given, in no order
	E commit-tree -m x "$(python3 -c '
import sys
a = sys.argv[1:]
for i in range(0, len(a), 3):
    sys.stdout.buffer.write(a[i].encode() + b" " + a[i + 1].encode() + b"\0" + bytes.fromhex(a[i + 2]))' "$@" | E hash-object -t tree -w --stdin --literally)"
}
link=$(printf /etc | E hash-object -w --stdin)
below=$(printf '100644 blob %s\tpasswd\n' "$b" | E mktree)
expect 1 'failed refused: ' "a link and a folder of one name" -- pack "$evil" "$(raw_tree 120000 a "$link" 40000 a "$below")" cmd=true image=mini
expect 1 'failed refused: ' "a file twice" -- pack "$evil" "$(raw_tree 100644 a "$b" 100644 a "$b")" cmd=true image=mini
# what git itself would act upon in a checkout is plain bytes here
modules=$(printf '[submodule "../../x"]\n\tpath = -x\n\turl = --upload-pack=touch${IFS}owned\n\tupdate = !touch owned\n' | E hash-object -w --stdin)
attributes=$(printf '* filter=owned diff=owned merge=owned export-subst ident working-tree-encoding=UTF-16\n' | E hash-object -w --stdin)
dollar=$(printf '$Id$ $Format:%%H$\n' | E hash-object -w --stdin)
E config filter.owned.smudge 'touch owned' && E config filter.owned.clean 'touch owned'
mkdir -p "$evil/hooks" && printf '#!/bin/sh\ntouch owned\n' >"$evil/hooks/post-checkout" && chmod 755 "$evil/hooks/post-checkout"
commit=$(raw_tree 160000 -x "$(printf '%040d' 1)" 100644 .gitattributes "$attributes" 100644 .gitmodules "$modules" 100644 dollar "$dollar" 120000 out "$link")
(cd "$dir" && mkdir -p nowhere && cd nowhere && pack "$evil" "$commit" cmd=true image=mini) >"$dir/out" 2>&1
ok $? "modules, attributes, filters, hooks, links that lead out: packed"
[ "$(tar -xOf "$dir/s.tar" dollar)" = '$Id$ $Format:%H$' ] && [ -z "$(find "$dir" -name owned -print -quit)" ] && [ "$(tar -tvf "$dir/s.tar" out | cut -c1)" = l ]
ok $? "as they are, and nothing of theirs was done"

# the plan
plans=$dir/plans.git
git init -q --bare "$plans"
P() { git --git-dir "$plans" "$@"; }
with_plan() { # TEXT: a commit whose .talkoo.yml is that text
	P commit-tree -m x "$(printf '100644 blob %s\t.talkoo.yml\n' "$(printf '%s' "$1" | P hash-object -w --stdin)" | P mktree)"
}
text='image: mini
resources: {cpus: 2, memory: 1G}
environment:
  COLOUR: blue
steps:
  - name: first
    run: echo 1
  - run: |
      echo 2
      echo 3
artifacts: ["*.log"]
'
good=$(with_plan "$text")
sum=$(printf '%s' "$text" | sha256sum | cut -c1-64)
expect 0 "^plan tree '.talkoo.yml' talkoo $sum image 'mini' steps 2\$" "a plan in the tree" -- pack "$plans" "$good" job=77 ref=refs/heads/x
grep -qx "step 0 'first'" "$dir/out" && grep -qx "step 1 'echo 2'" "$dir/out"
ok $? "its steps' names"
show() { tar -xOf "$dir/p.tar" "$1" | tr '\0' '\n'; }
[ "$(tar -tf "$dir/p.tar" | sort | tr '\n' ' ')" = "env globs limits shell steps/000.name steps/000.run steps/001.name steps/001.run version " ]
ok $? "the plan tar's files"
[ "$(show env)" = "COLOUR=blue
CI=true
SOURCE_DATE_EPOCH=1700000000
TALKOO_COMMIT=$good
TALKOO_REF=refs/heads/x
TALKOO_JOB=77" ] && [ "$(show globs)" = '*.log' ] && [ "$(show steps/001.run)" = $'echo 2\necho 3' ] && [ "$(show version)" = 1 ]
ok $? "and their content"
expect 0 '^source ' "as announced" -- pack "$plans" "$good" plan_path=.talkoo.yml "plan_sha256=$sum"
expect 1 'failed refused: .*not the announced one: its sha256' "another digest" -- pack "$plans" "$good" "plan_sha256=${sum/[0-9]/x}"
expect 1 'failed refused: .*not the announced one: its path' "another path" -- pack "$plans" "$good" plan_path=.build.yml
expect 1 'failed refused: .*not the announced one: its origin is tree' "another origin" -- pack "$plans" "$good" detected job=77
[ ! -s "$dir/s.tar" ]
ok $? "nothing is packed then"
expect 1 'failed refused: .*\.talkoo\.yml:1' "a wrong plan" -- pack "$plans" "$(with_plan 'stepz: []')"
expect 1 'failed refused: no plan' "no plan" -- pack "$lengths" "$late"
link=$(P commit-tree -m x "$(printf '120000 blob %s\t.talkoo.yml\n' "$(printf /etc/passwd | P hash-object -w --stdin)" | P mktree)")
expect 1 'failed refused: .*not a regular file' "a link as the plan" -- pack "$plans" "$link"
folder=$(P commit-tree -m x "$(printf '040000 tree %s\t.talkoo.yml\n' "$(P mktree </dev/null)" | P mktree)")
expect 1 'failed refused: .*not a regular file' "a folder as the plan" -- pack "$plans" "$folder"
huge=$(with_plan "$(head -c 100000 /dev/zero | tr '\0' '#')")
expect 1 'failed refused: .*bytes, more than' "a huge plan" -- pack "$plans" "$huge"

done_testing
