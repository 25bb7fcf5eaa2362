# runner: talkoo-runner and its stages, the plan, the guest
include runner/plan/local.mk
include runner/guest/local.mk
include runner/stages.mk
