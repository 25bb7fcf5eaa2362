#include "node/cli/table.h"

#include <string.h>

#include "node/cli/cmds.h"
#include "proto/base/cleanup.h"
#include "proto/base/suggest.h"

#define OPTIONS(...) ((const struct cli_option[]){__VA_ARGS__, {0}})
#define EXAMPLES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Options that several commands share word for word. */
#define OPT_PROJECT {"project", 0, "P", "of which project: link, id or alias (default: the checkout's)", false}
#define OPT_NEED {"need", 0, "N", "how many trusted operators must agree (default: 1)", false}
#define OPT_WAIT_TIMEOUT {"timeout", 0, "D", "give up waiting after this long, exit code 8 (like 30m)", false}
#define OPT_NODE {"node", 0, "ID", "of which node's result (default: the one there is)", false}
#define OPT_BY {"by", 0, "ID", "only what this node announces (default: the project's maintainers)", true}

static const struct cli_command here[] = {
	{"run", "[DIR or URL]", 0, 1, "run a commit's job here, in a VM, without a node",
	 "Fetches and packs the commit, boots a disposable VM without network, runs the plan's steps and collects the\n"
	 "artifacts. The log goes to stdout, progress to stderr. Exits by outcome: 0 passed, 1 failed, 6 anything that is\n"
	 "not the project's fault ('talkoo help exit-codes').",
	 OPTIONS({"commit", 0, "C", "which commit: what 'git rev-parse' takes (default: HEAD)", false},
		 {"dirty", 0, NULL, "run the checkout's files as they are now: HEAD's, changed ones, new ones that are not ignored", false},
		 {"ref", 0, "R", "with a URL: the branch or ref to read (default: the remote's HEAD)", false},
		 {"cmd", 0, "COMMANDS", "run these shell commands instead of the commit's plan", false},
		 {"image", 0, "I", "the VM image (default: the plan's; with --cmd: mini)", false},
		 {"cell", 0, "NAME", "of a plan with several (a matrix, .builds/): this one alone (default: all); 'talkoo lint' lists them", false},
		 {"out", 0, "DIR", "put the artifacts there: a new or empty folder", false},
		 {"shell", 0, "[=always]", "when a step failed: a shell in the VM, in its folder and environment; with =always after success too", false},
		 {"keep", 0, NULL, "keep the run's folder (log, artifacts) and say where it is", false}),
	 EXAMPLES("talkoo run\tHEAD of this checkout, by its plan", "talkoo run --dirty\tbefore you commit", "talkoo run --shell\tto look around in the VM when a step fails", "talkoo run --cmd 'ls -l && make check'\tother commands",
		  "talkoo run https://example.org/demo.git --commit 3f2a91c --out result\ta repository elsewhere"),
	 cmd_run},
	{"lint", "[DIR]", 0, 1, "check the plan: its keys, and the shell syntax of every step",
	 "Reads the plan file of the folder as it is now (committed or not) and says what is wrong, with line and key.",
	 OPTIONS({"schema", 0, NULL, "print the JSON Schema of .talkoo.yml, for editors", false}),
	 EXAMPLES("talkoo lint\tthe plan of this checkout", "talkoo lint --schema >talkoo.schema.json\tfor an editor"), cmd_lint},
	{"image build", "RECIPE", 1, 1, "build a VM image",
	 "Downloads the distribution's packages; nothing is installed on this machine. Recipes: mini (Debian's cloud kernel and\n"
	 "busybox); and with a Debian as their root c (C, C++, the usual build systems), debian (building packages), node, python, rust.",
	 NULL,
	 EXAMPLES("talkoo image build mini\tthe smallest image, a few seconds", "talkoo image build c\twith compilers; a minute or two"),
	 cmd_image_build},
	{"image import", "FILE", 1, 1, "make an image of a qcow2 or raw disk, such as a cloud image",
	 "Its largest ext4 becomes the root that steps see; kernel and initramfs are those of mini, which has to be here. The disk's own\n"
	 "kernel and services are not started. qemu-img (package qemu-utils) converts it in a jail; nothing is mounted on this machine.",
	 OPTIONS({"name", 0, "NAME[@VERSION]", "what it is called here (default: the file's name; version 1)", false},
		 {"format", 0, "F", "qcow2 or raw (default: as the file's name ends)", false},
		 {"max-size", 0, "SIZE", "largest disk (default: 16G)", false}),
	 EXAMPLES("talkoo image import debian-12-genericcloud-amd64.qcow2 --name cloud12\tthen: talkoo run --image cloud12"), cmd_image_import},
	{"image prune", "", 0, 0, "remove the images that were used least lately, until the rest is under the cap",
	 "The cap is `images` below `storage` in config.yml. Building and importing do the same at their end.",
	 OPTIONS({"cap", 0, "SIZE", "another cap, this once", false}), EXAMPLES("talkoo image prune --cap 1G\tkeeps at most 1 GiB"), cmd_image_prune},
	{"image list", "", 0, 0, "the VM images that are here", NULL, NULL, EXAMPLES("talkoo image list\tname, size, digest"),
	 cmd_image_list},
	{"image show", "I", 1, 1, "one image: files, digests, packages", NULL, NULL,
	 EXAMPLES("talkoo image show mini\tthe newest version of mini"), cmd_image_show},
	{"image remove", "I", 1, 1, "remove an image", "Takes the full name, NAME@VERSION.", NULL,
	 EXAMPLES("talkoo image remove mini@1\texactly that one"), cmd_image_remove},
	{0},
};

static const struct cli_command node[] = {
	{"init", "", 0, 0, "make a node: key, config, a policy that denies everything",
	 "Prints the node's id. Never overwrites anything.",
	 OPTIONS({"alias", 0, "A", "a name for this node, shown to people", false},
		 {"listen", 0, "ADDR", "listen for peers there (default: dial out only)", false},
		 {"seed", 0, "ID@HOST:PORT", "a node to meet the network through", true},
		 {"key", 0, "FILE", "take over an identity: a copy made by 'talkoo key backup'", false}),
	 EXAMPLES("talkoo init --alias attic\ta new node", "talkoo init --key backup.key\tthe old identity on a new machine"), cmd_init},
	{"id", "", 0, 0, "print the node's id", NULL,
	 OPTIONS({"pem", 0, NULL, "the public key as PEM, for openssl and other tools", false}),
	 EXAMPLES("talkoo id\tdid:key:z6Mk…"), cmd_id},
	{"key backup", "FILE", 1, 1, "copy the identity to a new file",
	 "Whoever holds that file can sign as this node: keep it like a password.", NULL,
	 EXAMPLES("talkoo key backup /media/usb/talkoo.key\ta copy elsewhere"), cmd_key_backup},
	{"start", "", 0, 0, "start the node", "Returns when the node answers. What it logs is in talkood.log ('talkoo doctor' says where).",
	 OPTIONS({"foreground", 0, NULL, "stay in the foreground, log to stderr", false}), EXAMPLES("talkoo start\tin the background"),
	 cmd_start},
	{"stop", "", 0, 0, "stop the node; says which jobs that abandons", NULL, NULL, EXAMPLES("talkoo stop\tnow"), cmd_stop},
	{"status", "", 0, 0, "what the node does, or why it does nothing", NULL, NULL, EXAMPLES("talkoo status\tat a glance"), cmd_status},
	{"doctor", "", 0, 0, "check what this machine can do, and say how to mend what it cannot",
	 "Exit code 7 when something that a job needs fails.",
	 OPTIONS({"again", 0, NULL, "prove the accelerator again, whatever is remembered", false}),
	 EXAMPLES("talkoo doctor\tok, warn or fail, with a fix for each"), cmd_doctor},
	{"peers", "", 0, 0, "who is connected", NULL, NULL, EXAMPLES("talkoo peers\twith direction, age and bytes"), cmd_peers},
	{"connect", "ID@HOST:PORT", 1, 1, "connect to a node",
	 "The node keeps to it until it is stopped; `seeds:` in config.yml is for good.", NULL,
	 EXAMPLES("talkoo connect z6Mkexample@seed.example.org:8255\tnow"), cmd_connect},
	{"pause", "", 0, 0, "take no new jobs and stop the running ones",
	 NULL,
	 OPTIONS({"for", 0, "D", "only this long (like 2h; default: until 'talkoo resume')", false},
		 {"note", 0, "T", "why, for 'talkoo status'", false}),
	 EXAMPLES("talkoo pause --for 2h --note 'video call'\tback by itself"), cmd_pause},
	{"resume", "", 0, 0, "end a pause", NULL, NULL, EXAMPLES("talkoo resume\twork again"), cmd_resume},
	{"finish", "", 0, 0, "finish what runs, take nothing new", NULL, NULL, EXAMPLES("talkoo finish\tbefore a shutdown"), cmd_finish},
	{"events", "", 0, 0, "what happened, one JSON object a line",
	 "Ids rise by exactly 1; where older events are no longer kept, a 'gap' comes first.",
	 OPTIONS({"since", 0, "N", "only events after this id", false}, {"follow", 'f', NULL, "wait for more", false}),
	 EXAMPLES("talkoo events --since 120 -f\tfrom event 121 on, live"), cmd_events},
	{0},
};

static const struct cli_command project[] = {
	{"project create", "NAME", 1, 1, "create a project; prints its link, for others to follow",
	 NULL,
	 OPTIONS({"url", 0, "URL", "where its repository is cloned from (https, git, or a local file://)", true},
		 {"maintainer", 0, "ID", "may announce jobs, beside yourself", true},
		 {"volunteer", 0, "ID", "a node whose claims and results always find room", true}),
	 EXAMPLES("talkoo project create demo --url https://example.org/demo.git\t"), cmd_project_create},
	{"project list", "", 0, 0, "the projects that this node knows", NULL, NULL, EXAMPLES("talkoo project list\t"), cmd_project_list},
	{"project show", "[P]", 0, 1, "one project, and its link", NULL, NULL, EXAMPLES("talkoo project show demo\tby its alias"),
	 cmd_project_show},
	{"follow", "P", 1, 1, "follow a project's jobs and results, without building them", NULL,
	 OPTIONS({"as", 0, "ALIAS", "your own name for it", false}),
	 EXAMPLES("talkoo follow 'talkoo:2f9c…?name=demo' --as demo\t"), cmd_follow},
	{"unfollow", "P", 1, 1, "stop following a project", NULL, NULL, EXAMPLES("talkoo unfollow demo\t"), cmd_unfollow},
	{"forget", "P", 1, 1, "stop following a project, and remove what its jobs left here",
	 "Logs and artifacts go; results stay readable until they expire. Rules stay: 'talkoo deny' is the word against building it.", NULL,
	 EXAMPLES("talkoo forget demo\t"), cmd_forget},
	{"allow", "P", 1, 1, "let this node build a project",
	 "Writes a rule to policy.d/cli.yml and follows the project. Takes the link or the full id, never a prefix.",
	 OPTIONS(OPT_BY, {"ref", 0, "GLOB", "only these refs, like 'refs/heads/*' (default: branches and tags)", true},
		 {"cpus", 0, "N", "at most so many cpus", false}, {"memory", 0, "M", "at most so much memory (like 2G)", false},
		 {"disk", 0, "M", "at most so much scratch disk (like 8G)", false},
		 {"timeout", 0, "T", "at most so long (like 30m)", false},
		 {"allow-emulation", 0, NULL, "also without a proven KVM: slower, and QEMU promises no isolation then", false},
		 {"source", 0, "KIND", "also fetch from: loopback, private (addresses), file", true}),
	 EXAMPLES("talkoo allow 'talkoo:2f9c…?name=demo' --cpus 2 --memory 2G --timeout 30m\t"), cmd_allow},
	{"deny", "P", 1, 1, "never build a project", "Writes a rule to policy.d/cli.yml and says which rules it overrides.",
	 OPTIONS({"reason", 0, "T", "why, for 'talkoo policy why'", false}, {"kill", 0, NULL, "also stop what runs of it now", false}),
	 EXAMPLES("talkoo deny 'talkoo:77ab…' --reason 'mines coins' --kill\t"), cmd_deny},
	{"policy show", "", 0, 0, "the rules in force, in the order in which they decide", NULL, NULL, EXAMPLES("talkoo policy show\t"),
	 cmd_policy_show},
	{"policy why", "P or JOB", 1, 1, "which rule decides, and why", NULL,
	 OPTIONS({"ref", 0, "R", "for a job on this ref (default: refs/heads/main)", false},
		 {"by", 0, "ID", "announced by this node (default: a maintainer)", false}),
	 EXAMPLES("talkoo policy why demo --ref refs/tags/v1\twhat would happen", "talkoo policy why 9c41d2a0\twhat was decided about a job"),
	 cmd_policy_why},
	{"policy check", "FILE", 1, 1, "check a policy file without using it", NULL, NULL,
	 EXAMPLES("talkoo policy check ~/.config/talkoo/policy.yml\t"), cmd_policy_check},
	{0},
};

static const struct cli_command job[] = {
	{"job announce", "[P]", 0, 1, "ask volunteers to run a commit's job; prints the job's id",
	 "In a checkout: HEAD, if it is pushed. The plan is what the commit's tree holds, or --cmd.\n"
	 "A plan with cells (a matrix, .builds/) becomes a job for each: one id a line.",
	 OPTIONS({"commit", 0, "C", "which commit (default: HEAD)", false},
		 {"ref", 0, "R", "the branch or ref it is on (default: found in the checkout)", false},
		 {"image", 0, "I", "the VM image (default: the plan's)", false},
		 {"want", 0, "K", "how many nodes should run it (default: 1)", false},
		 {"cmd", 0, "COMMANDS", "run these instead of the plan; answers for this job only, not for the commit", false},
		 {"new-only", 0, NULL, "if the same job is there already, print that one: for hooks and cron", false},
		 {"wait", 0, NULL, "then watch it, and exit by verdict", false}, OPT_NEED, OPT_WAIT_TIMEOUT),
	 EXAMPLES("talkoo job announce\tHEAD of this checkout", "J=$(talkoo job announce demo --commit 3f2a91c)\tstdout is exactly the id",
		  "talkoo job announce --new-only --wait\tas a check in a script"),
	 cmd_job_announce},
	{"job cancel", "J", 1, 1, "withdraw a job that you announced", NULL, OPTIONS({"reason", 0, "T", "why", false}),
	 EXAMPLES("talkoo job cancel 9c41d2a0\t"), cmd_job_cancel},
	{"job list", "", 0, 0, "jobs that this node knows, newest first", NULL,
	 OPTIONS({"project", 0, "P", "only of this project: link, id or alias", false}, {"commit", 0, "C", "only of this commit", false},
		 {"limit", 0, "N", "at most so many (default: 20)", false}),
	 EXAMPLES("talkoo job list\t"), cmd_job_list},
	{"job show", "J", 1, 1, "where a job stands: who claimed it, which step, why not here", NULL, NULL,
	 EXAMPLES("talkoo job show 9c41d2a0\t"), cmd_job_show},
	{"watch", "COMMIT or JOB", 1, 1, "wait for the verdict, live; exits by verdict", NULL, OPTIONS(OPT_PROJECT, OPT_NEED, OPT_WAIT_TIMEOUT),
	 EXAMPLES("talkoo watch HEAD --timeout 30m\t", "talkoo watch HEAD && git merge feature\t"), cmd_watch},
	{"results", "COMMIT or JOB", 1, 1, "every result, and the verdict among those you trust", NULL,
	 OPTIONS(OPT_PROJECT, OPT_NEED, {"exit-code", 0, NULL, "exit by verdict", false}), EXAMPLES("talkoo results HEAD\t"), cmd_results},
	{"log", "J", 1, 1, "a job's log", "Control characters are made harmless, unless --raw.",
	 OPTIONS(OPT_NODE, {"follow", 'f', NULL, "as it grows", false}, {"raw", 0, NULL, "the bytes as they are", false}),
	 EXAMPLES("talkoo log 9c41d2a0 | tail\t", "talkoo log -f 9c41d2a0\tlive"), cmd_log},
	{"artifacts", "J", 1, 1, "a job's artifacts: list them, or write them to a folder", NULL,
	 OPTIONS(OPT_NODE, {"out", 0, "DIR", "write them there: a new or empty folder", false}),
	 EXAMPLES("talkoo artifacts 9c41d2a0 --out dist\t"), cmd_artifacts},
	{"trust add", "ID", 1, 1, "count this node's results for your verdicts", "Takes the full id, never a prefix.",
	 OPTIONS({"operator", 0, "NAME", "who runs it: nodes of one operator count once", false}),
	 EXAMPLES("talkoo trust add did:key:z6Mk… --operator alice\t"), cmd_trust_add},
	{"trust list", "", 0, 0, "whose results count", NULL, NULL, EXAMPLES("talkoo trust list --json > trust.json\tfor 'talkoo verify --trust'"),
	 cmd_trust_list},
	{"trust remove", "ID", 1, 1, "stop counting a node's results", NULL, NULL, EXAMPLES("talkoo trust remove did:key:z6Mk…\t"),
	 cmd_trust_remove},
	{"export", "COMMIT or RESULT", 1, 1, "signed results, for other tools",
	 "Formats: dsse (a DSSE envelope; several results: one a line), jsonl (always one a line), sigstore (a bundle,\nlikewise). "
	 "--parts writes payload, pae, signature and key.pem for plain openssl:\n  openssl pkeyutl -verify -pubin -inkey key.pem "
	 "-rawin -in pae -sigfile signature",
	 OPTIONS(OPT_PROJECT, {"format", 0, "F", "dsse, jsonl or sigstore (default: dsse)", false},
		 {"out", 0, "FILE", "write there (default: stdout)", false}, {"parts", 0, "DIR", "write the parts there instead", false}),
	 EXAMPLES("talkoo export HEAD --out result.json\t"), cmd_export},
	{"verify", "FILE", 1, 1, "check exported results, without a node; exits by verdict",
	 "Counts only results for the given project and commit, by nodes of the trust file. That is what\n"
	 "'talkoo trust list --json' prints, or YAML:\n  trust:\n    - {node: \"did:key:z6Mk…\", operator: alice}\n"
	 "Without --trust this node's own list is asked for, if it runs.",
	 OPTIONS(OPT_PROJECT, {"commit", 0, "C", "for which commit (default: HEAD)", false}, OPT_NEED,
		 {"trust", 0, "FILE", "whose results count", false}),
	 EXAMPLES("talkoo verify result.json --trust trust.json\tin the checkout",
		  "talkoo verify result.json --project talkoo:2f9c… --commit 3f2a… --trust trust.json\tanywhere"),
	 cmd_verify},
	{0},
};

static const struct cli_command meta[] = {
	{"help", "[COMMAND]", 0, 2, "help for a command; also: exit-codes, config, man, completion",
	 "With --json the whole command table. 'man' prints talkoo(1), 'completion' a script for bash; both are installed too.",
	 NULL, EXAMPLES("talkoo help job announce\t", "talkoo help exit-codes\t", "source <(talkoo help completion)\tTab finds commands and options"), cmd_help},
	{0},
};

const struct table_group table_groups[] = {
	{"Here, without a node", here},
	{"Your node", node},
	{"Projects and policy", project},
	{"Jobs and verdicts", job},
	{"More", meta},
	{0},
};

/* Whether name's words are the first words of argv; then their number, else 0. */
static int words_matched(const char *name, int argc, char *const *argv)
{
	int words = 0;
	for (;;) {
		const size_t len = strcspn(name, " ");
		if (words >= argc || strlen(argv[words]) != len || memcmp(argv[words], name, len))
			return 0;
		words++;
		if (!name[len])
			return words;
		name += len + 1;
	}
}

const struct cli_command *table_find(int argc, char *const *argv, int *ret_words)
{
	const struct cli_command *found = NULL;
	int most = 0;
	for (const struct table_group *g = table_groups; g->title; g++)
		for (const struct cli_command *c = g->commands; c->name; c++) {
			const int words = words_matched(c->name, argc, argv);
			if (words > most) {
				most = words;
				found = c;
			}
		}
	if (found)
		*ret_words = most;
	return found;
}

bool table_is_family(const char *word)
{
	const size_t len = strlen(word);
	for (const struct table_group *g = table_groups; g->title; g++)
		for (const struct cli_command *c = g->commands; c->name; c++)
			if (!strncmp(c->name, word, len) && c->name[len] == ' ')
				return true;
	return false;
}

#define COMMANDS_MAX 128

const char *table_nearest(const char *text)
{
	const char *names[2 * COMMANDS_MAX], *whole[2 * COMMANDS_MAX];
	size_t len = 0;
	for (const struct table_group *g = table_groups; g->title; g++)
		for (const struct cli_command *c = g->commands; c->name && len + 2 <= ARRAY_LEN(names); c++) {
			const char *space = strchr(c->name, ' ');
			whole[len] = names[len] = c->name;
			len++;
			if (!space)
				continue;
			names[len] = space + 1; /* "announce": the first word is missing */
			whole[len++] = c->name;
		}
	const char *nearest = suggest(text, names, len);
	for (size_t i = 0; nearest && i < len; i++)
		if (names[i] == nearest)
			return whole[i];
	return NULL;
}
