#!/bin/bash
# Fetch and pack as the supervisor runs them: in their jails, with its deadlines. No VM: the image that is asked for does not exist, so a
# job whose commit was fetched and packed ends as refused for that, with all that was learnt before in its report.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$TALKOO_SRCDIR/tests/stages/lib.sh"
need git python3

root=$dir/root
mkdir "$root"
work=$root/work
git init -q -b main "$work"
printf 'image: nothing\nsteps:\n  - run: "true"\n' >"$work/.talkoo.yml"
git -C "$work" add . && git -C "$work" commit -qm one
echo more >"$work/file"
git -C "$work" add . && git -C "$work" commit -qm two
git clone -q --bare "$work" "$root/project.git"
git clone -q --shared "$work" "$dir/borrower" 2>/dev/null
c=$(git -C "$work" rev-parse HEAD)
first=$(git -C "$work" rev-parse HEAD~1)

python3 "$here/git_http.py" "$root" "$dir/http" &
servers+=($!)
python3 "$here/git_liar.py" "$dir/liars" "$c" &
servers+=($!)
wait_file "$dir/http" && wait_file "$dir/liars"
ok $? "the servers are up"
http=http://localhost:$(cat "$dir/http")
liar() { echo "git://127.0.0.1:$(sed -n "s/^$1 //p" "$dir/liars")/project.git"; }

jobs=0
mkfifo "$dir/launcher"
# job SOURCE_MEMBERS [OPTION…]: the report line alone
job() {
	local members=$1 launcher
	shift
	jobs=$((jobs + 1))
	mkdir -m 700 "$dir/job$jobs"
	"$TALKOO_BUILDDIR/talkoo-runner" job "$@" <"$dir/launcher" >"$dir/events" &
	exec {launcher}>"$dir/launcher" # open until the end: the launcher lives
	{
		printf '{"v":1,"type":"plan","job":"","dir":"%s","source":{%s},"plan_origin":"tree","image":"","image_store":"%s","accel":"auto",' \
			"$dir/job$jobs" "$members" "$dir"
		printf '"emulation_allowed":true,"timeout_factor_emulated":15,"timeout_cap_ms":0,"limits":{"cpus":1,"memory_bytes":536870912,'
		printf '"disk_bytes":1073741824,"timeout_ms":60000,"log_bytes":1048576,"artifact_bytes":1048576,"artifact_count":100,"source_bytes":67108864}}\n'
	} >&"$launcher"
	wait $!
	exec {launcher}>&-
	grep '"type":"report"' "$dir/events"
}
remote() { printf '"url":"%s","ref":"refs/heads/main","commit":"%s","mirror":"%s","allow_loopback":true' "$1" "$2" "$dir/${3:-mirror}"; }
# packed TEXT: $dir/out is the report of a job that came as far as the missing image
packed() {
	grep -q '"outcome":"refused","reason":"[^"]*image[^"]*nothing' "$dir/out" && grep -q '"plan_path":".talkoo.yml"' "$dir/out"
	ok $? "$1"
}

job "$(remote "$http/git/project.git" "$first")" >"$dir/out"
packed "http, the name resolved in the jail"
grep -q "\"commit\":\"$first\",\"ref_seen\":\"refs/heads/main\"" "$dir/out"
ok $? "commit and ref are reported"
job "$(remote "$http/git/project.git" "${c:0:8}")" >"$dir/out"
grep -q "\"commit\":\"$c\"" "$dir/out"
ok $? "a short commit is reported in full"
job "$(remote "file://$root/project.git" "$c" mirror2),\"allow_file\":true" >"$dir/out"
packed "file"
job "\"local_objects\":\"$work/.git/objects\",\"commit\":\"$c\"" >"$dir/out"
packed "a checkout"
job "\"local_objects\":\"$dir/borrower/.git/objects\",\"commit\":\"$c\",\"local_alternates\":[\"$work/.git/objects\"]" >"$dir/out"
packed "a checkout that borrows objects"
job "\"local_objects\":\"$dir/borrower/.git/objects\",\"commit\":\"$c\"" >"$dir/out"
grep -q '"outcome":"refused","reason":"there is no commit' "$dir/out"
ok $? "which the jail hides if they were not named"

bad() { # REGEX TEXT MEMBERS OPTION…
	local regex=$1 text=$2
	shift 2
	job "$@" >"$dir/out"
	grep -Eq -- "$regex" "$dir/out"
	ok $? "$text"
}
bad '"error","reason":"[^"]*(fetch)[^"]*"' "a remote that hangs past the deadline" "$(remote "$(liar silent)" "$c")" --deadline fetch=1000
bad '"error","reason":"cannot fetch from' "garbage as a pack" "$(remote "$(liar garbage_pack)" "$c" mirror3)"
bad '"error","reason":"cannot fetch from[^"]*too many objects' "a pack of 2^32 objects" "$(remote "$(liar many_objects)" "$c" mirror4)"
bad '"error","reason":"cannot fetch from' "an object of 1 TiB" "$(remote "$(liar bomb)" "$c" mirror5)"
bad '"error","reason":"cannot fetch from[^"]*sends more than 64.0 MiB' "refs without end" "$(remote "$(liar endless)" "$c")"
bad '"refused","reason":"the commit [^"]* does not exist on' "a commit that does not exist" "$(remote "$http/git/project.git" 0123456789012345678901234567890123456789)"
bad '"refused","reason":"[^"]*link-local' "a metadata service" "$(remote https://169.254.169.254/x "$c")"
[ -z "$(find "$dir" -path '*/job*/*' ! -name '*.log' ! -name report.json ! -name log ! -name artifacts -print -quit)" ]
ok $? "the jobs' folders hold nothing else"

done_testing
