#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/job.h"
#include "tests/unit/tap.h"

#define HEX40 "0123456789abcdef0123456789abcdef01234567"
#define HEX64 HEX40 "89abcdef0123456789abcdef"
#define LIMITS                                                                                                         \
	"{\"cpus\":2,\"memory_bytes\":2147483648,\"disk_bytes\":8589934592,\"timeout_ms\":1800000,"                    \
	"\"log_bytes\":10485760,\"artifact_bytes\":1000,\"artifact_count\":10,\"source_bytes\":1000}"
#define PLAN                                                                                                           \
	"{\"v\":1,\"type\":\"plan\",\"job\":\"" HEX64 "\",\"dir\":\"/jobs/1\",\"source\":{\"url\":\"https://h/r\","    \
	"\"mirror\":\"/m\",\"ref\":\"refs/heads/main\",\"commit\":\"" HEX40 "\",\"allow_file\":true},"                 \
	"\"plan_origin\":\"tree\",\"plan_path\":\".talkoo.yml\",\"plan_sha256\":\"" HEX64 "\",\"image\":\"mini@1\","   \
	"\"image_store\":\"/images\",\"accel\":\"auto\",\"emulation_allowed\":true,"                                                                                          \
	"\"isolation_required\":true,\"accel_cache\":\"/a\",\"timeout_factor_emulated\":15,"    \
	"\"timeout_cap_ms\":0,\"limits\":" LIMITS "}"
#define DIGEST "{\"sha256\":\"" HEX64 "\",\"root\":\"" HEX64 "\",\"size_bytes\":12}"
#define REPORT                                                                                                         \
	"{\"v\":1,\"type\":\"report\",\"outcome\":\"failed\",\"reason\":\"step 2 ended with 1\",\"future\":[1],"       \
	"\"plan_origin\":\"tree\",\"limits\":" LIMITS ",\"accel\":\"tcg\",\"source\":" DIGEST ",\"log\":" DIGEST       \
	",\"log_truncated\":true,\"timings\":{\"boot_ms\":900},"                                                       \
	"\"steps\":[{\"name\":\"build\",\"exit_code\":0,\"started_ms\":5,\"duration_ms\":7},"                          \
	"{\"name\":\"t\\u00e9st\",\"exit_code\":1,\"started_ms\":12,\"duration_ms\":1}],"                              \
	"\"artifacts\":[{\"path\":\"out/a\",\"digest\":" DIGEST "}]}"

/* A copy of text in which the first `from` became `to`. Caller frees. */
static char *edited(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	if (!at)
		abort();
	char *out = NULL;
	if (asprintf(&out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) < 0)
		abort();
	return out;
}

static int plan_from_text(const char *text, struct job_plan *plan, struct err *err)
{
	json_t *object = json_loads(text, JSON_ALLOW_NUL, NULL);
	const int rc = job_plan_from_json(object, plan, err);
	json_decref(object);
	return rc;
}

static int report_from_text(const char *text, struct job_report *report, struct err *err)
{
	json_t *object = json_loads(text, JSON_ALLOW_NUL, NULL);
	const int rc = job_report_from_json(object, report, err);
	json_decref(object);
	return rc;
}

static void test_plan(void)
{
	CLEANUP(cleanup_free) struct job_plan *plan = calloc(2, sizeof *plan);
	struct err err = {0};
	OK(plan && plan_from_text(PLAN, plan, &err) == 0, "a good plan: %s", err.what);
	STREQ(plan->source.url, "https://h/r");
	STREQ(plan->source.commit, HEX40);
	OK(plan->source.allow_file && !plan->source.allow_private, "booleans");
	INTEQ(plan->plan_origin, JOB_ORIGIN_TREE);
	INTEQ(plan->accel, JOB_ACCEL_AUTO);
	INTEQ(plan->limits.disk_bytes, 8589934592);
	INTEQ(plan->limits.artifact_count, 10);
	json_t *object = job_plan_to_json(plan);
	OK(job_plan_from_json(object, plan + 1, &err) == 0, "written and read: %s", err.what);
	json_decref(object);
	OK(!memcmp(plan, plan + 1, sizeof *plan), "nothing is lost");

	memset(plan, 0, sizeof *plan);
	CLEANUP(cleanup_free) char *local = edited(PLAN, "\"url\":\"https://h/r\"",
						   "\"local_objects\":\"/o\",\"local_alternates\":[\"/a\",\"/b\"]");
	OK(plan_from_text(local, plan, &err) == 0, "a plan of a checkout: %s", err.what);
	STREQ(plan->source.local_alternates[1], "/b");
	object = job_plan_to_json(plan);
	memset(plan + 1, 0, sizeof *plan);
	OK(job_plan_from_json(object, plan + 1, &err) == 0, "written and read: %s", err.what);
	json_decref(object);
	OK(!memcmp(plan, plan + 1, sizeof *plan), "nothing is lost");
}

static void test_bad_plans(void)
{
	static const struct {
		const char *from, *to, *what;
	} cases[] = {
		{"\"v\":1", "\"v\":2", "job plan: v: expected 1"},
		{"\"v\":1,", "", "job plan: v: expected 1"},
		{"\"plan\",\"job\"", "\"report\",\"job\"", "job plan: type: expected \"plan\""},
		{"\"job\":", "\"jobb\":", "job plan: jobb: unknown key"},
		{"\"job\":\"01", "\"job\":\"0x", "job plan: job: expected 40 or 64 hex digits"},
		{"\"job\":\"01", "\"job\":\"", "job plan: job: expected 40 or 64 hex digits"},
		{"\"job\":\"", "\"job\":\"00", "job plan: job: is too long"},
		{"\"/jobs/1\"", "\"jobs/1\"", "job plan: dir: expected an absolute path"},
		{"\"/jobs/1\"", "\"/jobs\\u0000/1\"", "job plan: dir: contains a NUL"},
		{"\"dir\":\"/jobs/1\",", "", "job plan: dir: is missing"},
		{"\"mirror\"", "\"v\":1,\"mirror\"", "job plan: source.v: unknown key"},
		{"\"allow_file\":true", "\"allow_file\":1", "job plan: source.allow_file: expected true or false"},
		{"\"ref\":", "\"local_objects\":\"/o\",\"ref\":",
		 "job plan: source: expected exactly one of url and local_objects"},
		{"\"mirror\":\"/m\"", "\"mirror\":\"m\"", "job plan: source.mirror: expected an absolute path beside url"},
		{"\"commit\":\"" HEX40 "\"", "\"commit\":\"012345\"",
		 "job plan: source.commit: expected 7 to 64 hex digits"},
		{"\"url\":\"https://h/r\",\"mirror\":\"/m\",\"ref\":\"refs/heads/main\",\"commit\":\"" HEX40 "\"",
		 "\"local_objects\":\"/o\",\"commit\":\"\"",
		 "job plan: source.commit: expected a full id beside local_objects"},
		{"\"ref\":", "\"local_alternates\":[\"a\"],\"ref\":",
		 "job plan: source.local_alternates: expected absolute paths"},
		{"\"ref\":", "\"local_alternates\":[\"/a\",\"/a\",\"/a\",\"/a\",\"/a\"],\"ref\":",
		 "job plan: source.local_alternates: expected a short list"},
		{"\"tree\"", "\"unknown\"", "job plan: plan_origin: is not one of the known names"},
		{"\"tree\"", "1", "job plan: plan_origin: is not one of the known names"},
		{"\"tree\"", "\"inline\"", "job plan: inline_cmd: an inline plan needs its commands and an image"},
		{"\"plan_path\":", "\"inline_cmd\":\"true\",\"plan_path\":",
		 "job plan: inline_cmd: only an inline plan has commands of its own"},
		{"\"cpus\":2", "\"cpus\":0", "job plan: limits: cpus, memory_bytes and timeout_ms must not be 0"},
		{"\"cpus\":2", "\"cpus\":-1", "job plan: limits.cpus: is out of range"},
		{"\"cpus\":2", "\"cpus\":4294967296", "job plan: limits.cpus: is out of range"},
		{"\"cpus\":2", "\"cpus\":2.0", "job plan: limits.cpus: expected a whole number"},
		{"\"timeout_factor_emulated\":15", "\"timeout_factor_emulated\":1001",
		 "job plan: timeout_factor_emulated: expected 1 to 1000"},
		{"\"limits\":{", "\"limits\":{\"extra\\u001b[m\":1,", "job plan: limits.extra\xef\xbf\xbd[m: unknown key"},
		{"\"limits\":" LIMITS, "\"limits\":[]", "job plan: limits: expected an object"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(cleanup_free) struct job_plan *plan = malloc(sizeof *plan);
		CLEANUP(cleanup_free) char *text = edited(PLAN, cases[i].from, cases[i].to);
		struct err err = {0};
		memset(plan, 0x5a, sizeof *plan);
		OK(plan_from_text(text, plan, &err) == ERR_INVALID && plan->dir[0] == 0x5a, "refused, ret untouched");
		STREQ(err.what, cases[i].what);
	}
	struct job_plan *untouched = NULL;
	OK(job_plan_from_json(NULL, untouched, NULL) == ERR_INVALID, "nothing at all");
}

static void test_report(void)
{
	CLEANUP(job_report_release) struct job_report report = {0};
	struct err err = {0};
	OK(report_from_text(REPORT, &report, &err) == 0, "a good report: %s", err.what);
	INTEQ(report.outcome, JOB_FAILED);
	INTEQ(report.steps_len, 2);
	STREQ(report.steps[1].name, "t\xc3\xa9st");
	INTEQ(report.steps[1].exit_code, 1);
	INTEQ(report.timings.boot_ms, 900);
	INTEQ(report.artifacts_len, 1);
	STREQ(report.artifacts[0].digest.root, HEX64);
	OK(report.log_truncated && !report.artifacts_partial, "booleans");
	strcpy(report.hint, "bad \xff byte");
	json_t *object = job_report_to_json(&report);
	CLEANUP(job_report_release) struct job_report copy = {0};
	OK(job_report_from_json(object, &copy, &err) == 0, "written and read: %s", err.what);
	json_decref(object);
	STREQ(copy.hint, "bad \xef\xbf\xbd byte");
	INTEQ(copy.steps_len, 2);
	INTEQ(copy.limits.memory_bytes, 2147483648);

	/* a job that ended before anything was known */
	const struct job_report bare = {.outcome = JOB_ERROR, .reason = "no disk"};
	object = job_report_to_json(&bare);
	CLEANUP(job_report_release) struct job_report read_back = {0};
	OK(job_report_from_json(object, &read_back, &err) == 0, "a bare report: %s", err.what);
	json_decref(object);
	INTEQ(read_back.plan_origin, 0);
}

static void test_bad_reports(void)
{
	static const struct {
		const char *from, *to, *what;
	} cases[] = {
		{"\"failed\"", "\"unknown\"", "job report: outcome: is not one of the known names"},
		{"\"outcome\":\"failed\",", "", "job report: outcome: is missing"},
		{"\"exit_code\":1", "\"exit_code\":256", "job report: steps[1].exit_code: is out of range"},
		{"\"exit_code\":1", "\"exit_code\":-2", "job report: steps[1].exit_code: is out of range"},
		{"\"name\":\"build\"", "\"name\":7", "job report: steps[0].name: expected a text"},
		{"\"steps\":[", "\"steps\":[7,", "job report: steps[0]: expected an object"},
		{"\"size_bytes\":12}}", "\"size_bytes\":-12}}", "job report: artifacts[0].digest.size_bytes: is out of range"},
		{"\"artifacts\":[{\"path\":\"out/a\",\"digest\":" DIGEST "}]", "\"artifacts\":{}",
		 "job report: artifacts: expected a list"},
		{"\"boot_ms\":900", "\"boot_ms\":\"900\"", "job report: timings.boot_ms: expected a whole number"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(cleanup_free) char *text = edited(REPORT, cases[i].from, cases[i].to);
		struct job_report report;
		struct err err = {0};
		INTEQ(report_from_text(text, &report, &err), ERR_INVALID);
		STREQ(err.what, cases[i].what);
	}
	json_t *object = json_loads(REPORT, 0, NULL), *step = json_array_get(json_object_get(object, "steps"), 0);
	for (size_t i = 0; i < JOB_STEPS_MAX; i++)
		json_array_append(json_object_get(object, "steps"), step);
	struct job_report report;
	struct err err = {0};
	INTEQ(job_report_from_json(object, &report, &err), ERR_LIMIT);
	STREQ(err.what, "job report: steps: more than 256 entries");
	json_decref(object);
}

static void test_names(void)
{
	enum job_outcome outcome = 0;
	OK(job_outcome_parse("abandoned", &outcome) && outcome == JOB_ABANDONED, "outcome");
	OK(!job_outcome_parse("Passed", &outcome) && !job_outcome_parse("", &outcome), "no outcome");
	STREQ(job_outcome_name(0), "unknown");
	STREQ(job_origin_name(JOB_ORIGIN_DETECTED), "detected");
	STREQ(job_accel_name(JOB_ACCEL_KVM), "kvm");
}

int main(void)
{
	test_names();
	test_plan();
	test_bad_plans();
	test_report();
	test_bad_reports();
	return tap_done();
}
