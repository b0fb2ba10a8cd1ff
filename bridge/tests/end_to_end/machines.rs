//! Two machines: network namespaces with a link between them where that is allowed, else loopback.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::{Command, Output};

use crate::support::{Bridge, Proxy, skip};

fn run(line: &str) -> Option<Output> {
    let mut words = line.split(' ');
    let output = Command::new(words.next()?).args(words).output();
    output.ok().filter(|output| output.status.success())
}

fn ip(arguments: &str) -> bool {
    run(&format!("ip {arguments}")).is_some()
}

/// What slows the link down: with netem it also loses packets, without it a full queue does.
const SLOW: [&str; 2] = [
    "netem delay 5ms loss 2%",
    "tbf rate 50mbit burst 16kb latency 20ms",
];

/// Two network namespaces with a link between them, removed at the end.
struct Namespaces([String; 2]);

/// Two machines, and a proxy on the second that can cut and delay.
pub struct Machines {
    namespaces: Option<Namespaces>,
    pub proxy: Proxy,
    arguments: [Vec<String>; 2],
}

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
            format!("-n {b} link set lo up"),
        ];
        commands
            .iter()
            .all(|command| ip(command))
            .then_some(namespaces)
    }

    /// Moves this thread into the second namespace.
    fn enter(&self) -> impl FnOnce() + Send + use<> {
        let namespace = File::open(format!("/run/netns/{}", self.0[1])).unwrap();
        move || {
            // SAFETY: takes no pointer.
            let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        }
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            ip(&format!("netns delete {name}"));
        }
    }
}

impl Machines {
    /// The first machine has a bridge with these options, the second one with the others. `listen` is an
    /// endpoint of loopback.
    pub fn new(listen: &str, [here, there]: [&[&str]; 2]) -> Self {
        let namespaces = Namespaces::new();
        let proxy = match &namespaces {
            Some(namespaces) => Proxy::between("192.0.2.2", listen, namespaces.enter()),
            None => {
                skip("network namespaces need root and ip(8): over loopback instead");
                Proxy::to(listen)
            }
        };
        let with = |endpoint: [&str; 2], more: &[&str]| {
            let all = endpoint.into_iter().chain(more.iter().copied());
            all.map(str::to_owned).collect()
        };
        let arguments = [
            with(["--connect", &proxy.endpoint], here),
            with(["--listen", listen], there),
        ];
        Self {
            namespaces,
            proxy,
            arguments,
        }
    }

    /// Starts the bridge of a machine, by a program that becomes it.
    pub fn start(&self, at: usize, before: &[&str]) -> Bridge {
        let enter = self.namespaces.iter().map(|namespaces| &*namespaces.0[at]);
        let enter = enter.flat_map(|name| ["ip", "netns", "exec", name]);
        let program = env!("CARGO_BIN_EXE_shmcomm-bridge");
        let words: Vec<_> = enter
            .chain(before.iter().copied())
            .chain([program])
            .chain(self.arguments[at].iter().map(String::as_str))
            .collect();
        Bridge::start_by(&mut Command::new(words[0]), &words[1..])
    }

    /// Takes the link down or up.
    pub fn set_link(&self, is_up: bool) {
        if let Some(Namespaces([a, _])) = &self.namespaces {
            let state = if is_up { "up" } else { "down" };
            assert!(ip(&format!("-n {a} link set shmc0 {state}")));
        }
    }

    /// Makes the link slow, or fast again. Returns what slows it, or nothing.
    pub fn set_slow(&self, is_slow: bool) -> &'static str {
        let Some(Namespaces([a, _])) = &self.namespaces else {
            return "a proxy";
        };
        if !is_slow {
            let _ = run(&format!("tc -n {a} qdisc delete dev shmc0 root"));
            return "";
        }
        let slow =
            |way: &&str| run(&format!("tc -n {a} qdisc replace dev shmc0 root {way}")).is_some();
        SLOW.into_iter().find(slow).unwrap_or("a proxy")
    }
}
