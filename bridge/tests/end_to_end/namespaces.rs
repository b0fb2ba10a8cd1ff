//! Two network namespaces, as two machines, with a link between them that loses packets where the
//! kernel can do that.

use std::process::Command;
use std::thread;
use std::time::Duration;

use shmcomm::Side;

use crate::support::{Bridge, Receiving, Scratch, Sending, skip, wait_until};

fn ip(arguments: &str) -> bool {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}

/// Two namespaces with a link between them, removed at the end.
struct Namespaces([String; 2]);

impl Namespaces {
    fn new() -> Option<Self> {
        let names = ["a", "b"].map(|end| format!("shmcomm-{}-{end}", std::process::id()));
        let namespaces = Self(names);
        let [a, b] = &namespaces.0;
        let commands = [
            format!("netns add {a}"),
            format!("netns add {b}"),
            format!("-n {a} link add shmc0 type veth peer name shmc0 netns {b}"),
            format!("-n {a} address add 192.0.2.1/24 dev shmc0"),
            format!("-n {b} address add 192.0.2.2/24 dev shmc0"),
            format!("-n {a} link set shmc0 up"),
            format!("-n {b} link set shmc0 up"),
        ];
        commands
            .iter()
            .all(|command| ip(command))
            .then_some(namespaces)
    }

    fn bridge(&self, at: usize, arguments: &[&str]) -> Bridge {
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            &self.0[at],
            env!("CARGO_BIN_EXE_shmcomm-bridge"),
        ]);
        Bridge::start_by(&mut command, arguments)
    }

    /// Whether the kernel has netem.
    fn make_lossy(&self) -> bool {
        let arguments = "qdisc add dev shmc0 root netem delay 5ms loss 2%";
        let mut command = Command::new("tc");
        command.args(["-n", &self.0[0]]).args(arguments.split(' '));
        command.output().is_ok_and(|output| output.status.success())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            ip(&format!("netns delete {name}"));
        }
    }
}

#[test]
fn between_two_network_namespaces() {
    let Some(namespaces) = Namespaces::new() else {
        return skip("network namespaces need root and ip(8)");
    };
    let (a, b) = (Scratch::new(), Scratch::new());
    let sending = Sending::start(a.open(Side::Sender, 1 << 18));
    let receiving = Receiving::start(b.open(Side::Receiver, 1 << 16));
    let out = format!("{}=test/machines", a.name());
    let into = format!("test/machines={}", b.name());
    let start_in = || namespaces.bridge(1, &["--listen", "tcp/192.0.2.2:7447", "--in", &into]);
    let mut incoming = start_in();
    let _out = namespaces.bridge(0, &["--connect", "tcp/192.0.2.2:7447", "--out", &out]);
    wait_until("messages", || receiving.count() > 1000);
    if !namespaces.make_lossy() {
        println!("netem is not there: no packets are lost");
    }
    for round in 0..3 {
        let [a, _] = &namespaces.0;
        assert!(ip(&format!("-n {a} link set shmc0 down")));
        thread::sleep(Duration::from_millis(300));
        if round == 1 {
            drop(incoming);
            incoming = start_in();
        }
        assert!(ip(&format!("-n {a} link set shmc0 up")));
        let before = receiving.count();
        wait_until("progress", || receiving.count() > before + 1000);
    }
    let last = sending.finish();
    receiving.finish(last);
}
