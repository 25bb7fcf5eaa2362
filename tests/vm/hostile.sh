#!/usr/bin/env bash
# Guests that do their worst against their own machine: each meets a ceiling that is named, the host's processes stay small,
# and 2 s after the end nothing of the job is there.
# shellcheck source=tests/vm/lib.sh disable=SC2016,SC2154 # what is in quotes is for the guest; events is lib.sh's
. "${TALKOO_SRCDIR:-.}/tests/vm/lib.sh" || exit 99

memory_kib() { # PID FIELD: of /proc/PID/status
	sed -n "s/^$2:[[:space:]]*\([0-9]*\) kB/\1/p" "/proc/$1/status" 2>/dev/null
}

# Runs a job to its end; watches its processes. $grown: by how much the runner's own grew after the first step began, KiB;
# $machine_kib: QEMU's greatest resident size.
watched_job() { # WHAT REPO [KEY=JSON]…
	local what=$1 pid tree first='' kib exe now
	shift
	start_job "$@"
	wait_event '"type":"step".*"state":"start"'
	ok $? "$what: runs" || tail -n 2 "$events" | cut -c1-600 | sed 's/^/# /'
	tree=$(tree_of "$runner_pid")
	grown=0 machine_kib=0
	while kill -0 "$runner_pid" 2>/dev/null; do
		now=0
		for pid in $tree; do
			exe=$(readlink "/proc/$pid/exe" 2>/dev/null)
			if [[ $exe == *qemu* ]]; then
				kib=$(memory_kib "$pid" VmHWM)
				[ "${kib:-0}" -le "$machine_kib" ] || machine_kib=$kib
			else
				kib=$(memory_kib "$pid" VmRSS)
				now=$((now + ${kib:-0}))
			fi
		done
		[ -n "$first" ] || first=$now
		[ $((now - first)) -le "$grown" ] || grown=$((now - first))
		grep -q '"type":"report"' "$events" && break
		sleep 0.1
	done
	# shellcheck disable=SC2086 # pids
	all_gone "$what" $tree
	wait_job
	[ $grown -le 8192 ]
	ok $? "$what: the runner's processes grew by at most 8 MiB ($grown KiB)"
	[ "$machine_kib" -le $(((256 + 256) * 1024)) ]
	ok $? "$what: QEMU stays under the guest's memory and 256 MiB ($machine_kib KiB)"
	only_results_left "$what"
}

repo_of bomb 'b() { b | b & }; b 2>/dev/null; while :; do :; done'
watched_job 'a fork bomb' "$work/bomb" limits.timeout_ms=6000
is "$(report 'r["outcome"]')" timeout 'a fork bomb'
like "$(report 'r["reason"]')" 'time limit of 6' 'names the cap'

repo_of endless 'while :; do cat /bin/busybox; done'
watched_job 'endless output' "$work/endless" limits.timeout_ms=6000
is "$(report 'r["outcome"], r["log_truncated"]')" 'timeout True' 'endless output'
like "$(tail -n 1 "$job/log")" 'the log is cut here: more than' 'the log names its cap'
[ "$(stat -c %s "$job/log")" -le $((1048576 + 200)) ]
ok $? 'and keeps to it'

repo_of memory 'tail /dev/zero'
watched_job 'a step that eats all memory' "$work/memory"
is "$(report 'r["outcome"]')" error 'a step that eats all memory'
like "$(report 'r["reason"]')" 'step1, ran out of memory' 'names the cap'
like "$(report 'r["hint"]')" 'more memory' 'the hint says what to do'

repo_of disk 'dd if=/dev/zero of=big bs=1M count=600 2>/dev/null'
watched_job 'a step that fills the disk' "$work/disk"
is "$(report 'r["outcome"]')" error 'a step that fills the disk'
like "$(report 'r["reason"]')" 'step1, ran out of disk' 'names the cap'

# always in the kernel, above everything else there, and deaf
repo_of kernel 'trap "" TERM INT HUP QUIT; chrt -f 99 dd if=/dev/zero of=/dev/null bs=64M || dd if=/dev/zero of=/dev/null bs=64M'
watched_job 'a step that spins in the kernel' "$work/kernel" limits.timeout_ms=4000
is "$(report 'r["outcome"]')" timeout 'a step that spins in the kernel'
like "$(report 'r["reason"]')" 'time limit of 4' 'names the cap'

# above init in every queue of the guest's scheduler, with interrupts left only to the host
repo_of spin 'chrt -f 99 sh -c "while :; do :; done" || while :; do :; done'
watched_job 'a step that lets nothing else run' "$work/spin" limits.timeout_ms=5000
is "$(report 'r["outcome"]')" timeout 'a step that lets nothing else run'

repo_of stopped 'for s in KILL STOP TSTP SEGV; do kill -$s 1; done; echo t >/proc/sysrq-trigger; while :; do sleep 1; kill -9 1; done'
watched_job 'a step that is after init' "$work/stopped" limits.timeout_ms=5000
is "$(report 'r["outcome"]')" timeout 'a step that is after init'

# its own disks: what is not the tar that init writes last is not read
repo_of disks 'mkdir out; echo mine >out/a; for d in a b c d e f; do (cat /bin/busybox /bin/busybox /bin/busybox >/dev/vd$d) 2>/dev/null || true; done; dd if=/dev/urandom of=/dev/vdd bs=1M count=1 seek=4000 2>/dev/null || true'
watched_job 'a step that writes to its disks' "$work/disks"
is "$(report 'r["outcome"], [a["path"] for a in r["artifacts"]]')" "passed ['out/a']" 'a step that writes to its disks'
is "$(cat "$job/artifacts/out/a")" mine 'its artifact is what init wrote'

repo_of large 'mkdir out; echo small >out/a; dd if=/dev/zero of=out/b bs=1M count=3 2>/dev/null; for i in $(seq 200); do echo $i >out/n$i; done'
watched_job 'artifacts past their caps' "$work/large"
is "$(report 'r["outcome"], r["artifacts_partial"], len(r["artifacts"]) <= 100')" 'passed True True' 'artifacts past their caps are partial'
like "$(cat "$job/log")" "artifact left out: out/b: past the job's limit" 'the log names what was left out, and why'
[ "$(du -sk --apparent-size "$job/artifacts" | cut -f1)" -le 1100 ]
ok $? 'and the folder keeps to the cap'

# Process 1 itself is the attacker's: an init of the test's, as a second archive behind the image's own.
evil=$work/images/mini@1
mkdir -p "$evil" "$work/cpio"
cp "$TALKOO_TEST_IMAGES/mini@1/"* "$evil/"
cp "${TALKOO_BUILDDIR:-.}/evilinit" "$work/cpio/init"
chmod 755 "$work/images" "$evil" "$work/cpio/init"
(cd "$work/cpio" && echo init | cpio -o -H newc --quiet) >>"$evil/initramfs"
python3 - "$evil" <<-'X'
	import hashlib, json, sys
	path = sys.argv[1] + "/manifest.json"
	manifest = json.load(open(path))
	data = open(sys.argv[1] + "/initramfs", "rb").read()
	def mend(o):
	    for key, value in o.items():
	        if key == "initramfs":
	            for name in value:
	                if name in ("size", "size_bytes"):
	                    value[name] = len(data)
	                elif name == "sha256":
	                    value[name] = hashlib.sha256(data).hexdigest()
	        elif isinstance(value, dict):
	            mend(value)
	mend(manifest)
	json.dump(manifest, open(path, "w"))
X
evil_job() { # WHAT NAME [KEY=JSON]…
	repo_of "$2" "echo evil-$2"
	watched_job "$1" "$work/$2" image_store="\"$work/images\"" "${@:3}"
}

evil_job 'a tar without end' tar
is "$(report 'r["outcome"]')" error 'a tar without end'
like "$(report 'r["reason"]')" 'artifact tar: entry 101: .* more than 100 files' 'names the cap'
is "$(find "$job/artifacts" -type f | wc -l)" 100 'and no more than the cap is there'

evil_job "a guest that writes behind its disk's end" past
is "$(report 'r["outcome"]')" error "a guest that writes behind its disk's end"
like "$(report 'r["reason"]')" 'tar|artifact' 'names what is wrong'

evil_job 'a guest that does not power off' stay
is "$(report 'r["outcome"]')" error 'a guest that does not power off'
like "$(report 'r["reason"]')" 'I give up, and stay' 'has its own sentence'

evil_job 'a guest that floods the log port' flood limits.timeout_ms=5000
is "$(report 'r["outcome"]')" timeout 'a guest that floods the log port'
[ "$(stat -c %s "$job/log")" -le $((1048576 + 200)) ]
ok $? 'and the log keeps to its cap'

done_testing
