//! What is measured of every system.

use std::any::Any;
use std::hint::{black_box, spin_loop};
use std::thread::sleep;
use std::time::{Duration, Instant};

use shmcomm_bench::Result;

use crate::link::{Link, Receiver, Sender};
use crate::pair::Pair;
use crate::place::Place;
use crate::reference::{CacheLine, Flag, Futex};

/// The sizes of one-way messages, in bytes.
pub const SIZES: [usize; 6] = [8, 64, 1 << 10, 4 << 10, 64 << 10, 1 << 20];
/// 64 bytes.
const SMALL: usize = 8;

/// Words that messages are filled with: a number, or one of these two.
const START: u64 = u64::MAX - 1;
const END: u64 = u64::MAX;
/// What the reference sends for the last time.
const STOP: u64 = u32::MAX as u64;

/// Before anything is measured.
const WARM_UP: Duration = Duration::from_millis(20);
/// So many round trips, then as many of the reference.
const BUSY_BLOCK: u64 = 200;
const ASLEEP_BLOCK: u64 = 5;
/// The first blocks are to warm up; no more than so many fit the pipe of results.
const WARM_BLOCKS: usize = 5;
const MOST_BLOCKS: usize = 2000;

/// How long a workload goes on.
#[derive(Clone, Copy)]
pub enum Until {
    /// For this time.
    Time(Duration),
    /// For this many messages, within which nothing but the exchange makes system calls.
    Messages(u64),
}

/// How two processes answer each other.
#[derive(Clone, Copy, PartialEq)]
pub enum Answers {
    /// At once, so that both are busy.
    AtOnce,
    /// So late that the other one really sleeps.
    After(Duration),
}

impl Answers {
    fn pause(self) -> Duration {
        match self {
            Self::AtOnce => Duration::ZERO,
            Self::After(pause) => pause,
        }
    }
}

/// A median round trip, and what it is to that of the reference.
#[derive(Clone, Copy)]
pub struct Latency {
    pub nanoseconds: f64,
    pub ratio: f64,
}

/// A link for each size of message.
pub trait AllSizes:
    Link<1> + Link<SMALL> + Link<128> + Link<512> + Link<8192> + Link<131_072> + 'static
{
}

impl<L> AllSizes for L where
    L: Link<1> + Link<SMALL> + Link<128> + Link<512> + Link<8192> + Link<131_072> + 'static
{
}

/// Messages per second in one direction.
pub fn one_way<L: AllSizes>(place: &Place, size: usize, until: Until) -> Result<f64> {
    match size {
        8 => one_way_of::<L, 1>(place, until),
        64 => one_way_of::<L, SMALL>(place, until),
        0x400 => one_way_of::<L, 128>(place, until),
        0x1000 => one_way_of::<L, 512>(place, until),
        0x10000 => one_way_of::<L, 8192>(place, until),
        0x10_0000 => one_way_of::<L, 131_072>(place, until),
        _ => Err(format!("no messages of {size} bytes").into()),
    }
}

fn one_way_of<L: Link<WORDS>, const WORDS: usize>(place: &Place, until: Until) -> Result<f64> {
    let link = L::new(place)?;
    let done = Flag::new()?;
    let pair = Pair::start(
        || {
            let sum = send_all(&mut link.sender()?, until, &done)?;
            Ok(vec![sum])
        },
        || {
            let (sum, count, time) = receive_all(&mut link.receiver()?, until)?;
            done.set();
            Ok(vec![sum, count, time])
        },
    )?;
    let [sent, received] = pair.finish()?;
    match (&sent[..], &received[..]) {
        ([sent], [received, count, time]) if sent == received => {
            Ok(*count as f64 / *time as f64 * 1e9)
        }
        _ => Err("what was received is not what was sent".into()),
    }
}

/// Gives the sum of all words.
fn send_all<const WORDS: usize>(
    sender: &mut impl Sender<WORDS>,
    until: Until,
    done: &Flag,
) -> Result<u64> {
    // The clock is not looked at for each small message.
    let batch = (8192 / WORDS as u64).clamp(1, 256);
    let mut next = 1_u64;
    let mut send_batch = |sender: &mut _| {
        for _ in 0..batch {
            Sender::send(sender, |message| message.fill(next))?;
            next += 1;
        }
        Ok::<u64, shmcomm_bench::Error>(next)
    };
    let start = Instant::now();
    while start.elapsed() < WARM_UP {
        send_batch(sender)?;
    }
    let first = send_batch(sender)?;
    sender.send(|message| message.fill(START))?;
    mark(until);
    let start = Instant::now();
    let end = loop {
        let next = send_batch(sender)?;
        let over = match until {
            Until::Time(time) => start.elapsed() >= time,
            Until::Messages(count) => next - first >= count,
        };
        if over {
            break next;
        }
    };
    sender.send(|message| message.fill(END))?;
    mark(until);
    // Some systems lose what is still on its way when its sender ends.
    while !done.is_set() {
        sleep(Duration::from_millis(1));
    }
    Ok((first..end).fold(0_u64, |sum, word| {
        sum.wrapping_add(word.wrapping_mul(WORDS as u64))
    }))
}

/// Gives the sum of all words, the number of messages, and the nanoseconds they took.
fn receive_all<const WORDS: usize>(
    receiver: &mut impl Receiver<WORDS>,
    until: Until,
) -> Result<(u64, u64, u64)> {
    let (mut total, mut count, mut start) = (0_u64, 0, Instant::now());
    loop {
        let (word, sum) = receiver.receive(read)?;
        if word >= START {
            mark(until);
            if word == END {
                return Ok((total, count, start.elapsed().as_nanos() as u64));
            }
            (total, count, start) = (0, 0, Instant::now());
            continue;
        }
        total = total.wrapping_add(sum);
        count += 1;
    }
}

/// The last word of a message, and the sum of all.
#[inline]
fn read<const WORDS: usize>(message: &[u64; WORDS]) -> (u64, u64) {
    let sum = message
        .iter()
        .fold(0_u64, |sum, &word| sum.wrapping_add(word));
    (message[WORDS - 1], sum)
}

/// A system call that nobody else makes, where they are counted.
fn mark(until: Until) {
    if let Until::Messages(_) = until {
        // SAFETY: takes nothing.
        unsafe { libc::getppid() };
    }
}

/// Both ends that a process has.
struct Ends<S, R> {
    sender: S,
    receiver: R,
}

/// The time of a 64 byte message and its answer, beside that of the reference in the same second.
pub fn round_trip<L: AllSizes>(place: &Place, answers: Answers, until: Until) -> Result<Latency> {
    match answers {
        Answers::AtOnce => round_trip_by::<L, CacheLine>(place, answers, until),
        Answers::After(_) => round_trip_by::<L, Futex>(place, answers, until),
    }
}

fn round_trip_by<L: AllSizes, Reference: Link<1>>(
    place: &Place,
    answers: Answers,
    until: Until,
) -> Result<Latency> {
    let links: [L; 2] = [Link::<SMALL>::new(place)?, Link::<SMALL>::new(place)?];
    let references = [Reference::new(place)?, Reference::new(place)?];
    let block = match answers {
        Answers::AtOnce => BUSY_BLOCK,
        Answers::After(_) => ASLEEP_BLOCK,
    };
    let pause = answers.pause();
    let side = |first: usize| {
        let second = 1 - first;
        // Links are opened in the same order by both, since some wait for the other end.
        let (sender, receiver): (_, _);
        if first == 0 {
            sender = Link::<SMALL>::sender(&links[0])?;
            receiver = Link::<SMALL>::receiver(&links[1])?;
        } else {
            receiver = Link::<SMALL>::receiver(&links[0])?;
            sender = Link::<SMALL>::sender(&links[1])?;
        }
        let reference = Ends {
            sender: references[first].sender()?,
            receiver: references[second].receiver()?,
        };
        Ok::<_, shmcomm_bench::Error>((Ends { sender, receiver }, reference))
    };
    let pair = Pair::start(
        || {
            let (mut ends, mut reference) = side(0)?;
            match until {
                Until::Time(time) => ask_by_turns(&mut ends, &mut reference, block, pause, time),
                Until::Messages(count) => ask_counted(&mut ends, count, pause, until),
            }
        },
        || {
            let (mut ends, mut reference) = side(1)?;
            match until {
                Until::Time(_) => answer_by_turns(&mut ends, &mut reference, block, pause)?,
                Until::Messages(count) => answer_counted(&mut ends, count, pause, until)?,
            }
            Ok(Vec::new())
        },
    )?;
    let [times, _] = pair.finish()?;
    Ok(latency(&times, block))
}

fn latency(times: &[u64], block: u64) -> Latency {
    let (pairs, _) = times.as_chunks::<2>();
    let median = |of: fn(&[u64; 2]) -> f64| {
        let mut values: Vec<f64> = pairs.iter().skip(WARM_BLOCKS).map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Latency {
        nanoseconds: median(|[_, time]| *time as f64) / block as f64,
        ratio: median(|[reference, time]| *time as f64 / *reference as f64),
    }
}

/// Gives the time of each block of the reference, and of the block that followed.
fn ask_by_turns(
    ends: &mut Ends<impl Sender<SMALL>, impl Receiver<SMALL>>,
    reference: &mut Ends<impl Sender<1>, impl Receiver<1>>,
    block: u64,
    pause: Duration,
    time: Duration,
) -> Result<Vec<u64>> {
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time || times.len() / 2 <= WARM_BLOCKS {
        times.push(ask(reference, block, pause)?);
        times.push(ask(ends, block, pause)?);
        if times.len() / 2 == MOST_BLOCKS {
            break;
        }
    }
    reference.sender.send(|message| message.fill(STOP))?;
    Ok(times)
}

fn answer_by_turns(
    ends: &mut Ends<impl Sender<SMALL>, impl Receiver<SMALL>>,
    reference: &mut Ends<impl Sender<1>, impl Receiver<1>>,
    block: u64,
    pause: Duration,
) -> Result<()> {
    while answer(reference, block, pause)? {
        answer(ends, block, pause)?;
    }
    Ok(())
}

fn ask_counted(
    ends: &mut Ends<impl Sender<SMALL>, impl Receiver<SMALL>>,
    count: u64,
    pause: Duration,
    until: Until,
) -> Result<Vec<u64>> {
    ask(ends, warm_up(count), pause)?;
    mark(until);
    ask(ends, count, pause)?;
    mark(until);
    Ok(Vec::new())
}

fn answer_counted(
    ends: &mut Ends<impl Sender<SMALL>, impl Receiver<SMALL>>,
    count: u64,
    pause: Duration,
    until: Until,
) -> Result<()> {
    answer(ends, warm_up(count), pause)?;
    mark(until);
    answer(ends, count, pause)?;
    mark(until);
    Ok(())
}

/// For a count of round trips.
fn warm_up(count: u64) -> u64 {
    count / 4 + 1
}

/// The nanoseconds that so many round trips take, without the pauses.
fn ask<const WORDS: usize>(
    ends: &mut Ends<impl Sender<WORDS>, impl Receiver<WORDS>>,
    times: u64,
    pause: Duration,
) -> Result<u64> {
    let start = Instant::now();
    for word in 1..=times {
        wait(pause);
        ends.sender.send(|message| message.fill(word))?;
        if ends.receiver.receive(read)? != (word, word * WORDS as u64) {
            return Err("a wrong answer".into());
        }
    }
    let pauses = 2 * times * pause.as_nanos() as u64;
    Ok((start.elapsed().as_nanos() as u64).saturating_sub(pauses))
}

/// Whether that was not yet the end.
fn answer<const WORDS: usize>(
    ends: &mut Ends<impl Sender<WORDS>, impl Receiver<WORDS>>,
    times: u64,
    pause: Duration,
) -> Result<bool> {
    for _ in 0..times {
        let (word, sum) = ends.receiver.receive(read)?;
        if word == STOP {
            return Ok(false);
        }
        black_box(sum);
        wait(pause);
        ends.sender.send(|message| message.fill(word))?;
    }
    Ok(true)
}

/// Without a system call, so that the core does not fall asleep.
fn wait(pause: Duration) {
    if pause.is_zero() {
        return;
    }
    let start = Instant::now();
    while start.elapsed() < pause {
        spin_loop();
    }
}

/// Two processes that wait for each other's messages until this is dropped.
pub struct Idle {
    pub pair: Pair,
    _links: Box<dyn Any>,
}

/// Starts them.
pub fn idle<L: AllSizes>(place: &Place) -> Result<Idle> {
    let links: Box<[L; 2]> = Box::new([Link::<SMALL>::new(place)?, Link::<SMALL>::new(place)?]);
    let pair = Pair::start(
        || {
            let _sender = Link::<SMALL>::sender(&links[0])?;
            Link::<SMALL>::receiver(&links[1])?.receive(|_| Vec::new())
        },
        || {
            let mut receiver = Link::<SMALL>::receiver(&links[0])?;
            let _sender = Link::<SMALL>::sender(&links[1])?;
            receiver.receive(|_| Vec::new())
        },
    )?;
    Ok(Idle {
        pair,
        _links: links,
    })
}
