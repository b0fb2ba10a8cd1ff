//! Random operations on a channel, compared with a model of it, with deaths and damage.
//!
//! `cargo run --release -p shmcomm-fuzz -- --seconds 60 [--seed N]`: one channel for each seed,
//! counted up from N. A failure prints its seed; with `--seconds 0` that seed alone runs again.

mod death;
mod guard;
mod polled;
mod random;
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
    let mut counts = world::Counts::default();
    loop {
        let world = World::new(seed);
        let path = world.path();
        std::panic::set_hook(Box::new(move |what| {
            let _ = std::fs::remove_file(&path);
            eprintln!("{what}\nrepeat with: --seconds 0 --seed {seed}");
        }));
        world.run(&mut counts);
        seed += 1;
        if Instant::now() >= end {
            break;
        }
    }
    println!("seeds {first} to {}: {counts:?}", seed - 1);
}
