//! A process that writes anything into a topic.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::random::Random;

/// What it knows about the topic.
pub struct Liar {
    pub file: File,
    pub random: Random,
    pub max_message: u64,
    pub depth: u64,
    pub written: u64,
}

impl Liar {
    pub fn lie_until(mut self, done: &AtomicBool) {
        while !done.load(Relaxed) {
            self.lie();
        }
    }

    /// Changes one word: of the header, or the length of a message.
    pub fn lie(&mut self) {
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
pub struct Done<'a>(pub &'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
