/* How long a machine takes from QEMU's exec to the first step of a job, against the same QEMU command line, kernel and
 * initramfs with an init that powers off at once ("off", counted to QEMU's end). Interleaved, medians and spread.
 *   bench_boot [PAIRS [PROFILE [SQUASHFS]]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "proto/base/cleanup.h"
#include "tests/vm/vm.h"

#define PAIRS_MAX 200

struct series {
	const char *name;
	unsigned ms[PAIRS_MAX];
	unsigned len;
};

static int compare(const void *a, const void *b)
{
	const unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
	return x < y ? -1 : x > y;
}

static unsigned median(struct series *s)
{
	qsort(s->ms, s->len, sizeof s->ms[0], compare);
	return s->len ? s->ms[s->len / 2] : 0;
}

static void print(struct series *s)
{
	const unsigned mid = median(s);
	printf("%-12s median %5u ms  least %5u  most %5u  quartiles %u-%u  n %u\n", s->name, mid, s->ms[0], s->ms[s->len - 1],
	       s->ms[s->len / 4], s->ms[s->len * 3 / 4], s->len);
}

static unsigned cpu_ms(void)
{
	struct rusage r;
	getrusage(RUSAGE_CHILDREN, &r);
	return (unsigned)(r.ru_utime.tv_sec * 1000 + r.ru_utime.tv_usec / 1000 + r.ru_stime.tv_sec * 1000 + r.ru_stime.tv_usec / 1000);
}

int main(int argc, char **argv)
{
	static struct series off = {.name = "off"}, off_cpu = {.name = "off cpu"}, hello = {.name = "init up"},
			     step = {.name = "first step"}, end = {.name = "done"}, cpu = {.name = "job cpu"};
	const unsigned pairs = argc > 1 ? (unsigned)atoi(argv[1]) : 10;
	struct vm_spec spec = vm_spec_default();
	if (argc > 2 && !machine_profile_parse(argv[2], &spec.profile)) {
		fprintf(stderr, "error: no machine profile %s\n", argv[2]);
		return 2;
	}
	spec.root = argc > 3 ? argv[3] : NULL;
	spec.steps[0] = "true";
	for (unsigned i = 0; i < pairs && i < PAIRS_MAX; i++) {
		CLEANUP(vm_result_release) struct vm_result bare, job;
		unsigned before = cpu_ms();
		spec.kernel_mode = "off";
		if (vm_run(&spec, &bare) || bare.was_killed)
			return 1;
		off.ms[off.len++] = bare.exit_ms;
		off_cpu.ms[off_cpu.len++] = cpu_ms() - before;
		before = cpu_ms();
		spec.kernel_mode = NULL;
		if (vm_run(&spec, &job) || job.was_killed || !job.done)
			return 1;
		hello.ms[hello.len++] = job.hello_ms;
		step.ms[step.len++] = job.first_step_ms;
		end.ms[end.len++] = job.done_ms;
		cpu.ms[cpu.len++] = cpu_ms() - before;
	}
	printf("machine %s, accelerator tcg, 1 cpu, 512 MiB%s\n", machine_profile_name(spec.profile), spec.root ? ", squashfs root" : "");
	struct series *const all[] = {&off, &hello, &step, &end, &off_cpu, &cpu};
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		print(all[i]);
	printf("first step / off: %.2f   cpu: %.2f\n", (double)median(&step) / median(&off), (double)median(&cpu) / median(&off_cpu));
	return 0;
}
