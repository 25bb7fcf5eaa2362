#include "node/cli/exitcode.h"

#include "policy/verdict.h"

enum exitcode exitcode_of_error(int err_code)
{
	switch ((enum err_code)err_code) {
	case ERR_USAGE:
	case ERR_INVALID:
	case ERR_REFUSED: return EXITCODE_USAGE;
	case ERR_NOT_FOUND:
	case ERR_AMBIGUOUS: return EXITCODE_NO_SUCH;
	case ERR_UNREACHABLE: return EXITCODE_NO_NODE;
	case ERR_TIMEOUT: return EXITCODE_PENDING;
	case ERR_LIMIT:
	case ERR_IO:
	case ERR_NOMEM:
	case ERR_UNSUPPORTED:
	case ERR_BUG: return EXITCODE_OWN;
	}
	return err_code ? EXITCODE_OWN : EXITCODE_DONE;
}

static enum verdict_vote vote_of(enum job_outcome outcome, enum job_accel accel)
{
	switch (outcome) {
	case JOB_PASSED: return VOTE_PASSED;
	case JOB_FAILED: return VOTE_FAILED;
	case JOB_TIMEOUT: return accel == JOB_ACCEL_KVM ? VOTE_TIMEOUT_KVM : VOTE_TIMEOUT_EMULATED;
	case JOB_ERROR: return VOTE_ERROR;
	case JOB_ABANDONED: return VOTE_ABANDONED;
	case JOB_REFUSED: return VOTE_REFUSED;
	}
	return VOTE_ERROR;
}

enum exitcode exitcode_of_outcome(enum job_outcome outcome, enum job_accel accel)
{
	const struct verdict_result result = {.vote = vote_of(outcome, accel), .trusted = true, .operator_name = "me", .cell = ""};
	const char *const cells[] = {""};
	const struct verdict_input in = {.results = &result, .results_len = 1, .cells = cells, .cells_len = 1, .need = 1};
	struct verdict_answer answer;
	verdict_decide(&in, &answer);
	return (enum exitcode)verdict_exit_code(answer.verdict);
}

enum exitcode exitcode_of_verdict(const char *name)
{
	enum verdict verdict;
	if (!name || !verdict_parse(name, &verdict))
		return EXITCODE_UNKNOWN;
	return (enum exitcode)verdict_exit_code(verdict);
}
