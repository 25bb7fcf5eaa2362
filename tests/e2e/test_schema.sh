#!/usr/bin/env bash
# The JSON Schema that `talkoo lint --schema` prints, by a real validator, against the parser; and the man page's examples, each key with one.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
python3 -c 'import jsonschema, yaml' 2>/dev/null || skip_all "python3-jsonschema or python3-yaml is missing"
page=$TALKOO_SRCDIR/contrib/man/talkoo.yml.5.scd

cd "$dir" || exit
expect 0 "the schema" -- talkoo lint --schema
cp "$out" schema.json
cat >validate.py <<'X'
import json, sys, jsonschema, yaml
schema = json.load(open("schema.json"))
jsonschema.Draft202012Validator.check_schema(schema)
class Text(yaml.SafeLoader):
    pass
# the words on, off, yes and no are texts in YAML 1.2, which editors read
Text.yaml_implicit_resolvers = {k: [r for r in v if r[0] != "tag:yaml.org,2002:bool"] for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
try:
    jsonschema.Draft202012Validator(schema).validate(yaml.load(open(sys.argv[1]), Text))
except (jsonschema.ValidationError, yaml.YAMLError) as error:
    sys.exit(str(error).split("\n")[0])
X
check() { # lint's exit code, the validator's, TEXT; the plan on standard input
	mkdir -p plan && cat >plan/.talkoo.yml
	expect "$1" "lint: $3" -- talkoo lint plan
	expect "$2" "schema: $3" -- python3 validate.py plan/.talkoo.yml
}

# what the man page shows
mkdir examples && awk '/^```$/ { if (on) close(f); else f = sprintf("examples/%02d", ++n); on = !on; next } on { print > f }' "$page"
for example in examples/*; do
	check 0 0 "the man page's ${example#examples/}" <"$example"
done
python3 - "$page" examples/* <<'X' >"$out" 2>&1
import json, sys, yaml
schema = json.load(open("schema.json"))["allOf"][0]["properties"]
want = set(schema) | {"steps." + k for k in schema["steps"]["items"]["properties"]} | {"resources." + k for k in schema["resources"]["properties"]}
want |= {"matrix." + k for k in schema["matrix"]["allOf"][0]["properties"]}
got = set()
for name in sys.argv[2:]:
    plan = yaml.safe_load(open(name))
    got |= set(plan)
    got |= {"steps." + k for s in plan["steps"] for k in s}
    got |= {key + "." + k for key in ("resources", "matrix") for k in plan.get(key, {})}
text = open(sys.argv[1]).read()
missing = [k for k in want if k not in got] + [k for k in want if k.split(".")[-1] not in text]
sys.exit("without an example: " + ", ".join(missing) if missing else 0)
X
ok $? "every key has an example in the man page"
if command -v scdoc >/dev/null; then
	scdoc <"$page" >page.5 2>"$err" && grep -q '^\.TH "talkoo.yml" "5"' page.5
	ok $? "the man page is one"
fi

# what both refuse
good="image: mini
steps: [{run: x}]"
check 2 1 "an unknown key" <<<"$good
stages: []"
check 2 1 "no steps" <<<"image: mini"
check 2 1 "no image" <<<"steps: [{run: x}]"
check 2 1 "a wrong type" <<<"image: mini
steps: x"
check 2 1 "a step without commands" <<<"image: mini
steps: [{name: x}]"
check 2 1 "an unknown key of a step" <<<"image: mini
steps: [{run: x, need: []}]"
check 2 1 "another condition" <<<"image: mini
steps: [{run: x}, {run: y, if: passed}]"
check 2 1 "a size that is none" <<<"$good
resources: {memory: 2X}"
check 2 1 "too many cpus" <<<"$good
resources: {cpus: 257}"
check 2 1 "an image that cannot be" <<<"image: Mini
steps: [{run: x}]"
check 2 1 "a variable that cannot be" <<<"$good
environment: {A-B: c}"
check 2 1 "Talkoo's own variable" <<<"$good
environment: {TALKOO_X: c}"
check 2 1 "a matrix of nothing" <<<"$good
matrix: {}"
check 2 1 "an axis of nothing" <<<"$good
matrix: {environment: {A: []}}"
check 2 1 "an artifact elsewhere" <<<"$good
artifacts: [/etc/passwd]"
# what a schema cannot know
check 2 0 "a need that is not there" <<<"image: mini
steps: [{run: x, needs: [y]}]"
# what lint knows beyond the file: scripts, images, this machine
check 2 0 "a script that is not there" <<<"image: mini
steps: [{run: ./ci/test.sh}]"
expect 2 "an image that is a slip of the pen away" -- sh -c 'printf "image: minni\nsteps: [{run: x}]\n" >plan/.talkoo.yml; talkoo lint plan'
prints 'error: image: minni is not known here' && prints 'did you mean "mini"'
expect 0 "an image of other machines" -- sh -c 'printf "image: haiku@7\nsteps: [{run: x}]\n" >plan/.talkoo.yml; talkoo lint plan'
prints 'warning: image: haiku@7 is not known here'
expect 0 "more than this machine has" -- sh -c 'printf "image: mini\nresources: {cpus: 256, memory: 1T}\nsteps: [{run: x}]\n" >plan/.talkoo.yml; talkoo lint plan'
prints 'warning: resources.cpus: 256 is more than this machine has' && prints 'warning: resources.memory: 1.0 TiB is more'
check 2 0 "a step's timeout beyond the job's" <<<"image: mini
resources: {timeout: 5m}
steps: [{run: x, timeout: 6m}]"
done_testing
