/* How long a machine takes from QEMU's exec to the first step of a job, against the same QEMU command line, kernel and
 * initramfs with an init that powers off at once ("off", counted to QEMU's end). Interleaved, medians and spread.
 *   bench_boot [PAIRS [PROFILE [IMAGE [CPUS]]]]   IMAGE: a folder of TALKOO_TEST_IMAGES, mini@1 if none is given
 * The job has a source of 1 MiB. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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

/* Kernel, initramfs and, where it has one, root of an image. */
static void use_image(struct vm_spec *spec, const char *name)
{
	static char kernel[4096], initramfs[4096], root[4096];
	const char *const store = getenv("TALKOO_TEST_IMAGES") ? getenv("TALKOO_TEST_IMAGES") : "test-images";
	snprintf(kernel, sizeof kernel, "%s/%s/kernel", store, name);
	snprintf(initramfs, sizeof initramfs, "%s/%s/initramfs", store, name);
	snprintf(root, sizeof root, "%s/%s/root.img", store, name);
	spec->kernel = kernel;
	spec->initramfs = initramfs;
	spec->root = access(root, R_OK) ? NULL : root;
	spec->shell = "auto";
}

static void make_source(struct buf *tar)
{
	static char bytes[65536];
	char name[32];
	uint32_t state = 1;
	for (int i = 0; i < 16; i++) {
		for (size_t at = 0; at < sizeof bytes; at++)
			bytes[at] = (char)((state = state * 1103515245 + 12345) >> 24);
		snprintf(name, sizeof name, "file%d", i);
		vm_tar_add(tar, name, '0', 0644, bytes, sizeof bytes);
	}
	vm_tar_end(tar);
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
	const char *const image = argc > 3 ? argv[3] : "mini@1";
	use_image(&spec, image);
	spec.cpus = argc > 4 ? (uint32_t)atoi(argv[4]) : 1;
	CLEANUP(buf_release) struct buf source;
	buf_init(&source, 2 << 20);
	make_source(&source);
	spec.source = &source;
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
	printf("machine %s, image %s, accelerator tcg, %u cpu, 512 MiB%s\n", machine_profile_name(spec.profile), image, spec.cpus,
	       spec.root ? ", squashfs root" : "");
	struct series *const all[] = {&off, &hello, &step, &end, &off_cpu, &cpu};
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		print(all[i]);
	printf("first step / off: %.2f   cpu: %.2f\n", (double)median(&step) / median(&off), (double)median(&cpu) / median(&off_cpu));
	return 0;
}
