# images, machines and the proof of an accelerator: for the runner, the command line and the node
noinst_LTLIBRARIES += libtalkoo-image.la libtalkoo-machine.la

libtalkoo_image_la_SOURCES = runner/cachekey.c runner/cachekey.h runner/image.c runner/image.h \
	runner/imageprune.c runner/imageprune.h
libtalkoo_image_la_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(SODIUM_CFLAGS)
libtalkoo_image_la_LIBADD = libtalkoo-base.la $(JANSSON_LIBS) $(SODIUM_LIBS)

libtalkoo_machine_la_SOURCES = runner/machine.c runner/machine.h runner/accel.c runner/accel.h runner/guest.h
libtalkoo_machine_la_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
libtalkoo_machine_la_LIBADD = libtalkoo-image.la libtalkoo-job.la libtalkoo-base.la $(JANSSON_LIBS)

# recipes of images, as `talkoo image build` finds them: TALKOO_DATADIR/images/build.sh RECIPE STORE
imagesdir = $(pkgdatadir)/images
dist_images_SCRIPTS = contrib/images/build.sh contrib/images/debian.sh
dist_images_DATA = contrib/images/lib.sh
minidir = $(imagesdir)/mini
dist_mini_SCRIPTS = contrib/images/mini/build.sh
minietcdir = $(minidir)/etc
dist_minietc_DATA = contrib/images/mini/etc/group contrib/images/mini/etc/hosts \
	contrib/images/mini/etc/os-release contrib/images/mini/etc/passwd
# lists of packages that debian.sh makes an image of
imagecdir = $(imagesdir)/c
dist_imagec_DATA = contrib/images/c/packages
imagedebiandir = $(imagesdir)/debian
dist_imagedebian_DATA = contrib/images/debian/packages
imagenodedir = $(imagesdir)/node
dist_imagenode_DATA = contrib/images/node/packages
imagepythondir = $(imagesdir)/python
dist_imagepython_DATA = contrib/images/python/packages
imagerustdir = $(imagesdir)/rust
dist_imagerust_DATA = contrib/images/rust/packages
