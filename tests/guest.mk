# tests of images, machines, the accelerator's proof and talkoo-init
UNIT_TESTS += test_image test_machine test_guest
test_image_SOURCES = tests/unit/test_image.c tests/unit/tap.c tests/unit/tap.h
test_image_LDADD = libtalkoo-image.la
test_machine_SOURCES = tests/unit/test_machine.c tests/unit/tap.c tests/unit/tap.h
test_machine_LDADD = libtalkoo-machine.la
test_guest_SOURCES = tests/unit/test_guest.c tests/vm/vm_tar.c tests/vm/vm_tar.h tests/unit/tap.c tests/unit/tap.h
test_guest_LDADD = libtalkoo-guest.la

FUZZ_TARGETS += fuzz_guest_tar fuzz_image
fuzz_guest_tar_SOURCES = tests/fuzz/fuzz_guest_tar.c $(FUZZ_REPLAY)
fuzz_guest_tar_LDADD = libtalkoo-guest.la
fuzz_guest_tar_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)
fuzz_image_SOURCES = tests/fuzz/fuzz_image.c $(FUZZ_REPLAY)
fuzz_image_LDADD = libtalkoo-image.la
fuzz_image_LDFLAGS = $(FUZZ_TARGET_LDFLAGS)

# what the test image is made of, beside talkoo-init
IMAGE_RECIPE = $(dist_images_SCRIPTS) $(dist_images_DATA) $(dist_mini_SCRIPTS) $(dist_minietc_DATA)

# boots real machines without the runner around them
VM_TARGETS += vm_boot
VM_TESTS += tests/vm/boot.sh tests/vm/image.sh
E2E_TESTS += tests/e2e/test_import.sh
LONG_TESTS += tests/e2e/long_recipes.sh tests/e2e/long_projects.sh
vm_boot_SOURCES = tests/vm/boot.c tests/vm/vm.c tests/vm/vm.h tests/vm/vm_tar.c tests/vm/vm_tar.h \
	tests/unit/tap.c tests/unit/tap.h
vm_boot_LDADD = libtalkoo-machine.la

BENCH_TARGETS += bench_boot
bench_boot_SOURCES = tests/bench/bench_boot.c tests/vm/vm.c tests/vm/vm.h tests/vm/vm_tar.c tests/vm/vm_tar.h
bench_boot_LDADD = libtalkoo-machine.la
