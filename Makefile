# make            builds the library and the tool; cargo decides what is out of date
# make check      installs what is built into a temporary directory, and runs a program with it
# make install    copies what is built: no compiler, no cargo, so run it as root if PREFIX asks for it
# make uninstall  removes what install has copied, with the same variables
# make dist       target/shmcomm-VERSION.tar.gz: what is committed, and all crates, to build without a network
#
# PREFIX=/usr/local   LIBDIR, INCLUDEDIR, BINDIR, MANDIR, DOCDIR and those of the shells' completions follow
#                     it, or are set on their own
# DESTDIR=DIRECTORY   goes before each of them, for packages
# LIBRARY=DIRECTORY   where libshmcomm.so and libshmcomm.a are, if cargo has built them elsewhere
# TOOL=FILE           where the tool is; TOOL= leaves it out of everything

PREFIX     = /usr/local
LIBDIR     = $(PREFIX)/lib
INCLUDEDIR = $(PREFIX)/include
BINDIR     = $(PREFIX)/bin
MANDIR     = $(PREFIX)/share/man
DOCDIR     = $(PREFIX)/share/doc/shmcomm
BASHDIR    = $(PREFIX)/share/bash-completion/completions
ZSHDIR     = $(PREFIX)/share/zsh/site-functions
FISHDIR    = $(PREFIX)/share/fish/vendor_completions.d
DESTDIR    =
LIBRARY    = target/release
TOOL       = target/release/shmcomm
CARGO     ?= cargo
INSTALL   ?= install
OBJCOPY   ?= objcopy

version := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
soname  := libshmcomm.so.$(firstword $(subst ., ,$(version)))
library := libshmcomm.so.$(version)
# The headers have a directory of their own, since other projects install a comm.h, too.
headers := comm.h shmcomm.h
manual3 := $(wildcard man/*.3*)
manual7 := $(wildcard man/*.7)

.PHONY: all archive check install uninstall dist

build = $(CARGO) build --release --locked --package libshmcomm --target-dir

all:
	$(need-cc)$(need-cargo)$(build) target
	$(build) target/comm --no-default-features --features explain
	@$(MAKE) --no-print-directory archive
	# By itself: the library would be built with the features of what the tool depends on.
	$(if $(TOOL),$(CARGO) build --release --locked --package shmcomm-cli --target-dir target)
unexport CARGO_BUILD_TARGET # it would put the library elsewhere

# cargo makes one object of all. Here the functions of comm.h get one of their own, so that a program that
# calls no others is linked with that alone.
COMM = target/comm/release
five = create_shm get_shm shm_at shm_dt destory_shm shmc_comm_key
object = $$($(AR) t $(1)/libshmcomm.a | grep '^shmcomm\.')
archive:
	@set -e; rm -rf '$(LIBRARY)/archive'; mkdir '$(LIBRARY)/archive'; cd '$(LIBRARY)/archive'; \
	exec 3>&2 >messages 2>&1; trap 'cat messages >&3' EXIT; \
	comm='$(abspath $(COMM))'; $(AR) x "$$comm/libshmcomm.a" $(call object,"$$comm"); \
	$(OBJCOPY) $(five:%=--keep-global-symbol=%) shmcomm.*.o comm.o; rm shmcomm.*.o; \
	cp ../libshmcomm.a .; whole=$(call object,.); $(AR) x libshmcomm.a $$whole; \
	$(OBJCOPY) $(five:%=--localize-symbol=%) $$whole shmcomm.o; \
	$(AR) d libshmcomm.a $$whole; $(AR) rsD libshmcomm.a comm.o shmcomm.o; \
	mv libshmcomm.a ..; trap - EXIT; cd ..; rm -r archive

check: is-built
	@$(need-cc)directory=$$(mktemp -d) && trap 'rm -rf "$$directory"' EXIT && \
	$(MAKE) --no-print-directory -s install "DESTDIR=$$directory" && \
	TOOL='$(TOOL)' BINDIR='$(BINDIR)' BASHDIR='$(BASHDIR)' ZSHDIR='$(ZSHDIR)' FISHDIR='$(FISHDIR)' \
	CC='$(CC)' LIBDIR='$(LIBDIR)' INCLUDEDIR='$(INCLUDEDIR)' MANDIR='$(MANDIR)' DOCDIR='$(DOCDIR)' \
	sh tests/artifact/installed.sh '$(PREFIX)' "$$directory" && \
	echo 'a program built with what make install copies runs'

install: is-built
	$(INSTALL) -d '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(INCLUDEDIR)/shmcomm' \
	    '$(DESTDIR)$(MANDIR)/man3' '$(DESTDIR)$(MANDIR)/man7' '$(DESTDIR)$(DOCDIR)'
	$(INSTALL) -m 755 '$(LIBRARY)/libshmcomm.so' '$(DESTDIR)$(LIBDIR)/$(library)'
	ln -sf $(library) '$(DESTDIR)$(LIBDIR)/$(soname)'
	ln -sf $(soname) '$(DESTDIR)$(LIBDIR)/libshmcomm.so'
	$(INSTALL) -m 644 '$(LIBRARY)/libshmcomm.a' '$(DESTDIR)$(LIBDIR)'
	$(INSTALL) -m 644 $(headers:%=include/%) '$(DESTDIR)$(INCLUDEDIR)/shmcomm'
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(version)|' \
	    -e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' \
	    -e 's|@INCLUDEDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(INCLUDEDIR))|' \
	    shmcomm.pc.in >'$(DESTDIR)$(LIBDIR)/pkgconfig/shmcomm.pc'
	chmod 644 '$(DESTDIR)$(LIBDIR)/pkgconfig/shmcomm.pc'
	$(INSTALL) -m 644 $(manual3) '$(DESTDIR)$(MANDIR)/man3'
	$(INSTALL) -m 644 $(manual7) '$(DESTDIR)$(MANDIR)/man7'
	$(INSTALL) -m 644 LICENSE-MIT LICENSE-APACHE '$(DESTDIR)$(DOCDIR)'

uninstall:
	rm -f $(foreach file,$(library) $(soname) libshmcomm.so libshmcomm.a pkgconfig/shmcomm.pc, \
	    '$(DESTDIR)$(LIBDIR)/$(file)')
	rm -f $(headers:%='$(DESTDIR)$(INCLUDEDIR)/shmcomm/%')
	rm -f $(manual3:man/%='$(DESTDIR)$(MANDIR)/man3/%') $(manual7:man/%='$(DESTDIR)$(MANDIR)/man7/%')
	rm -f '$(DESTDIR)$(DOCDIR)/LICENSE-MIT' '$(DESTDIR)$(DOCDIR)/LICENSE-APACHE'
	rmdir '$(DESTDIR)$(INCLUDEDIR)/shmcomm' '$(DESTDIR)$(DOCDIR)' 2>/dev/null || :

ifneq ($(TOOL),)
install: install-tool
uninstall: uninstall-tool
endif

.PHONY: install-tool uninstall-tool
install-tool: is-built
	$(INSTALL) -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(MANDIR)/man1' '$(DESTDIR)$(BASHDIR)' \
	    '$(DESTDIR)$(ZSHDIR)' '$(DESTDIR)$(FISHDIR)'
	$(INSTALL) -m 755 '$(TOOL)' '$(DESTDIR)$(BINDIR)/shmcomm'
	$(INSTALL) -m 644 cli/share/shmcomm.1 '$(DESTDIR)$(MANDIR)/man1'
	$(INSTALL) -m 644 cli/share/shmcomm.bash '$(DESTDIR)$(BASHDIR)/shmcomm'
	$(INSTALL) -m 644 cli/share/_shmcomm '$(DESTDIR)$(ZSHDIR)'
	$(INSTALL) -m 644 cli/share/shmcomm.fish '$(DESTDIR)$(FISHDIR)'

uninstall-tool:
	rm -f '$(DESTDIR)$(BINDIR)/shmcomm' '$(DESTDIR)$(MANDIR)/man1/shmcomm.1' \
	    '$(DESTDIR)$(BASHDIR)/shmcomm' '$(DESTDIR)$(ZSHDIR)/_shmcomm' '$(DESTDIR)$(FISHDIR)/shmcomm.fish'

name = shmcomm-$(version)

dist:
	rm -rf target/$(name) && mkdir -p target
	git archive --prefix=$(name)/ HEAD | tar -x -C target
	cd target/$(name) && $(CARGO) vendor --locked vendor >>.cargo/config.toml
	tar -cz -C target --sort=name --owner=0 --group=0 --mtime=@$$(git log -1 --format=%ct) \
	    -f target/$(name).tar.gz $(name)
	rm -r target/$(name)

.PHONY: is-built
is-built:
	@[ -f '$(LIBRARY)/libshmcomm.so' ] && [ -f '$(LIBRARY)/libshmcomm.a' ] || { \
	    echo 'there is no library in $(LIBRARY): run make first' >&2; exit 1; }
	@[ -z '$(TOOL)' ] || [ -f '$(TOOL)' ] || { \
	    echo 'there is no $(TOOL): run make first, or leave the tool out with TOOL=' >&2; exit 1; }

# Stop with one line if a tool is missing.
is-there   = $(shell command -v $(1) 2>/dev/null)
need-cc    = $(if $(call is-there,$(firstword $(CC))),,$(error there is no C compiler "$(CC)": \
    install one, such as gcc or clang, or name yours with CC=))
need-cargo = $(if $(call is-there,$(firstword $(CARGO))),,$(error there is no cargo: \
    install Rust from https://rustup.rs))
