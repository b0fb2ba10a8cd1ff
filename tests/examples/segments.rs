//! The examples of layer 2: what they print, and that they leave nothing.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::{fs, io};

use super::run::*;
use crate::support;
use crate::support::make::Tour;
use crate::support::segment;

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
