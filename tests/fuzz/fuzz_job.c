/* Job plans and reports from any JSON; what is accepted must survive being written and read again. */
#include <stdlib.h>

#include "proto/base/cleanup.h"
#include "runner/job.h"
#include "tests/fuzz/fuzz.h"

static void plan_round(const json_t *object)
{
	CLEANUP(cleanup_free) struct job_plan *plan = malloc(sizeof *plan);
	struct err err;
	if (!plan || job_plan_from_json(object, plan, &err) < 0)
		return;
	json_t *again = job_plan_to_json(plan);
	if (!again || job_plan_from_json(again, plan, &err) < 0)
		abort();
	json_decref(again);
}

static void report_round(const json_t *object)
{
	CLEANUP(job_report_release) struct job_report report = {0};
	struct err err;
	if (job_report_from_json(object, &report, &err) < 0)
		return;
	json_t *again = job_report_to_json(&report);
	CLEANUP(job_report_release) struct job_report copy = {0};
	if (!again || job_report_from_json(again, &copy, &err) < 0)
		abort();
	json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *object = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	if (!object)
		return 0;
	plan_round(object);
	report_round(object);
	json_decref(object);
	return 0;
}
