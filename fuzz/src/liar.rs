//! A process that writes anything into a topic.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use crate::random::Random;
use crate::topic::{Counts, World};

impl World {
    /// A thread changes words all the time, as a process could.
    pub fn run_beside_liar(&mut self, steps: u64, counts: &mut Counts) {
        let done = &AtomicBool::new(false);
        let liar = self.liar();
        thread::scope(|scope| {
            scope.spawn(move || liar.lie_until(done));
            let _done = Done(done);
            for _ in 0..steps {
                self.step(counts);
            }
        });
    }

    fn liar(&self) -> Liar {
        Liar {
            file: File::options().write(true).open(self.path()).unwrap(),
            random: Random(self.random.0 ^ 1),
            max_message: self.max_message,
            depth: self.depth,
            written: self.written,
        }
    }

    /// Overwrites words of the memory; from now on only bounds, errors and time are checked.
    pub fn damage(&mut self) {
        let mut liar = self.liar();
        self.damaged = true;
        for _ in 0..=self.random.below(10) {
            liar.lie();
        }
    }
}

/// What it knows about the topic.
struct Liar {
    file: File,
    random: Random,
    max_message: u64,
    depth: u64,
    written: u64,
}

impl Liar {
    fn lie_until(mut self, done: &AtomicBool) {
        while !done.load(Relaxed) {
            self.lie();
        }
    }

    /// Changes one word: of the header, or the length of a message.
    fn lie(&mut self) {
        const HEADER: [u64; 12] = [64, 128, 64, 128, 192, 0, 8, 16, 24, 32, 36, 40];
        let stride = (self.max_message + 16).next_multiple_of(64);
        let at = match self.random.one_in(3) {
            false => self.random.pick(&HEADER),
            true => 4096 + stride * self.random.below(self.depth),
        };
        let near = self.random.below(10).wrapping_sub(5);
        let value = match self.random.below(8) {
            0 => near,
            1 => self.written.wrapping_add(near),
            2 => self.written.wrapping_add(self.depth).wrapping_add(near),
            3 => self.max_message.wrapping_add(near),
            4 => (1_u64 << self.random.below(64)).wrapping_add(near),
            5 => 1 << self.random.below(20),
            6 => self.random.below(200),
            _ => self.random.next(),
        };
        self.file.write_all_at(&value.to_ne_bytes(), at).unwrap();
    }
}

/// Ends the liar also if an assertion fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
