# TALKOO_TRY_FLAG(VARIABLE, FLAG): append FLAG to VARIABLE where the compiler takes it
AC_DEFUN([TALKOO_TRY_FLAG], [
  AS_VAR_PUSHDEF([cache], [talkoo_cv_flag_$2])
  AC_CACHE_CHECK([whether $CC accepts $2], [cache], [
    talkoo_saved_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $2"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
    CFLAGS=$talkoo_saved_CFLAGS
  ])
  AS_VAR_IF([cache], [yes], [$1="$$1 $2"])
  AS_VAR_POPDEF([cache])
])

# --enable-developer: every warning is an error
AC_DEFUN([TALKOO_DEVELOPER], [
  AC_ARG_ENABLE([developer],
    [AS_HELP_STRING([--enable-developer], [treat warnings as errors])],
    [], [enable_developer=no])
  WARN_CFLAGS=
  m4_foreach_w([talkoo_flag],
    [-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith
     -Wcast-qual -Wwrite-strings -Wformat=2 -Wvla -Wundef -Wswitch-enum -Wimplicit-fallthrough
     -Wno-missing-field-initializers -Wno-format-truncation],
    [TALKOO_TRY_FLAG([WARN_CFLAGS], talkoo_flag)
])
  AS_IF([test "x$enable_developer" = xyes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
  AC_SUBST([WARN_CFLAGS])
])

# on by default; --disable-hardening for profiling
AC_DEFUN([TALKOO_HARDENING], [
  AC_ARG_ENABLE([hardening],
    [AS_HELP_STRING([--disable-hardening], [build without hardening flags])],
    [], [enable_hardening=yes])
  HARDEN_CFLAGS=
  HARDEN_LDFLAGS=
  AS_IF([test "x$enable_hardening" != xno], [
    m4_foreach_w([talkoo_flag],
      [-fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE],
      [TALKOO_TRY_FLAG([HARDEN_CFLAGS], talkoo_flag)
])
    m4_foreach([talkoo_flag],
      [[-pie], [[-Wl,-z,relro]], [[-Wl,-z,now]], [[-Wl,-z,noexecstack]]],
      [TALKOO_TRY_FLAG([HARDEN_LDFLAGS], talkoo_flag)
])
    # _FORTIFY_SOURCE needs optimisation, and quarrels with ASan
    AS_CASE([" $CFLAGS "], [*" -O0 "*], [],
      [AS_IF([test -z "$with_sanitizer" || test "x$with_sanitizer" = xno],
        [HARDEN_CFLAGS="$HARDEN_CFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])])
  ])
  AC_SUBST([HARDEN_CFLAGS])
  AC_SUBST([HARDEN_LDFLAGS])
])

# --with-sanitizer=address,undefined
AC_DEFUN([TALKOO_SANITIZER], [
  AC_ARG_WITH([sanitizer],
    [AS_HELP_STRING([--with-sanitizer=LIST], [build with these sanitizers, for example address,undefined])],
    [], [with_sanitizer=no])
  SANITIZER_CFLAGS=
  AS_IF([test "x$with_sanitizer" != xno], [
    SANITIZER_CFLAGS="-fsanitize=$with_sanitizer -fno-omit-frame-pointer -fno-sanitize-recover=all"
    talkoo_saved_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS $SANITIZER_CFLAGS"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [], [AC_MSG_ERROR([the compiler cannot link with -fsanitize=$with_sanitizer])])
    CFLAGS=$talkoo_saved_CFLAGS
  ])
  AC_SUBST([SANITIZER_CFLAGS])
  AM_CONDITIONAL([SANITIZED], [test "x$with_sanitizer" != xno])
])

# --enable-fuzzer: fuzz targets linked with libFuzzer (clang); without it they replay their corpus
AC_DEFUN([TALKOO_FUZZER], [
  AC_ARG_ENABLE([fuzzer],
    [AS_HELP_STRING([--enable-fuzzer], [link the fuzz targets with libFuzzer (needs clang)])],
    [], [enable_fuzzer=no])
  FUZZ_CFLAGS=
  FUZZ_LDFLAGS=
  AS_IF([test "x$enable_fuzzer" = xyes], [
    FUZZ_CFLAGS="-fsanitize=fuzzer-no-link"
    FUZZ_LDFLAGS="-fsanitize=fuzzer"
  ])
  AC_SUBST([FUZZ_CFLAGS])
  AC_SUBST([FUZZ_LDFLAGS])
  AM_CONDITIONAL([LIBFUZZER], [test "x$enable_fuzzer" = xyes])
])

# STATIC_CFLAGS, STATIC_LDFLAGS: how a program is linked statically, position independent where that works
AC_DEFUN([TALKOO_STATIC], [
  AC_CACHE_CHECK([how to link a static program], [talkoo_cv_static], [
    talkoo_saved_CFLAGS=$CFLAGS
    talkoo_cv_static=no
    for talkoo_try in "-fPIE -static-pie" "-fno-pie -static -no-pie"; do
      CFLAGS="$talkoo_saved_CFLAGS $talkoo_try"
      AS_IF([test "$talkoo_cv_static" = no],
        [AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stdio.h>]], [[puts("");]])], [talkoo_cv_static=$talkoo_try])])
    done
    CFLAGS=$talkoo_saved_CFLAGS
  ])
  AS_IF([test "$talkoo_cv_static" = no],
    [AC_MSG_ERROR([talkoo-init needs a static C library (glibc: libc6-dev has it)])])
  STATIC_CFLAGS=${talkoo_cv_static%% *}
  STATIC_LDFLAGS=${talkoo_cv_static#* }
  AC_SUBST([STATIC_CFLAGS])
  AC_SUBST([STATIC_LDFLAGS])
])
