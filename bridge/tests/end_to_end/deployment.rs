//! Encryption with certificates, and the unit of systemd.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use shmcomm::Side;

use crate::support::{Bridge, PATIENCE, Scratch, free_endpoint, skip};

/// A directory, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(what: &str) -> Self {
        let name = format!("shmcomm-bridge-{}-{what}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.0.join(name), text).unwrap();
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn openssl(directory: &Path, arguments: &str) -> bool {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).current_dir(directory);
    command.output().is_ok_and(|output| output.status.success())
}

/// The certificates of two machines, signed by one authority, and a stranger's, signed by another one.
fn certificates(directory: &Path) -> bool {
    let key = |name: &str| {
        format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
             -subj /CN={name} -keyout {name}.key -out {name}.pem"
        )
    };
    let signed = |name: &str, by: &str| {
        format!(
            "{} -CA {by}.pem -CAkey {by}.key -addext basicConstraints=critical,CA:FALSE \
             -addext subjectAltName=IP:127.0.0.1",
            key(name)
        )
    };
    let commands = [
        key("ca"),
        key("other"),
        signed("here", "ca"),
        signed("there", "ca"),
        signed("stranger", "other"),
    ];
    commands.iter().all(|command| openssl(directory, command))
}

#[test]
fn tls_admits_those_with_a_certificate() {
    let directory = Directory::new("tls");
    if !certificates(&directory.0) {
        return skip("openssl 3 is not installed");
    }
    let (a, b) = (Scratch::new(), Scratch::new());
    let mut sender = a.open(Side::Sender, 0);
    let mut receiver = b.open(Side::Receiver, 0);
    let endpoint = free_endpoint().replace("tcp/", "tls/");
    let start = |name: &str, link: String, what: &str| {
        let role = if what == "listen" {
            "listen"
        } else {
            "connect"
        };
        let text = format!(
            "{{ links: [{{ {link}, key: 'test/tls' }}], zenoh: {{ \
               {what}: {{ endpoints: ['{endpoint}'] }}, \
               transport: {{ link: {{ tls: {{ root_ca_certificate: '{}', enable_mtls: true, \
                 {role}_private_key: '{}', {role}_certificate: '{}' }} }} }} }} }}",
            directory.path("ca.pem"),
            directory.path(&format!("{name}.key")),
            directory.path(&format!("{name}.pem")),
        );
        let path = directory.write(&format!("{name}.json5"), &text);
        Bridge::start(&["--config", &path, "--status", "1"])
    };
    let incoming = start("there", format!("in: '{}'", b.name()), "listen");
    let out = || format!("out: '{}'", a.name());
    sender.send(b"secret", 0).unwrap();
    let stranger = start("stranger", out(), "connect");
    // Time for several attempts.
    stranger.wait_for("looking for the other bridge");
    thread::sleep(Duration::from_secs(2));
    assert!(!stranger.has_said("linked to") && !stranger.has_said(" 1 peers"));
    drop(stranger);
    assert_eq!(receiver.info().unwrap().sent, 0);
    let _outgoing = start("here", out(), "connect");
    let mut buffer = [0; 16];
    let length = receiver.receive(&mut buffer, PATIENCE.as_millis() as i32);
    assert_eq!((length, &buffer[..6]), (Ok(6), &b"secret"[..]));
    incoming.wait_for(" 1 peers");
}

#[test]
fn systemd_accepts_the_unit() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        return skip("systemd-analyze is not installed");
    }
    let directory = Directory::new("unit");
    let unit = include_str!("../../shmcomm-bridge.service");
    // The program that is there.
    let text = unit.replace(
        "/usr/local/bin/shmcomm-bridge",
        env!("CARGO_BIN_EXE_shmcomm-bridge"),
    );
    assert_ne!(unit, text);
    let path = directory.write("shmcomm-bridge.service", &text);
    let mut command = Command::new("systemd-analyze");
    let output = command
        .args(["verify", "--man=no", &path])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // Other units may have their own faults.
    let faults = said.lines().any(|line| line.contains("shmcomm-bridge"));
    assert!(output.status.success() && !faults, "{said}");
}
