//! A network that loses, delays, doubles and reorders, and the chance that decides.

use std::collections::VecDeque;

pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 8) % end
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// One direction of the network.
#[derive(Default)]
pub struct Wire(pub VecDeque<Vec<u8>>);

impl Wire {
    pub fn put(&mut self, bytes: Vec<u8>) {
        self.0.push_back(bytes);
    }

    /// The next message. Now and then one is lost, doubled, or overtaken by a later one.
    pub fn take(&mut self, random: &mut Random) -> Option<Vec<u8>> {
        if random.one_in(3) {
            return None;
        }
        let at = match random.one_in(10) {
            true => random.below(self.0.len().max(1) as u64) as usize,
            false => 0,
        };
        match random.below(20) {
            0 => {
                self.0.remove(at);
                None
            }
            1 => self.0.get(at).cloned(),
            _ => self.0.remove(at),
        }
    }
}
