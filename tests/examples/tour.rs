//! All programs of the tour, run by `make` and alone, with signals, full disks and valgrind.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use super::run::*;
use crate::support;
use crate::support::make::{STRICT, Tour};
use crate::support::run;

#[test]
fn a_signal_in_the_middle_leaves_nothing() {
    let Some(tour) = Tour::new() else { return };
    let interrupt = support::preload("interrupt.c");
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
            // A writer leaves its segment, with the whole text in it.
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
        // A child of status dies of a signal, which valgrind would report at length.
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
fn make_tour_runs_to_its_end() {
    let Some(tour) = Tour::new() else { return };
    let (status, output) = Run::of(tour.make_with_segment("tour")).finish();
    assert!(status.success(), "{status}\n{output}");
    let headings = output.lines().filter(|line| line.starts_with("== "));
    assert_eq!(headings.count(), 12, "{output}");
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
        "loop: the sender has exited",
        "reader: missed ",
        "reader: the writer has exited",
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
    // A writer that waits after its work until Ctrl-C was pressed.
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
