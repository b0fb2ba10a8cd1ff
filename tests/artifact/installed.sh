#!/bin/sh
# installed.sh PREFIX [DESTDIR]: is what is installed there whole? Compares files, links and versions;
# builds a program as pkg-config says, shared and static, and runs it. LIBDIR, INCLUDEDIR, MANDIR, DOCDIR and
# the others are as in the Makefile; without TOOL, the tool is not expected.
set -eu
prefix=$1 root=${2-}
cd "$(dirname "$0")/../.."
: "${LIBDIR:=$prefix/lib}" "${INCLUDEDIR:=$prefix/include}" "${MANDIR:=$prefix/share/man}"
: "${DOCDIR:=$prefix/share/doc/shmcomm}" "${CC:=cc}" "${PKG_CONFIG:=pkg-config}"
: "${BINDIR:=$prefix/bin}" "${BASHDIR:=$prefix/share/bash-completion/completions}"
: "${ZSHDIR:=$prefix/share/zsh/site-functions}" "${FISHDIR:=$prefix/share/fish/vendor_completions.d}"

fail() {
    echo "installed.sh: $*" >&2
    exit 1
}

equals() {
    [ "$2" = "$3" ] || fail "$1 is $2 instead of $3"
}

command -v "$PKG_CONFIG" >/dev/null || fail "there is no $PKG_CONFIG"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
soname=libshmcomm.so.${version%%.*}
lib=$root$LIBDIR

[ -f "$lib/libshmcomm.so.$version" ] || fail "no $lib/libshmcomm.so.$version"
[ -f "$lib/libshmcomm.a" ] || fail "no $lib/libshmcomm.a"
for link in libshmcomm.so "$soname"; do
    [ -L "$lib/$link" ] || fail "$lib/$link is no link"
    equals "$link" "$(readlink -f "$lib/$link")" "$(readlink -f "$lib/libshmcomm.so.$version")"
done
for header in include/*.h; do
    cmp "$header" "$root$INCLUDEDIR/shmcomm/${header#include/}"
done
for page in man/*.3* man/*.7; do
    section=${page##*.}
    cmp "$page" "$root$MANDIR/man${section%shmcomm}/${page#man/}"
done
for licence in LICENSE-*; do
    cmp "$licence" "$root$DOCDIR/$licence"
done
if [ -n "${TOOL-}" ]; then
    cmp cli/share/shmcomm.1 "$root$MANDIR/man1/shmcomm.1"
    cmp cli/share/shmcomm.bash "$root$BASHDIR/shmcomm"
    cmp cli/share/_shmcomm "$root$ZSHDIR/_shmcomm"
    cmp cli/share/shmcomm.fish "$root$FISHDIR/shmcomm.fish"
    equals "version of the tool" "$("$root$BINDIR/shmcomm" --version)" "shmcomm $version"
fi

# A sysroot goes before the paths of the .pc file, but pkg-config drops /usr/lib unless it is told.
export PKG_CONFIG_LIBDIR="$lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
export PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1
unset PKG_CONFIG_PATH
equals "version" "$($PKG_CONFIG --modversion shmcomm)" "$version"

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
object=shmcomm-installed-$$
build() {
    # Words, not one argument each.
    # shellcheck disable=SC2046,SC2086
    $CC -std=gnu11 tests/c/portable.c -o "$directory/$1" $2 \
        $($PKG_CONFIG $2 --cflags --libs shmcomm)
}
programs=shared
build shared ''
# Some distributions have libc.a in a package of its own.
if echo 'int main(void) { return 0; }' | $CC -static -x c - -o "$directory/empty" 2>/dev/null; then
    programs='shared static'
    build static --static
else
    echo "installed.sh: not tried: $CC links nothing with -static here" >&2
fi
for program in $programs; do
    equals "answer" "$(LD_LIBRARY_PATH=$lib "$directory/$program" "posix:/$object" "sysv:$directory#2")" fine
done
if command -v readelf >/dev/null; then
    field() { readelf -dW "$1" | sed -n "s/.*($2).*\[\(.*\)\]/\1/p"; }
    equals "soname" "$(field "$lib/libshmcomm.so" SONAME)" "$soname"
    equals "what the program needs" "$(field "$directory/shared" NEEDED | head -n 1)" "$soname"
    equals "RUNPATH" "$(field "$lib/libshmcomm.so" RUNPATH)" ""
fi
