//! `send` and `recv` move lines, blocks or whole inputs, wait for each other, and lose nothing.

use std::process::Stdio;

use shmcomm::Side;

use crate::support::*;

#[test]
fn lines_arrive_as_they_were_sent() {
    let object = Object::new();
    let input = b"first\n\nthird \x00\xff\nlast without a newline";
    let sent = with_input(&mut tool(["send", "--create", &object.text()]), input);
    assert_eq!(sent, (String::new(), String::new(), 0));
    let mut receive = tool(["recv", "--timeout", "0", &object.text()]);
    let output = receive.output().unwrap();
    assert_eq!(output.stdout, [&input[..], b"\n"].concat());
    // All is printed; a sender may come any time.
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_whole_input_is_one_message() {
    let object = Object::new();
    for input in [&b"one\nmessage\n"[..], b""] {
        let mut send = tool(["send", "--create", "--whole", &object.text()]);
        assert_eq!(with_input(&mut send, input).2, 0);
        let output = tool(["recv", "--raw", "-n", "1", &object.text()])
            .output()
            .unwrap();
        assert_eq!(
            (output.stdout.as_slice(), output.status.code()),
            (input, Some(0))
        );
    }
}

/// More than the channel holds: the sender waits for the receiver.
#[test]
fn blocks_pass_with_back_pressure() {
    let object = Object::new();
    let input: Vec<u8> = (0..3_000_000_u32)
        .map(|number| (number / 7) as u8)
        .collect();
    let mut receive = tool([
        "recv",
        "--create",
        "--capacity",
        "64K",
        "--raw",
        &object.text(),
    ]);
    let receive = receive.stdout(Stdio::piped()).spawn().unwrap();
    wait_until("a receiver", || run(["who", &object.text()]).2 == 0);
    let (sent, output) = std::thread::scope(|scope| {
        let output = scope.spawn(|| receive.wait_with_output().unwrap());
        let mut send = tool(["send", "--block", "10000", &object.text()]);
        // The sender has gone then: this is the end.
        (with_input(&mut send, &input), output.join().unwrap())
    });
    assert_eq!(sent, (String::new(), String::new(), 0));
    assert!(output.stdout == input, "{} bytes", output.stdout.len());
    assert_eq!(output.status.code(), Some(0));
    let (stdout, ..) = run(["info", &object.text()]);
    assert!(stdout.contains("received:       300 ("), "{stdout}");
}

#[test]
fn each_end_has_its_status() {
    let object = Object::new();
    let absent = run(["recv", &object.text()]);
    assert!(absent.2 == 2 && absent.1.contains("--create"), "{absent:?}");

    // Nothing comes, and nobody takes anything.
    let late = [
        "recv",
        "--create",
        "--capacity",
        "64K",
        "-t",
        "0.05",
        &object.text(),
    ];
    let (_, stderr, status) = run(late);
    assert!(status == 3 && stderr.contains("timeout"), "{stderr}");
    let mut send = tool(["send", "--block", "1000", "-t", "0.05", &object.text()]);
    assert_eq!(with_input(&mut send, &[7; 100_000]).2, 3);

    // The other side has gone.
    let sender = object.channel(Side::Sender);
    let mut receive = tool(["recv", "-n", "100", &object.text()]);
    let receive = receive
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut receive = Child(receive);
    wait_until("a receiver", || {
        run(["who", &object.text()]).0.contains(" receiver ")
    });
    drop(sender);
    assert_eq!(receive.0.wait().unwrap().code(), Some(1));

    let too_long = with_input(&mut tool(["send", "--whole", &object.text()]), &[7; 70_000]);
    assert!(
        too_long.2 == 2 && too_long.1.contains("65520 bytes"),
        "{too_long:?}"
    );
    let _sender = object.channel(Side::Sender);
    let busy = run(["send", &object.text()]);
    assert!(
        busy.2 == 2 && busy.1.contains("another process has this end"),
        "{busy:?}"
    );
}

#[test]
fn an_end_can_be_shared() {
    let object = Object::new();
    let create = ["send", "--create", "--shared", &object.text()];
    let mut first = tool(create);
    let mut first = Child(first.stdin(Stdio::piped()).spawn().unwrap());
    wait_until("a sender", || run(["who", &object.text()]).2 == 0);
    assert_eq!(with_input(&mut tool(create), b"from the second\n").2, 0);
    assert_eq!(
        run(["recv", "-n", "1", "-t", "5", &object.text()]).0,
        "from the second\n"
    );
    drop(first.0.stdin.take());
    assert_eq!(first.0.wait().unwrap().code(), Some(0));
}

/// A message is freed after it is printed. So a receiver whose reader has gone loses none.
#[test]
fn a_message_that_cannot_be_printed_stays() {
    let object = Object::new();
    object.stale_channel(&[b"kept"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut receive = tool(["recv", "-n", "1", "-t", "5", &object.text()]);
    assert_eq!(receive.stdout(writer).status().unwrap().code(), Some(0));
    assert_eq!(
        run(["recv", "-n", "1", "-t", "5", &object.text()]).0,
        "kept\n"
    );
}
