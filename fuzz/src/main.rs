//! Random operations on a channel and on a topic, compared with models of them, with deaths and damage.
//!
//! `cargo run --release -p shmcomm-fuzz -- --seconds 60 [--seed N]`: a channel and a topic for each seed,
//! counted up from N. A failure prints its seed; with `--seconds 0` that seed alone runs again.

mod death;
mod guard;
mod liar;
mod polled;
mod random;
mod topic;
mod world;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use world::World;

fn main() {
    let mut seconds = 10;
    let mut seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs() << 20);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse().ok());
        match (argument.as_str(), value) {
            ("--seconds", Some(value)) => seconds = value,
            ("--seed", Some(value)) => seed = value,
            _ => {
                eprintln!("usage: shmcomm-fuzz [--seconds N] [--seed N]");
                std::process::exit(2);
            }
        }
    }
    let first = seed;
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut channels, mut topics) = (world::Counts::default(), topic::Counts::default());
    loop {
        let (channel, topic) = (World::new(seed), topic::World::new(seed));
        let paths = [channel.path(), topic.path()];
        std::panic::set_hook(Box::new(move |what| {
            for path in &paths {
                let _ = std::fs::remove_file(path);
            }
            eprintln!("{what}\nrepeat with: --seconds 0 --seed {seed}");
        }));
        channel.run(&mut channels);
        topic.run(&mut topics);
        seed += 1;
        if Instant::now() >= end {
            break;
        }
    }
    println!("seeds {first} to {}: {channels:?}, {topics:?}", seed - 1);
}
