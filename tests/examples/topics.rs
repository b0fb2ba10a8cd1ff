//! The examples of a topic: its writer and its readers.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use crate::support;
use crate::support::make::{Group, Tour};

fn start(tour: &Tour, program: &str, arguments: &[&str]) -> Group {
    let mut command = tour.program(program);
    command.args(arguments);
    Group::start(command)
}

#[test]
fn readers_follow_a_writer_each_at_its_own_speed() {
    let Some(tour) = Tour::new() else { return };
    let object = support::ObjectName::new();
    let name = &object.name();
    let mut early = start(&tour, "topic-reader", &[name]);
    early.wait_for("reader: waits for a writer");
    let mut writer = start(&tour, "topic-writer", &[name]);
    writer.wait_for("writer: wrote 20.2");
    let slow = start(&tour, "topic-reader", &[name, "700"]);
    for (program, is_slow) in [(writer, None), (early, Some(false)), (slow, Some(true))] {
        let (status, output) = program.finish();
        assert!(status.success(), "{status}\n{output}");
        let Some(is_slow) = is_slow else { continue };
        assert!(
            output.ends_with("reader: the writer has exited\n"),
            "{output}"
        );
        assert_eq!(
            output.contains("reader: it is 20.2 now"),
            is_slow,
            "{output}"
        );
        let read = output.matches("reader: read ").count();
        let missed = output
            .lines()
            .filter_map(|line| line.strip_prefix("reader: missed "));
        let missed: usize = missed.map(|count| count.parse::<usize>().unwrap()).sum();
        let written = if is_slow { 18 } else { 20 };
        assert_eq!(read + missed, written, "{output}");
        assert_eq!(missed > 0, is_slow, "{output}");
    }
    assert!(!object.path().exists());
}

#[test]
fn a_signal_to_a_writer_or_reader_leaves_no_topic() {
    let Some(tour) = Tour::new() else { return };
    let object = support::ObjectName::new();
    let name = &object.name();
    let programs = [
        ("topic-writer", "writer: wrote 20.1"),
        ("topic-reader", "reader: waits for a writer"),
    ];
    for (program, line) in programs {
        for signal in [libc::SIGINT, libc::SIGTERM] {
            let mut group = start(&tour, program, &[name]);
            group.wait_for(line);
            std::thread::sleep(Duration::from_millis(100));
            group.signal_first(signal);
            let (status, output) = group.finish();
            assert_eq!(status.signal(), Some(signal), "{status}\n{output}");
            assert!(!object.path().exists(), "{output}");
        }
    }
}

#[test]
fn a_second_topic_writer_disturbs_nothing() {
    let Some(tour) = Tour::new() else { return };
    let object = support::ObjectName::new();
    let name = &object.name();
    let mut writer = start(&tour, "topic-writer", &[name]);
    writer.wait_for("writer: wrote 20.0");
    let (status, output) = start(&tour, "topic-writer", &[name]).finish();
    assert_eq!(status.code(), Some(1), "{status}\n{output}");
    assert!(output.contains("Device or resource busy"), "{output}");
    let (status, output) = writer.finish();
    assert!(status.success(), "{status}\n{output}");
    assert!(!object.path().exists());
}
