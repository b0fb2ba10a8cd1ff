//! What is measured of every system: two processes, each on a core of its own, every byte written by
//! one and read by the other.

use std::any::Any;
use std::cell::{RefCell, RefMut};
use std::hint::{black_box, spin_loop};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread::sleep;
use std::time::{Duration, Instant};

use shmcomm_bench::Result;
use shmcomm_bench::distance::Lines;
use shmcomm_bench::process::{Process, pair};
use shmcomm_bench::scratch::Scratch;
use shmcomm_bench::shared::Shared;
use shmcomm_bench::table::Spread;

use crate::peer::{Message, Peer, Side};

/// What two processes do.
#[derive(Clone, Copy, PartialEq)]
pub enum Work {
    /// Messages in one direction, as fast as they go: messages a second.
    OneWay,
    /// Answers at once, so that both are busy: nanoseconds, and their ratio to the raw round trip.
    Busy,
    /// Answers so late that the other side sleeps: the same, and the ratio to a bare futex.
    Asleep,
    /// Messages in one direction at a moderate rate: messages a second, and the processor time of
    /// both sides in percent.
    Paced,
}

/// How long it goes on.
#[derive(Clone, Copy)]
pub enum Until {
    Time(Duration),
    /// Messages, during which only the exchange makes system calls.
    Messages(u64),
}

/// A measurement of one system.
pub struct Job<'a> {
    pub scratch: &'a Scratch,
    pub work: Work,
    pub message: usize,
    pub ring: usize,
    pub until: Until,
}

/// Small messages have the ring that `shmc_channel_open` chooses by default.
pub fn default_ring(message: usize) -> usize {
    if message < 4096 { 1 << 20 } else { 8 << 20 }
}

/// Words of messages that are no numbers.
const START: u64 = u64::MAX - 1;
const END: u64 = u64::MAX;

const WARM_UP: Duration = Duration::from_millis(20);
/// Beyond the time that a waiting side spins.
pub const PAUSE: Duration = Duration::from_micros(100);
/// Of messages at a moderate rate.
pub const PERIOD: Duration = Duration::from_micros(100);
/// The first blocks of round trips are not counted.
const WARM_BLOCKS: usize = 5;

/// Measures a job.
pub fn run<P: Peer<WORDS>, const WORDS: usize>(job: &Job) -> Result<Vec<f64>> {
    match job.work {
        Work::OneWay | Work::Paced => one_way::<P, WORDS>(job),
        Work::Busy => round_trip::<P, WORDS>(job, 200, Duration::ZERO),
        Work::Asleep => round_trip::<P, WORDS>(job, 5, PAUSE),
    }
}

/// What the receiver reports to the sender; 0 until then.
struct Received(AtomicU64);

fn one_way<P: Peer<WORDS>, const WORDS: usize>(job: &Job) -> Result<Vec<f64>> {
    let peer = RefCell::new(P::new(job.scratch, job.ring)?);
    // SAFETY: zeros are an atomic.
    let received: Shared<Received> = unsafe { Shared::zeroed()? };
    let sender = || {
        let mut peer = opened(&peer, Side::Sender)?;
        let (sum, busy) = send_all(&mut *peer, job)?;
        // Some systems lose what is on its way when its sender exits.
        while received.0.load(Acquire) == 0 {
            sleep(Duration::from_millis(1));
        }
        peer.close();
        match received.0.load(Relaxed) == sum {
            true => Ok(vec![busy]),
            false => Err("what was received is not what was sent".into()),
        }
    };
    let receiver = || {
        let mut peer = opened(&peer, Side::Receiver)?;
        let (sum, rate, busy) = receive_all(&mut *peer, job)?;
        received.0.store(sum, Release);
        peer.close();
        Ok(vec![rate, busy])
    };
    let [sent, mut results] = pair(sender, receiver)?;
    results.splice(1..1, sent);
    Ok(results)
}

fn opened<P: Peer<WORDS>, const WORDS: usize>(
    peer: &RefCell<P>,
    side: Side,
) -> Result<RefMut<'_, P>> {
    let mut peer = peer.borrow_mut();
    peer.open(side)?;
    Ok(peer)
}

/// Returns the sum of all words, and the processor time in percent.
fn send_all<P: Peer<WORDS>, const WORDS: usize>(peer: &mut P, job: &Job) -> Result<(u64, f64)> {
    let paced = job.work == Work::Paced;
    // The clock is not read for each small message.
    let batch = if paced {
        1
    } else {
        (8192 / WORDS as u64).clamp(1, 256)
    };
    // SAFETY: takes no pointer; from now on sleeps end when they should.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
    let mut next = Instant::now();
    let mut send = |peer: &mut P, first: u64| {
        if paced {
            next += PERIOD;
            sleep(next.saturating_duration_since(Instant::now()));
        }
        for number in first..first + batch {
            peer.send(|message| message.fill(number))?;
        }
        Result::Ok(first + batch)
    };
    let (start, mut number) = (Instant::now(), 1);
    while start.elapsed() < WARM_UP {
        number = send(peer, number)?;
    }
    peer.send(|message| message.fill(START))?;
    mark(job.until);
    let (first, clock) = (number, Clock::start());
    let over = |number| match job.until {
        Until::Time(time) => clock.0.elapsed() >= time,
        Until::Messages(count) => number - first >= count,
    };
    while !over(number) {
        number = send(peer, number)?;
    }
    let (_, busy) = clock.stop();
    peer.send(|message| message.fill(END))?;
    mark(job.until);
    let words = |number: u64| number.wrapping_mul(WORDS as u64);
    Ok(((first..number).map(words).fold(0, u64::wrapping_add), busy))
}

/// Returns the sum of all words, messages a second, and the processor time in percent.
fn receive_all<P: Peer<WORDS>, const WORDS: usize>(
    peer: &mut P,
    job: &Job,
) -> Result<(u64, f64, f64)> {
    let (mut total, mut count, mut clock) = (0_u64, 0_u64, Clock::start());
    loop {
        let (word, sum) = peer.receive(read)?;
        if word < START {
            total = total.wrapping_add(sum);
            count += 1;
            continue;
        }
        mark(job.until);
        if word == END {
            let (seconds, busy) = clock.stop();
            return Ok((total, count as f64 / seconds, busy));
        }
        (total, count, clock) = (0, 0, Clock::start());
    }
}

/// Time, and processor time of this process.
struct Clock(Instant, libc::timespec);

impl Clock {
    fn start() -> Self {
        let mut busy = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: room for a time.
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut busy) };
        Self(Instant::now(), busy)
    }

    /// Seconds, and the part of them that the process was busy in percent.
    fn stop(&self) -> (f64, f64) {
        let Self(end, busy) = Self::start();
        let seconds = (end - self.0).as_secs_f64();
        let nanoseconds = (busy.tv_nsec - self.1.tv_nsec) as f64;
        let busy = (busy.tv_sec - self.1.tv_sec) as f64 + nanoseconds / 1e9;
        (seconds, 100.0 * busy / seconds)
    }
}

/// The last word of a message, and the sum of all.
#[inline]
fn read<const WORDS: usize>(message: &Message<WORDS>) -> (u64, u64) {
    let sum = message
        .iter()
        .fold(0_u64, |sum, &word| sum.wrapping_add(word));
    (message[WORDS - 1], sum)
}

/// A system call that no system makes, where calls are counted.
fn mark(until: Until) {
    if let Until::Messages(_) = until {
        // SAFETY: takes nothing.
        unsafe { libc::getppid() };
    }
}

/// Both ends that a process has, and the reference in the same two processes.
struct Ends<'a, P, const WORDS: usize> {
    sender: RefMut<'a, P>,
    receiver: RefMut<'a, P>,
    lines: &'a Lines,
    pause: Duration,
}

/// Round trips in blocks, each after a block of the reference's.
fn round_trip<P: Peer<WORDS>, const WORDS: usize>(
    job: &Job,
    block: u64,
    pause: Duration,
) -> Result<Vec<f64>> {
    let new = || Ok::<_, shmcomm_bench::Error>(RefCell::new(P::new(job.scratch, job.ring)?));
    let (there, back, lines) = (new()?, new()?, Lines::new()?);
    let asker = || {
        let sender = opened(&there, Side::Sender)?;
        let receiver = opened(&back, Side::Receiver)?;
        let mut ends: Ends<P, WORDS> = Ends {
            sender,
            receiver,
            lines: &lines,
            pause,
        };
        let results = ends.ask_all(job.until, block);
        ends.sender.close();
        ends.receiver.close();
        results
    };
    let answerer = || {
        let receiver = opened(&there, Side::Receiver)?;
        let sender = opened(&back, Side::Sender)?;
        let mut ends: Ends<P, WORDS> = Ends {
            sender,
            receiver,
            lines: &lines,
            pause,
        };
        ends.answer_all(job.until, block)?;
        ends.sender.close();
        ends.receiver.close();
        Ok(Vec::new())
    };
    let [results, _] = pair(asker, answerer)?;
    Ok(results)
}

impl<P: Peer<WORDS>, const WORDS: usize> Ends<'_, P, WORDS> {
    /// Returns the median time, and the median ratio to the reference.
    fn ask_all(&mut self, until: Until, block: u64) -> Result<Vec<f64>> {
        let (mut times, mut ratios) = (Vec::new(), Vec::new());
        let time = match until {
            Until::Time(time) => time,
            Until::Messages(count) => {
                self.ask(count / 4 + 1)?;
                mark(until);
                self.ask(count)?;
                mark(until);
                self.lines.ask(Lines::STOP, false);
                return Ok(Vec::new());
            }
        };
        let start = Instant::now();
        while start.elapsed() < time || times.len() <= WARM_BLOCKS {
            let before = times.len() as u64 * block;
            let reference = timed(block, self.pause, |word| {
                self.lines
                    .ask((before + word) as u32, !self.pause.is_zero());
                Ok(())
            })?;
            let time = self.ask(block)?;
            times.push(time);
            ratios.push(time / reference);
        }
        self.lines.ask(Lines::STOP, true);
        let median = |values: &[f64]| Spread::of(&values[WARM_BLOCKS..]).median();
        Ok(vec![median(&times), median(&ratios)])
    }

    fn answer_all(&mut self, until: Until, block: u64) -> Result<()> {
        if let Until::Messages(count) = until {
            self.answer(count / 4 + 1)?;
            mark(until);
            self.answer(count)?;
            mark(until);
            // Some systems lose what is on its way when its sender exits.
            while self.lines.asked(0, false) != Lines::STOP {}
            return Ok(());
        }
        let mut last = 0;
        loop {
            for _ in 0..block {
                last = self.lines.asked(last, !self.pause.is_zero());
                if last == Lines::STOP {
                    return Ok(());
                }
                wait(self.pause);
                self.lines.answer(last, !self.pause.is_zero());
            }
            self.answer(block)?;
        }
    }

    /// The nanoseconds of a round trip.
    fn ask(&mut self, times: u64) -> Result<f64> {
        timed(times, self.pause, |word| {
            self.sender.send(|message| message.fill(word))?;
            match self.receiver.receive(read)? == (word, word * WORDS as u64) {
                true => Ok(()),
                false => Err("a wrong answer".into()),
            }
        })
    }

    fn answer(&mut self, times: u64) -> Result<()> {
        for _ in 0..times {
            let (word, sum) = self.receiver.receive(read)?;
            black_box(sum);
            wait(self.pause);
            self.sender.send(|message| message.fill(word))?;
        }
        Ok(())
    }
}

/// The nanoseconds of each of some round trips, without the pauses of both sides.
fn timed(times: u64, pause: Duration, mut ask: impl FnMut(u64) -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    for word in 1..=times {
        wait(pause);
        ask(word)?;
    }
    let each = start.elapsed().as_nanos() as f64 / times as f64;
    Ok((each - 2.0 * pause.as_nanos() as f64).max(0.0))
}

/// Without a system call, so that the core does not fall asleep.
fn wait(pause: Duration) {
    let start = Instant::now();
    while !pause.is_zero() && start.elapsed() < pause {
        spin_loop();
    }
}

/// Two processes that wait for each other's messages until this is dropped.
pub struct Idle {
    pub processes: [Process; 2],
    _peers: Box<dyn Any>,
}

/// Starts them.
pub fn idle<P: Peer<WORDS> + 'static, const WORDS: usize>(scratch: &Scratch) -> Result<Idle> {
    let new = || Ok::<_, shmcomm_bench::Error>(RefCell::new(P::new(scratch, 1 << 20)?));
    let peers = Box::new([new()?, new()?]);
    let first = || {
        let _sender = opened(&peers[0], Side::Sender)?;
        opened(&peers[1], Side::Receiver)?.receive(|_| Vec::new())
    };
    let second = || {
        let mut receiver = opened(&peers[0], Side::Receiver)?;
        let _sender = opened(&peers[1], Side::Sender)?;
        receiver.receive(|_| Vec::new())
    };
    let processes = [Process::start(0, first)?, Process::start(1, second)?];
    Ok(Idle {
        processes,
        _peers: peers,
    })
}
