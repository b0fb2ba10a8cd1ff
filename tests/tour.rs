//! The programs of `c-examples/` that show layer 2: what they print, and that they leave nothing
//! behind, whatever comes in between.

#[path = "support/make.rs"]
mod make;
mod support;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::iter;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use make::{Group, STRICT, Tour, tour_file};
use support::{run, segment, segments};

const PROGRAMS: [&str; 7] = [
    "private",
    "writer",
    "reader",
    "posix",
    "mapped-file",
    "status",
    "removal",
];

#[test]
fn private_reads_back_the_word() {
    let Some(tour) = Tour::new() else { return };
    let longest = "w".repeat(1023);
    for word in ["hello", "\u{e4}\u{20ac}", "%s%n", &longest] {
        for input in [format!("{word}\n"), format!(" \n{word} more"), word.into()] {
            let (status, output) = Run::with_input(tour.program("private"), &input).finish();
            assert!(status.success(), "{status}\n{output}");
            let id = id_after("private: made segment ", &output);
            let expected = format!(
                "private: type a word and press Enter\n\
                 private: made segment {id}, 1024 bytes, key 0\n\
                 private: wrote \"{word}\" to the segment\n\
                 private: read \"{word}\" from the segment\n\
                 private: detached segment {id}\n\
                 private: removed segment {id}\n"
            );
            assert_eq!(output, expected);
        }
    }
}

#[test]
fn private_takes_no_word_that_does_not_fit() {
    let Some(tour) = Tour::new() else { return };
    let (missing, long) = ("there was no word", "the word is longer than 1023 bytes");
    for (input, message) in [
        (String::new(), missing),
        (" \n\t".into(), missing),
        ("w".repeat(1024), long),
        ("w".repeat(1025) + "\n", long),
        ("w".repeat(50_000), long),
    ] {
        let (status, output) = Run::with_input(tour.program("private"), &input).finish();
        assert_eq!(status.code(), Some(1), "{status}\n{output}");
        assert!(output.contains(message), "{output}");
        assert!(!output.contains("made"), "{output}");
    }
}

#[test]
fn private_may_be_stopped_while_it_waits_for_a_word() {
    let Some(tour) = Tour::new() else { return };
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let (input, _keyboard) = io::pipe().unwrap();
        let mut private = Run::start(tour.program("private"), input);
        private.group.wait_for("private: type a word");
        private.group.signal_first(signal);
        let (status, output) = private.finish();
        assert_eq!(status.signal(), Some(signal), "{status}\n{output}");
        assert_eq!(output.lines().count(), 1, "{output}");
    }
}

#[test]
fn a_reader_gets_what_a_writer_left() {
    let Some(tour) = Tour::new() else { return };
    // By their own name, which is that of the directory above the one where they run, and by others.
    let by_path = format!("sysv:{}#3", tour.0.path().display());
    let by_key = format!("sysv:0x{:x}", tour.key(4));
    for (name, id) in [(None, 2015), (Some(&by_path), 3), (Some(&by_key), 4)] {
        let key = tour.key(id);
        let shown = name.map_or("sysv:../#2015", String::as_str);
        let (status, output) = Run::of(tour.named("writer", name)).finish();
        assert!(status.success(), "{status}\n{output}");
        let expected = format!(
            "writer: made {shown}, 512 bytes\n\
             writer: wrote \"how are you\"\n\
             writer: detached; the segment stays for a reader\n"
        );
        assert_eq!(output, expected);
        let left = segment(key).unwrap();
        assert_eq!((left.size, left.mode, left.attached), (512, 0o600, 0));

        let (status, output) = Run::of(tour.named("reader", name)).finish();
        assert!(status.success(), "{status}\n{output}");
        let says: Vec<_> = lines_of("reader", &output)
            .filter(|line| !line.starts_with("reader: cannot show them: "))
            .collect();
        let removed = format!("reader: detached and removed {shown}");
        assert_eq!(
            says,
            [
                "reader: the segments before, as ipcs -m shows them:",
                "reader: read \"how are you\"",
                &removed,
                "reader: the segments after, as ipcs -m shows them:",
            ]
        );
        let (before, after) = output.split_once("reader: read").unwrap();
        if support::has("ipcs") {
            let line = format!("0x{key:08x} {} ", left.id);
            assert!(before.contains(&line), "no {line} in\n{output}");
            assert!(!after.contains(&line), "{line} in\n{output}");
        }
        assert_eq!(tour.0.segments(), []);
    }
}

#[test]
fn a_reader_without_a_writer_says_so() {
    let Some(tour) = Tour::new() else { return };
    let (status, output) = Run::of(tour.program("reader")).finish();
    assert_eq!(status.code(), Some(1), "{status}\n{output}");
    assert_eq!(
        output,
        "reader: sysv:../#2015: No such file or directory\n\
         reader: nobody has written yet: run ./writer first\n"
    );
}

#[test]
fn a_reader_reads_no_further_than_the_segment() {
    let Some(tour) = Tour::new() else { return };
    let size = 4096; // a whole page: there is no NUL behind it
    tour.make_segment(2015, size, b'B');
    let (status, output) = Run::of(tour.program("reader")).finish();
    assert!(status.success(), "{status}\n{output}");
    let expected = format!("reader: read \"{}\"\n", "B".repeat(size));
    assert!(output.contains(&expected), "{output}");
    assert_eq!(tour.0.segments(), []);
}

#[test]
fn a_reader_without_ipcs_reads_all_the_same() {
    let Some(tour) = Tour::new() else { return };
    tour.write();
    let mut reader = tour.program("reader");
    reader.env("PATH", tour.0.path());
    let (status, output) = Run::of(reader).finish();
    assert!(status.success(), "{status}\n{output}");
    let missing = "reader: cannot show them: the program ipcs is missing (util-linux has it)";
    assert_eq!(output.matches(missing).count(), 2, "{output}");
    assert!(
        output.contains("reader: read \"how are you\"\n"),
        "{output}"
    );
    assert_eq!(tour.0.segments(), []);
}

#[test]
fn a_reader_that_is_stopped_removes_the_segment_all_the_same() {
    let Some(tour) = Tour::new() else { return };
    let path = tour.path_with_ipcs("echo waiting && read -r line");
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        tour.write();
        let (input, mut keyboard) = io::pipe().unwrap();
        let mut reader = tour.program("reader");
        reader.env("PATH", &path);
        let mut reader = Run::start(reader, input);
        reader.group.wait_for("waiting");
        assert_eq!(tour.0.segments().len(), 1);
        reader.group.signal_first(signal);
        keyboard.write_all(b"\n\n").unwrap();
        let (status, output) = reader.finish();
        // While system(3) waits, SIGINT is ignored.
        let expected = (signal != libc::SIGINT).then_some(signal);
        assert_eq!(status.signal(), expected, "{status}\n{output}");
        assert!(
            output.contains("reader: read \"how are you\"\n"),
            "{output}"
        );
        assert_eq!(tour.0.segments(), []);
    }
}

#[test]
fn what_is_there_already_stays_as_it_is() {
    let Some(tour) = Tour::new() else { return };
    for (program, id) in [("writer", 2015), ("removal", 2016)] {
        tour.make_segment(id, 100, b'B');
        let before = tour.0.segments();
        let (status, output) = Run::of(tour.program(program)).finish();
        assert_eq!(status.code(), Some(1), "{status}\n{output}");
        let message = format!("{program}: sysv:../#{id}: File exists\n");
        assert!(output.starts_with(&message), "{output}");
        assert_eq!(tour.0.segments(), before);
    }

    let object = Object::new("in-the-way");
    fs::write(object.path(), "mine").unwrap();
    let (status, output) = Run::of(tour.named("posix", Some(&object.name()))).finish();
    assert_eq!(status.code(), Some(1), "{status}\n{output}");
    assert_eq!(output, "posix: shmc_segment_open: File exists\n");
    assert_eq!(fs::read(object.path()).unwrap(), b"mine");

    let file = tour.0.join("in-the-way");
    fs::write(&file, "mine").unwrap();
    let (status, output) = Run::of(tour.named("mapped-file", Some(&text(&file)))).finish();
    assert_eq!(status.code(), Some(1), "{status}\n{output}");
    assert_eq!(output, "mapped-file: shmc_segment_open: File exists\n");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_wrong_name_is_an_error() {
    let Some(tour) = Tour::new() else { return };
    let (none, invalid, long) = (
        "No such file or directory",
        "Invalid argument",
        "File name too long",
    );
    let posix = |length| format!("posix:/{}", "n".repeat(length));
    for (program, name, message) in [
        ("writer", "nonsense".into(), invalid),
        ("writer", "sysv:missing".into(), none),
        ("reader", "".into(), invalid),
        ("reader", "sysv:missing".into(), none),
        ("removal", "sysv:missing".into(), none),
        ("posix", "nonsense".into(), "a name starts with posix:/"),
        ("posix", "posix:/".into(), invalid),
        ("posix", posix(256), long),
        ("posix", posix(5000), long),
        ("mapped-file", "missing/file".into(), none),
        ("mapped-file", "f".repeat(4090), long),
        ("mapped-file", "f".repeat(4091), "the path is too long"),
        ("mapped-file", "f".repeat(9000), "the path is too long"),
    ] {
        let (status, output) = Run::of(tour.named(program, Some(&name))).finish();
        assert_eq!(status.code(), Some(1), "{status}\n{output}");
        assert!(output.contains(message), "{program} {name}\n{output}");
        assert_eq!(tour.0.segments(), []);
    }
}

#[test]
fn posix_shows_its_object_while_it_is_there() {
    let Some(tour) = Tour::new() else { return };
    let (short, long) = (Object::new("short"), Object::long());
    for object in [None, Some(&short), Some(&long)] {
        let run = Run::of(tour.named("posix", object.map(Object::name).as_ref()));
        let own = format!("shmcomm-tour-{}", run.group.id());
        let name = object.map_or(&own, |object| &object.0);
        let (status, output) = run.finish();
        assert!(status.success(), "{status}\n{output}");
        let expected = format!(
            "posix: made and mapped posix:/{name}, 4096 bytes\n\
             posix: /dev/shm/{name} is there, 4096 bytes\n\
             posix: child wrote \"hello from the child\"\n\
             posix: parent read \"hello from the child\"\n\
             posix: synced, which changes nothing: there is no disk behind it\n\
             posix: unmapped, but it does not go by itself\n\
             posix: /dev/shm/{name} is there, 4096 bytes\n\
             posix: removed posix:/{name}\n\
             posix: /dev/shm/{name} is not there\n"
        );
        assert_eq!(output, expected);
        assert!(!Path::new("/dev/shm").join(name).exists());
    }
}

#[test]
fn a_mapped_file_keeps_its_data() {
    let Some(tour) = Tour::new() else { return };
    let path = text(&tour.0.join("file"));
    for given in [None, Some(&path)] {
        let run = Run::of(tour.named("mapped-file", given));
        let own = format!("mapped-file-{}.data", run.group.id());
        let path = given.unwrap_or(&own);
        let (status, output) = run.finish();
        assert!(status.success(), "{status}\n{output}");
        let expected = format!(
            "mapped-file: made and mapped {path}, 4096 bytes\n\
             mapped-file: child wrote \"hello from the child\"\n\
             mapped-file: parent read \"hello from the child\"\n\
             mapped-file: synced: now the disk has it too\n\
             mapped-file: unmapped; the file keeps the data\n\
             mapped-file: fread got \"hello from the child\" from the file\n\
             mapped-file: removed {path}\n"
        );
        assert_eq!(output, expected);
        assert!(!tour.work().join(path).exists());
    }
    assert_eq!(fs::read_dir(tour.work()).unwrap().count(), 0);
}

#[test]
fn status_shows_each_change() {
    let Some(tour) = Tour::new() else { return };
    let run = Run::of(tour.program("status"));
    let pid = run.group.id();
    let (status, output) = run.finish();
    assert!(status.success(), "{status}\n{output}");
    let lock = "status: after lock: mode 640, locked 1, attached 1\n\
                status: after unlock: mode 640, locked 0, attached 1\n";
    assert_eq!(output, status_output(pid, &output, lock));
}

#[test]
fn status_explains_a_lock_that_is_not_allowed() {
    let Some(tour) = Tour::new() else { return };
    let program = tour.program("status");
    let mut command = tour.0.command("sh");
    if support::is_root() {
        if !support::has("setpriv") {
            return;
        }
        // Who may lock as much as they like is not limited.
        command = tour.0.command("setpriv");
        command.args(["--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock", "sh"]);
    }
    command.args(["-c", "ulimit -l 0 && exec \"$0\""]);
    command.arg(program.get_program());
    let run = Run::of(command);
    let pid = run.group.id();
    let (status, output) = run.finish();
    assert!(status.success(), "{status}\n{output}");
    let lock = "status: cannot lock: Operation not permitted; \
                \"ulimit -l\" tells how many KiB a user may\n\
                status: after the lock that failed: mode 640, locked 0, attached 1\n";
    assert_eq!(output, status_output(pid, &output, lock));
}

#[test]
fn removal_shows_the_segment_to_its_end() {
    let Some(tour) = Tour::new() else { return };
    let by_key = format!("sysv:0x{:x}", tour.key(5));
    for (name, id) in [(None, 2016), (Some(&by_key), 5)] {
        let (status, output) = Run::of(tour.named("removal", name)).finish();
        assert!(status.success(), "{status}\n{output}");
        let key = tour.key(id);
        let name = name.map_or("sysv:../#2016", String::as_str);
        let expected = format!(
            "removal: at first: key 0x{key:x}, attached 1, removed 0\n\
             removal: after removal: key 0x0, attached 1, removed 1\n\
             removal: opening {name} again: No such file or directory\n\
             removal: shmget of the key it had: No such file or directory\n\
             removal: wrote to it and read \"still here\"\n\
             removal: detached\n\
             removal: shmctl of the id it had: Invalid argument\n"
        );
        assert_eq!(output, expected);
        assert_eq!(tour.0.segments(), []);
    }
}

/// Stands before the library: a signal arrives when a segment has just been made, and another when
/// it is about to be detached.
const INTERRUPT: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include "shmcomm.h"

static void interrupt(void)
{
    kill(getpid(), atoi(getenv("INTERRUPT")));
}

shmc_segment *shmc_segment_open(const char *name, size_t size, int flags, mode_t mode)
{
    shmc_segment *(*next)(const char *, size_t, int, mode_t);
    shmc_segment *segment;

    *(void **)&next = dlsym(RTLD_NEXT, "shmc_segment_open");
    segment = next(name, size, flags, mode);
    if (segment)
        interrupt();
    return segment;
}

int shmc_segment_close(shmc_segment *segment)
{
    int (*next)(shmc_segment *);

    *(void **)&next = dlsym(RTLD_NEXT, "shmc_segment_close");
    interrupt();
    return next(segment);
}
"#;

#[test]
fn a_signal_in_the_middle_leaves_nothing() {
    let Some(tour) = Tour::new() else { return };
    let source = tour.0.join("interrupt.c");
    let interrupt = tour.0.join("interrupt.so");
    fs::write(&source, INTERRUPT).unwrap();
    run(support::cc()
        .args(["-shared", "-fPIC", "-I"])
        .arg(tour_file("../include"))
        .arg("-o")
        .arg(&interrupt)
        .arg(&source)
        .arg("-ldl"));
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE] {
        for program in PROGRAMS {
            let mut command = tour.program(program);
            command.env("LD_PRELOAD", &interrupt);
            command.env("INTERRUPT", signal.to_string());
            let (status, output) = Run::with_input(command, "hello\n").finish();
            // While system(3) waits, SIGINT is ignored.
            let ignored = program == "reader" && signal == libc::SIGINT;
            let expected = (!ignored).then_some(signal);
            assert_eq!(status.signal(), expected, "{program} {status}\n{output}");
            // A writer is to leave its segment, with all that belongs into it.
            assert_eq!(tour.0.segments().len(), usize::from(program == "writer"));
            if program == "reader" {
                assert!(
                    output.contains("reader: read \"how are you\"\n"),
                    "{output}"
                );
            }
            assert_eq!(fs::read_dir(tour.work()).unwrap().count(), 0, "{output}");
        }
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure_that_leaves_nothing() {
    let Some(tour) = Tour::new() else { return };
    for program in PROGRAMS {
        if program == "reader" {
            tour.write();
        }
        let mut command = tour.0.command("sh");
        command.args(["-c", "exec \"$0\" >/dev/full"]);
        command.arg(tour.program(program).get_program());
        command.current_dir(tour.work());
        let (status, output) = Run::with_input(command, "hello\n").finish();
        assert_eq!(status.code(), Some(1), "{program} {status}\n{output}");
        assert_eq!(tour.0.segments(), [], "{program}");
        assert_eq!(fs::read_dir(tour.work()).unwrap().count(), 0, "{program}");
    }
}

#[test]
fn the_programs_are_clean_under_valgrind() {
    let Some(tour) = Tour::new() else { return };
    if !support::has("valgrind") {
        return;
    }
    for program in PROGRAMS {
        let mut command = tour.0.command("valgrind");
        command.args(["--quiet", "--error-exitcode=99", "--leak-check=full"]);
        // A child of status is to be killed, and valgrind would have much to say about it.
        command.args(["--child-silent-after-fork=yes", "--vgdb=no"]);
        command.arg(tour.program(program).get_program());
        command.current_dir(tour.work());
        let (status, output) = Run::with_input(command, "hello\n").finish();
        assert!(status.success(), "{program}: {status}\n{output}");
        assert!(!output.contains("=="), "{program}: {output}");
    }
    assert_eq!(tour.0.segments(), []);
    assert_eq!(fs::read_dir(tour.work()).unwrap().count(), 0);
}

#[test]
fn one_goes_on_when_the_other_is_killed_with_the_semaphore() {
    let Some(tour) = Tour::new() else { return };
    let name = format!("sysv:{}#83", tour.0.path().display());
    for _ in 0..5 {
        let (status, output) = Run::of(tour.named("semaphore", Some(&name))).finish();
        assert!(status.success(), "{status}\n{output}");
        let count = |text: &str| output.matches(text).count();
        assert_eq!(count("child: wrote c, the buffer is "), 3, "{output}");
        assert_eq!(
            count("child: has the semaphore, and is killed\n"),
            1,
            "{output}"
        );
        let told = "parent: the child was killed; the semaphore is 1 again\n";
        assert_eq!(count(told), 1, "{output}");
        let last = output.lines().last().unwrap();
        let text = last
            .strip_prefix("parent: wrote P, the buffer is ")
            .expect(&output);
        let letters = |letter| text.matches(letter).count();
        assert_eq!(
            (letters('c'), letters('p'), letters('P')),
            (3, 3, 1),
            "{output}"
        );
        // SAFETY: takes no buffer.
        let left = unsafe { libc::semget(tour.key(83), 0, 0) };
        assert_eq!(left, -1, "{output}");
    }
}

/// A library that lets a program's child keep the semaphore for a while.
const HOLD: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
#include "shmcomm.h"

static pid_t first;

__attribute__((constructor)) static void begin(void)
{
    first = getpid();
}

int shmc_sem_post(shmc_sem *semaphore)
{
    int (*next)(shmc_sem *);

    *(void **)&next = dlsym(RTLD_NEXT, "shmc_sem_post");
    /* The parent's are short, so that the child is in the queue when it gives the semaphore back. */
    usleep(getpid() == first ? 50000 : 700000);
    return next(semaphore);
}
"#;

#[test]
fn a_signal_ends_a_wait_for_the_semaphore() {
    let Some(tour) = Tour::new() else { return };
    let source = tour.0.join("hold.c");
    let hold = tour.0.join("hold.so");
    fs::write(&source, HOLD).unwrap();
    run(support::cc()
        .args(["-shared", "-fPIC", "-I"])
        .arg(tour_file("../include"))
        .arg("-o")
        .arg(&hold)
        .arg(&source)
        .arg("-ldl"));
    let name = format!("sysv:{}#83", tour.0.path().display());
    for signal in [libc::SIGINT, libc::SIGTERM] {
        for all in [true, false] {
            let mut command = tour.named("semaphore", Some(&name));
            command.env("LD_PRELOAD", &hold);
            let mut group = Group::start(command);
            group.wait_for("child: wrote c");
            // Now the parent waits, or is about to.
            std::thread::sleep(std::time::Duration::from_millis(200));
            if all {
                group.signal_all(signal);
            } else {
                group.signal_first(signal);
            }
            let (status, output) = group.finish();
            assert_eq!(status.signal(), Some(signal), "{status}\n{output}");
            let stopped = format!("parent: stops, because of signal {signal}\n");
            assert!(output.contains(&stopped), "{output}");
            assert!(!output.contains("parent: the child was killed"), "{output}");
            // SAFETY: takes no buffer.
            let left = unsafe { libc::semget(tour.key(83), 0, 0) };
            assert_eq!(left, -1, "{output}");
        }
    }
}

/// The names of the two channels of `channel-server` and `channel-client`, neither of which may be
/// left.
struct Channels([support::ObjectName; 2]);

impl Channels {
    fn new() -> Self {
        Self([support::ObjectName::new(), support::ObjectName::new()])
    }

    fn names(&self) -> [String; 2] {
        [self.0[0].name(), self.0[1].name()]
    }

    fn program(&self, tour: &Tour, program: &str) -> Group {
        let mut command = tour.program(program);
        command.args(self.names());
        Group::start(command)
    }

    fn assert_removed(&self, output: &str) {
        let left = self.0.iter().filter(|channel| channel.path().exists());
        assert_eq!(left.count(), 0, "{output}");
    }
}

/// The two programs, each with what it prints before it waits for the other.
const SERVER: (&str, &str) = ("channel-server", "server: waits for letters");
const CLIENT: (&str, &str) = ("channel-client", "client: sent A, 1 of 5");

/// Long enough for a program that has just printed a line to begin its wait.
fn let_it_wait() {
    std::thread::sleep(std::time::Duration::from_millis(200));
}

#[test]
fn channel_server_and_client_start_in_either_order() {
    let Some(tour) = Tour::new() else { return };
    run(&mut tour.make(["all", STRICT]));
    let channels = Channels::new();
    let setting = format!("CHANNELS={}", channels.names().join(" "));
    for [first, second] in [[SERVER, CLIENT], [CLIENT, SERVER]] {
        for delay in [false, true] {
            let make = |name| Group::start(tour.make([&format!("run-{name}"), STRICT, &setting]));
            let mut group = make(first.0);
            if delay {
                group.wait_for(first.1);
                let_it_wait();
            }
            let mut all = String::new();
            for program in [group, make(second.0)] {
                let (status, output) = program.finish();
                assert!(status.success(), "{status}\n{output}");
                all += &output;
            }
            for length in 1..=5 {
                let text = "A".repeat(length);
                for line in [
                    format!("server: received \"{text}\""),
                    format!("client: sent A, {length} of 5"),
                    format!("client: the server has \"{text}\""),
                ] {
                    let times = all.lines().filter(|said| *said == line).count();
                    assert_eq!(times, 1, "{line}\n{all}");
                }
            }
            channels.assert_removed(&all);
        }
    }
}

#[test]
fn a_signal_to_channel_server_or_client_leaves_no_channel() {
    let Some(tour) = Tour::new() else { return };
    let channels = Channels::new();
    for (interrupted, other) in [(SERVER, CLIENT), (CLIENT, SERVER)] {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            for alone in [true, false] {
                let other = (!alone).then(|| {
                    let mut group = channels.program(&tour, other.0);
                    group.wait_for(other.1);
                    let_it_wait();
                    group.signal_first(libc::SIGSTOP);
                    group
                });
                let mut group = channels.program(&tour, interrupted.0);
                group.wait_for(interrupted.1);
                let_it_wait();
                group.signal_first(signal);
                let (status, output) = group.finish();
                assert_eq!(status.signal(), Some(signal), "{status}\n{output}");
                channels.assert_removed(&output);
                if let Some(other) = other {
                    other.signal_first(libc::SIGCONT);
                    let (status, output) = other.finish();
                    assert_eq!(status.code(), Some(1), "{status}\n{output}");
                    channels.assert_removed(&output);
                }
            }
        }
    }
}

#[test]
fn a_second_channel_server_or_client_disturbs_nothing() {
    let Some(tour) = Tour::new() else { return };
    let channels = Channels::new();
    let mut server = channels.program(&tour, SERVER.0);
    server.wait_for(SERVER.1);
    let (status, output) = channels.program(&tour, SERVER.0).finish();
    assert_eq!(status.code(), Some(1), "{status}\n{output}");
    assert!(output.contains("Device or resource busy"), "{output}");
    for program in [channels.program(&tour, CLIENT.0), server] {
        let (status, output) = program.finish();
        assert!(status.success(), "{status}\n{output}");
    }
    channels.assert_removed("");
}

#[test]
fn a_channel_goes_on_with_another_client_when_one_is_killed() {
    let Some(tour) = Tour::new() else { return };
    let object = support::ObjectName::new();
    for _ in 0..5 {
        let (status, output) = Run::of(tour.named("channel-killed", Some(&object.name()))).finish();
        assert!(status.success(), "{status}\n{output}");
        let received: Vec<_> = output
            .lines()
            .filter_map(|line| line.strip_prefix("server: received "))
            .collect();
        let all = ["\"A\"", "\"AA\"", "\"AAA\"", "\"AAAA\"", "\"AAAAA\""];
        assert_eq!(received, all, "{output}");
        assert_eq!(output.matches("client: is killed\n").count(), 1, "{output}");
        assert_eq!(
            output.matches("here is another one\n").count(),
            1,
            "{output}"
        );
        assert!(!object.path().exists(), "{output}");
    }
}

#[test]
fn make_tour_runs_to_its_end() {
    let Some(tour) = Tour::new() else { return };
    let (status, output) = Run::of(tour.make_with_segment("tour")).finish();
    assert!(status.success(), "{status}\n{output}");
    let headings = output.lines().filter(|line| line.starts_with("== "));
    assert_eq!(headings.count(), 10, "{output}");
    for last in [
        "server: removed segment ",
        "private: removed segment ",
        "reader: the segments after, ",
        "posix: removed posix:/",
        "mapped-file: removed mapped-file-",
        "status: removed segment ",
        "removal: shmctl of the id it had: Invalid argument",
        "parent: the child was killed; the semaphore is 1 again",
        "client: the server has \"AAAAA\"",
        "server: the client is gone; here is another one",
    ] {
        let says = output.lines().any(|line| line.starts_with(last));
        assert!(says, "no \"{last}\" in\n{output}");
    }
    let complete = output.matches("server: received \"AAAAA\"\n").count();
    assert_eq!(complete, 2, "{output}");
    assert_eq!(tour.0.segments(), []);
}

#[test]
fn ctrl_c_between_writer_and_reader_leaves_nothing() {
    let Some(tour) = Tour::new() else { return };
    run(&mut tour.make(["all", STRICT]));
    // A writer after which there is time to press Ctrl-C.
    let writer = tour.0.join("writer");
    fs::rename(&writer, tour.0.join("writer-itself")).unwrap();
    let pressed = tour.0.join("pressed");
    let wait =
        "\"$0-itself\" \"$@\" && echo waiting && until [ -e \"$PRESSED\" ]; do sleep 0.1; done";
    script(&writer, wait);
    let mut make = tour.make_with_segment("tour");
    make.env("PRESSED", &pressed);
    let mut make = Run::of(make);
    make.group.wait_for("waiting");
    assert_eq!(tour.0.segments().len(), 1);
    make.group.signal_all(libc::SIGINT);
    fs::write(pressed, "").unwrap();
    let (status, output) = make.finish();
    assert!(!status.success(), "{output}");
    assert!(output.contains("reader: detached"), "{output}");
    assert!(!output.contains("== posix"), "{output}");
    assert_eq!(tour.0.segments(), [], "{output}");
}

#[test]
fn make_runs_each_program() {
    let Some(tour) = Tour::new() else { return };
    for program in PROGRAMS {
        let make = tour.make_with_segment(&format!("run-{program}"));
        let (status, output) = Run::with_input(make, "hello\n").finish();
        assert!(status.success(), "{program}: {status}\n{output}");
        assert!(lines_of(program, &output).count() >= 3, "{output}");
    }
    assert_eq!(tour.0.segments(), []);

    let (status, output) = Run::of(tour.make(["run-channel-killed", STRICT])).finish();
    assert!(status.success(), "{status}\n{output}");

    let make = tour.make_with_segment("run-private");
    let (status, output) = Run::with_input(make, "").finish();
    assert!(!status.success(), "{output}");
}

#[test]
fn the_programs_with_the_library_inside_run_too() {
    let Some(tour) = Tour::new() else { return };
    run(&mut tour.make(["static", STRICT]));
    for program in PROGRAMS {
        let mut command = tour.0.command(tour.0.join(format!("{program}-static")));
        command.current_dir(tour.work());
        let (status, output) = Run::with_input(command, "hello\n").finish();
        assert!(status.success(), "{program}: {status}\n{output}");
    }
    assert_eq!(tour.0.segments(), []);
}

impl Tour {
    /// One of the programs, made if need be, such that the name it has by itself is of the sandbox.
    fn program(&self, name: &str) -> Command {
        let program = self.0.join(name);
        run(&mut self.make([text(&program).as_str(), STRICT]));
        let mut command = self.0.command(program);
        command.current_dir(self.work());
        command
    }

    fn named(&self, program: &str, name: Option<&String>) -> Command {
        let mut command = self.program(program);
        command.args(name);
        command
    }

    fn make_with_segment(&self, target: &str) -> Command {
        let segment = format!("SEGMENT=sysv:{}#2015", self.0.path().display());
        self.make([target, STRICT, &segment])
    }

    /// A `PATH` where a script of this text comes as `ipcs`.
    fn path_with_ipcs(&self, text: &str) -> OsString {
        let programs = self.0.join("programs");
        fs::create_dir(&programs).unwrap();
        let ipcs = programs.join("ipcs");
        script(&ipcs, text);
        let rest = env::var_os("PATH").unwrap_or_default();
        let rest = env::split_paths(&rest);
        env::join_paths(iter::once(programs).chain(rest)).unwrap()
    }

    /// Where the programs run: the directory above it is the sandbox.
    fn work(&self) -> PathBuf {
        let work = self.0.join("work");
        fs::create_dir_all(&work).unwrap();
        work
    }

    fn key(&self, id: i32) -> libc::key_t {
        support::ftok(self.0.path(), id)
    }

    /// Leaves a segment for a reader.
    fn write(&self) {
        let (status, output) = Run::of(self.program("writer")).finish();
        assert!(status.success(), "{status}\n{output}");
    }

    /// A segment that somebody else has made.
    fn make_segment(&self, id: i32, size: usize, byte: u8) {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o600;
        // SAFETY: takes no buffer.
        let id = unsafe { libc::shmget(self.key(id), size, flags) };
        assert_ne!(id, -1);
        // SAFETY: at an address of the kernel's choice; so many bytes are attached.
        unsafe {
            let address = libc::shmat(id, std::ptr::null(), 0);
            assert_ne!(address.addr(), usize::MAX);
            address.cast::<u8>().write_bytes(byte, size);
            libc::shmdt(address);
        }
    }
}

/// A program that runs, and a guard against what it may leave.
struct Run {
    group: Group,
    traces: Traces,
}

impl Run {
    fn of(command: Command) -> Self {
        Self::start(command, Stdio::null())
    }

    fn with_input(command: Command, input: &str) -> Self {
        // A pipe holds 64 KiB.
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(input.as_bytes()).unwrap();
        drop(writer);
        Self::start(command, reader)
    }

    fn start(command: Command, input: impl Into<Stdio>) -> Self {
        let group = Group::start_with(command, input);
        let traces = Traces { pid: group.id() };
        Self { group, traces }
    }

    /// Its status and all that it printed, when it is sure that it left nothing.
    fn finish(self) -> (ExitStatus, String) {
        let Self { group, traces } = self;
        let (status, output) = group.finish();
        traces.assert_none(&output);
        (status, output)
    }
}

/// What a program may leave that has no key of the sandbox.
struct Traces {
    pid: i32,
}

impl Traces {
    /// Removes what is left, of this program or of others with this output, and says so.
    fn assert_none(&self, output: &str) {
        let id = |line: &str| {
            line.split_once("made segment ")?
                .1
                .split_once(',')?
                .0
                .parse()
                .ok()
        };
        let ids: Vec<i32> = output.lines().filter_map(id).collect();
        let mut left = remove_segments(|segment| self.made(segment) || ids.contains(&segment.id));
        let path_of = |word: &str| {
            let word = word.trim_end_matches(',');
            match word.strip_prefix("posix:/") {
                Some(name) => Some(Path::new("/dev/shm").join(name)),
                None => word.starts_with("mapped-file-").then(|| tour_file(word)),
            }
        };
        let paths = output.split_whitespace().filter_map(path_of);
        for path in paths.chain([self.object()]) {
            if fs::remove_file(&path).is_ok() {
                left.push(text(&path));
            }
        }
        assert!(left.is_empty(), "left: {left:?}\n{output}");
    }

    /// A segment without a key, by this program.
    fn made(&self, segment: &support::Segment) -> bool {
        segment.key == 0 && segment.creator == self.pid
    }

    fn object(&self) -> PathBuf {
        format!("/dev/shm/shmcomm-tour-{}", self.pid).into()
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        remove_segments(|segment| self.made(segment));
        let _ = fs::remove_file(self.object());
    }
}

fn remove_segments(which: impl Fn(&support::Segment) -> bool) -> Vec<String> {
    let mut found = segments();
    found.retain(which);
    for segment in &found {
        // SAFETY: takes no buffer.
        unsafe { libc::shmctl(segment.id, libc::IPC_RMID, std::ptr::null_mut()) };
    }
    found.iter().map(|segment| format!("{segment:?}")).collect()
}

/// The name of a POSIX object of a test's own, which is gone when the test ends.
struct Object(String);

impl Object {
    fn new(name: &str) -> Self {
        Self(format!("shmcomm-test-{}-{name}", std::process::id()))
    }

    /// A name as long as there may be.
    fn long() -> Self {
        Self(format!("{:n<255}", Self::new("long").0))
    }

    fn name(&self) -> String {
        format!("posix:/{}", self.0)
    }

    fn path(&self) -> PathBuf {
        Path::new("/dev/shm").join(&self.0)
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path());
    }
}

/// What `status` prints, where it is up to `lock` what comes of locking.
fn status_output(pid: i32, output: &str, lock: &str) -> String {
    let id = id_after("status: made segment ", output);
    // SAFETY: takes no argument.
    let uid = unsafe { libc::geteuid() };
    format!(
        "status: made segment {id}, 4096 bytes; process {pid} of user {uid} is its creator\n\
         status: at first: mode 600, locked 0, attached 1\n\
         status: after chmod 640: mode 640, locked 0, attached 1\n\
         {lock}\
         status: attached for reading too: mode 640, locked 0, attached 2\n\
         status: read \"hello\" there\n\
         status: a child wrote to it and was killed by SIGSEGV\n\
         status: read \"hello\" there\n\
         status: detached from it: mode 640, locked 0, attached 1\n\
         status: removed segment {id}\n"
    )
}

fn id_after(start: &str, output: &str) -> i32 {
    let rest = output.split_once(start).unwrap().1;
    let id = rest.split(',').next().unwrap();
    id.parse().unwrap()
}

fn lines_of<'a>(program: &str, output: &'a str) -> impl Iterator<Item = &'a str> {
    let start = format!("{program}: ");
    output.lines().filter(move |line| line.starts_with(&start))
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().into()
}
