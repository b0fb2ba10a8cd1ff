//! What the command line and the configuration file say.

use std::time::Duration;

use serde_json::{Map, Value, json};

/// What `--help` prints.
pub const USAGE: &str = "\
usage: shmcomm-bridge [--listen ENDPOINT]... [--connect ENDPOINT]...
                      [--out [topic:]NAME=KEY]... [--in KEY=[topic:]NAME]...
                      [--capacity BYTES] [--window BYTES] [--status SECONDS]
       shmcomm-bridge --config FILE [--status SECONDS]
       shmcomm-bridge --help | --version

Moves messages between channels, or topics, on two machines. One bridge runs on each:
  here$  shmcomm-bridge --listen tcp/192.0.2.1:7447 --out posix:/a=site/a
  there$ shmcomm-bridge --connect tcp/192.0.2.1:7447 --in site/a=posix:/a

  --out       receive from the local channel or topic, send to the key
  --in        receive from the key, send into the local channel or topic
  --capacity  bytes of a channel that the bridge creates (default 1 MiB)
  --window    bytes of a channel that may be unacknowledged (default a quarter)
  --status    print the state of every link to stderr every SECONDS; also on SIGUSR1
";

/// The direction of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the local channel to the network.
    Out,
    /// From the network into the local channel.
    In,
}

/// What a link connects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A channel: each message once and in order.
    Channel,
    /// A topic: the newest message.
    Topic,
}

impl Kind {
    /// Its name for the user.
    pub fn what(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Topic => "topic",
        }
    }

    /// The kind that `topic:` before a name chooses, and the name.
    fn of(name: &str) -> (Self, String) {
        match name.strip_prefix("topic:") {
            Some(name) => (Self::Topic, name.to_owned()),
            None => (Self::Channel, name.to_owned()),
        }
    }
}

/// One link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// The direction.
    pub direction: Direction,
    /// What it connects.
    pub kind: Kind,
    /// The name of the local channel or topic.
    pub name: String,
    /// The key by which both bridges know the link.
    pub key: String,
    /// Bytes of the channel, if the bridge creates it; 0: the library's default.
    pub capacity: usize,
    /// Permission bits of the channel or topic, if the bridge creates it.
    pub mode: u32,
    /// Bytes that may be unacknowledged.
    pub window: Option<u64>,
}

/// All settings.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// The links.
    pub links: Vec<Link>,
    /// zenoh's configuration.
    pub zenoh: Value,
    /// Print the status this often.
    pub status: Option<Duration>,
}

/// zenoh as the bridge uses it: it contacts and accepts nobody but the named endpoints.
fn zenoh_defaults() -> Value {
    json!({
        "mode": "peer",
        "scouting": { "multicast": { "enabled": false }, "gossip": { "enabled": false } },
        "listen": { "endpoints": [] },
        "connect": {
            "endpoints": [],
            "timeout_ms": -1,
            "exit_on_failure": false,
            "retry": { "period_init_ms": 100, "period_max_ms": 1000, "period_increase_factor": 2 },
        },
        // Close no connection because it is slow: an hour. zenoh panics with -1, no limit.
        "transport": { "link": { "tx": { "queue": {
            "congestion_control": { "block": { "wait_before_close": 3_600_000_000_u64 } },
        } } } },
    })
}

/// Replaces in `base` what `over` has, level by level.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

/// Splits `NAME=KEY` or `KEY=NAME`. The name may contain `=`, a key may not.
fn link(direction: Direction, text: &str) -> Result<Link, String> {
    let (channel, key) = match direction {
        Direction::Out => text.rsplit_once('='),
        Direction::In => text.split_once('=').map(|(key, channel)| (channel, key)),
    }
    .ok_or_else(|| match direction {
        Direction::Out => format!("--out {text}: write NAME=KEY, as in posix:/a=site/a"),
        Direction::In => format!("--in {text}: write KEY=NAME, as in site/a=posix:/a"),
    })?;
    let (kind, name) = Kind::of(channel);
    Ok(Link {
        direction,
        kind,
        name,
        key: key.to_owned(),
        capacity: 0,
        mode: 0o600,
        window: None,
    })
}

fn number(option: &str, text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("{option} {text}: not a number"))
}

impl Settings {
    /// The settings of a command line, without the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut zenoh = zenoh_defaults();
        let (mut links, mut status) = (Vec::new(), None);
        let (mut capacity, mut window) = (None, None);
        let mut endpoints = [("listen", Vec::new()), ("connect", Vec::new())];
        let mut config = None;
        let mut arguments = arguments.into_iter();
        while let Some(option) = arguments.next() {
            let mut value = || {
                let value = arguments.next();
                value.ok_or_else(|| format!("{option}: a value is missing"))
            };
            match option.as_str() {
                "--listen" => endpoints[0].1.push(Value::from(value()?)),
                "--connect" => endpoints[1].1.push(Value::from(value()?)),
                "--out" => links.push(link(Direction::Out, &value()?)?),
                "--in" => links.push(link(Direction::In, &value()?)?),
                "--config" => config = Some(value()?),
                "--capacity" => capacity = Some(number(&option, &value()?)?),
                "--window" => window = Some(number(&option, &value()?)?),
                "--status" => {
                    status = Some(Duration::from_secs(number(&option, &value()?)?.max(1)));
                }
                _ => return Err(format!("{option}: unknown option")),
            }
        }
        for link in &mut links {
            link.capacity = capacity.unwrap_or(0) as usize;
            link.window = window;
        }
        if let Some(path) = config {
            if !links.is_empty() || endpoints.iter().any(|(_, named)| !named.is_empty()) {
                return Err("--config: links and endpoints are those of the file".into());
            }
            let text =
                std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
            let file = json5::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
            links = read_config(file, &mut zenoh).map_err(|error| format!("{path}: {error}"))?;
        }
        for (what, named) in endpoints {
            if !named.is_empty() {
                zenoh[what]["endpoints"] = Value::Array(named);
            }
        }
        if links.is_empty() {
            return Err("no link: name at least one by --out or --in".into());
        }
        if ["listen", "connect"]
            .iter()
            .all(|what| zenoh[what]["endpoints"] == json!([]))
        {
            return Err("no endpoint: name at least one by --listen or --connect".into());
        }
        Ok(Self {
            links,
            zenoh,
            status,
        })
    }
}

/// Reads a configuration file: `{ links: [{ out: CHANNEL, key: KEY }, …], zenoh: { … } }`.
fn read_config(file: Value, zenoh: &mut Value) -> Result<Vec<Link>, String> {
    let Value::Object(mut file) = file else {
        return Err("not an object".into());
    };
    if let Some(section) = file.remove("zenoh") {
        merge(zenoh, section);
    }
    let Some(Value::Array(links)) = file.remove("links") else {
        return Err("links: a list is missing".into());
    };
    if let Some(unknown) = file.keys().next() {
        return Err(format!("{unknown}: unknown; there are links and zenoh"));
    }
    let links = links.into_iter().enumerate();
    links
        .map(|(at, value)| match value {
            Value::Object(value) => {
                read_link(value).map_err(|error| format!("links[{at}]: {error}"))
            }
            _ => Err(format!("links[{at}]: not an object")),
        })
        .collect()
}

fn read_link(mut value: Map<String, Value>) -> Result<Link, String> {
    let mut text = |name: &str| match value.remove(name) {
        Some(Value::String(text)) => Ok(Some(text)),
        None => Ok(None),
        Some(_) => Err(format!("{name}: not a text")),
    };
    let (direction, channel) = match (text("out")?, text("in")?) {
        (Some(channel), None) => (Direction::Out, channel),
        (None, Some(channel)) => (Direction::In, channel),
        _ => return Err("exactly one of out and in names the local channel".into()),
    };
    let (kind, name) = Kind::of(&channel);
    let key = text("key")?.ok_or("key: missing")?;
    let mode = match text("mode")? {
        None => 0o600,
        Some(mode) => {
            u32::from_str_radix(&mode, 8).map_err(|_| format!("mode: {mode} is not octal"))?
        }
    };
    let mut number = |name: &str| match value.remove(name) {
        None => Ok(None),
        Some(number) => number
            .as_u64()
            .map(Some)
            .ok_or(format!("{name}: not a number")),
    };
    let capacity = number("capacity")?.unwrap_or(0) as usize;
    let window = number("window")?;
    match value.keys().next() {
        Some(unknown) => Err(format!("{unknown}: unknown")),
        None => Ok(Link {
            direction,
            kind,
            name,
            key,
            capacity,
            mode,
            window,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Settings, String> {
        Settings::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_command_line_names_links_and_endpoints() {
        let line = "--listen tcp/127.0.0.1:7447 --out posix:/a=site/a --in site/b=topic:file:/x=y --window 9";
        let settings = parse(line).unwrap();
        let [out, into] = &settings.links[..] else {
            panic!("{settings:?}")
        };
        assert_eq!((&out.name[..], &out.key[..]), ("posix:/a", "site/a"));
        assert_eq!((&into.name[..], &into.key[..]), ("file:/x=y", "site/b"));
        assert_eq!((out.kind, into.kind), (Kind::Channel, Kind::Topic));
        assert_eq!((out.window, into.window), (Some(9), Some(9)));
        assert_eq!(
            settings.zenoh["listen"]["endpoints"],
            json!(["tcp/127.0.0.1:7447"])
        );
        assert_eq!(
            settings.zenoh["scouting"]["multicast"]["enabled"],
            json!(false)
        );
    }

    #[test]
    fn errors_name_the_option() {
        for (line, what) in [
            ("--out posix:/a --listen x", "write NAME=KEY"),
            ("--in posix:/a --listen x", "write KEY=NAME"),
            ("--out posix:/a=k", "no endpoint"),
            ("--listen x", "no link"),
            ("--window x", "not a number"),
            ("--window", "a value is missing"),
            ("--what", "unknown option"),
            ("--config /nowhere", "/nowhere"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(what), "{line}: {error}");
        }
    }

    #[test]
    fn a_file_has_links_and_a_section_for_zenoh() {
        let text = "{ links: [{ out: 'posix:/a', key: 'site/a', window: 4096 }, \
            { in: 'posix:/b', key: 'site/b', mode: '0660', capacity: 65536 }], // two\n \
            zenoh: { listen: { endpoints: ['tls/x:1'] }, scouting: { gossip: { enabled: true } } } }";
        let mut zenoh = zenoh_defaults();
        let links = read_config(json5::from_str(text).unwrap(), &mut zenoh).unwrap();
        assert_eq!((links[0].window, links[0].mode), (Some(4096), 0o600));
        assert_eq!((links[1].mode, links[1].capacity), (0o660, 65536));
        assert_eq!(zenoh["listen"]["endpoints"], json!(["tls/x:1"]));
        assert_eq!(zenoh["scouting"]["gossip"]["enabled"], json!(true));
        assert_eq!(zenoh["scouting"]["multicast"]["enabled"], json!(false));
        for (text, what) in [
            ("{ links: [{ key: 'k' }] }", "exactly one"),
            ("{ links: [{ out: 'posix:/a' }] }", "key: missing"),
            (
                "{ links: [{ out: 'posix:/a', key: 'k', widow: 1 }] }",
                "widow: unknown",
            ),
            ("{ links: [], zeno: {} }", "zeno: unknown"),
            ("{}", "links"),
        ] {
            let error = read_config(json5::from_str(text).unwrap(), &mut zenoh).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
