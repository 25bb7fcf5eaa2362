#!/usr/bin/env bash
# What is made of the table of commands: the man page through a formatter that complains, completion in a real bash. No VM.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
need python3
cd "$dir" || exit

expect 0 "the man page" -- talkoo help man
cp "$out" talkoo.1
expect 0 "the table" -- talkoo help --json
cp "$out" table.json
python3 - <<'X' >"$out"
import json
page = open("talkoo.1").read().replace("\\-", "-").replace("\\fB", "").replace("\\fR", "").replace("\\fI", "")
table = json.load(open("table.json"))
for c in table["commands"]:
    if f".SS talkoo {c['name']}" not in page or c["summary"] not in page:
        print(c["name"])
    for o in c["options"]:
        if f"--{o['name']}" not in page or o["help"] not in page:
            print(c["name"], o["name"])
print(len(table["commands"]), "commands")
X
[ "$(wc -l <"$out")" -eq 1 ] && [ "$(cut -d' ' -f1 "$out")" -ge 40 ]
ok $? "every command and option is in it ($(tail -n 1 "$out"))"
if command -v groff >/dev/null; then
	groff -Kutf8 -P-cbou -man -Tutf8 -ww talkoo.1 >page.txt 2>"$err"
	[ ! -s "$err" ] && grep -q -e '--exit-code' page.txt && ! grep -qF '\f' page.txt
	ok $? "groff has nothing to say against it"
fi

expect 0 "completion" -- talkoo help completion
cp "$out" completion.bash
offers() { # LINE…: what is offered for its last word
	bash -c '. ./completion.bash; COMP_WORDS=(talkoo "$@"); COMP_CWORD=$#; _talkoo; printf "%s\n" "${COMPREPLY[@]}"' _ "$@" | tr '\n' ' '
}
while IFS='|' read -r line want what; do
	IFS=' ' read -ra words <<<"$line"
	[ "${line% }" = "$line" ] || words+=('')
	got=$(offers "${words[@]}")
	[[ " $got" == *" $want "* ]]
	ok $? "$what"
done <<'X'
ann||nothing starts with it
re|results|a command
job ann|announce|the second word of a family
--home /x job c|cancel|after an option with a value
job announce --w|--wait|an option of one command
run --j|--json|an option of every command
help po|policy|what help is about
X
[[ $(offers job announce --) != *--cmd\ *--cmd\ * && $(offers '') == *run* && $(offers '') != *job*job* ]]
ok $? "each once"
done_testing
