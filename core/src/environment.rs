//! The settings of a process: from its environment, its own macros, or by default. The first call that
//! asks determines them, for good.
//!
//! Several threads may ask first at the same time, even from a signal handler or in a forked child.
//! None waits for another: each determines the same and stores the same.

use core::ffi::{CStr, c_int};
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::key::{DEFAULT_ID, DEFAULT_PATH};
use crate::sys::{self, SharedPath};
use crate::text::{Text, parse_number};

/// The longest path that the system takes.
const MAX_PATH: u32 = libc::PATH_MAX as u32 - 1;
/// The greatest value of a number in the environment.
const MAX_NUMBER: u32 = c_int::MAX as u32;
/// All permission bits.
const MAX_MODE: u32 = 0o777;
/// The mode of a new segment, unless `COMM_MODE` sets another.
const DEFAULT_MODE: u32 = 0o666;

/// The path in force: valid once [`SETTINGS`] is known, and never changed afterwards.
static PATH: SharedPath = SharedPath::new();

/// All other settings in force.
///
/// | value | written by | means |
/// |---|---|---|
/// | 0 | – | not determined yet |
/// | else | the first caller, release, after [`PATH`] | [`Settings`], for good |
static SETTINGS: AtomicU64 = AtomicU64::new(0);

/// The choice of the program itself.
///
/// | value | written by | means |
/// |---|---|---|
/// | [`NOT_CHOSEN`] | – | the program leaves it at the default |
/// | [`CHOOSING`] | the first to choose, from `NOT_CHOSEN` | `PROGRAM_PATH` is being written |
/// | [`ID_CHOSEN`] + id | the same thread, release | the id is chosen |
/// | [`PATH_CHOSEN`] + id | the same thread, release, after `PROGRAM_PATH` | both are chosen |
/// | [`TOO_LATE`] | the first caller, from the first two | the program did not choose in time, for good |
static PROGRAM: AtomicU32 = AtomicU32::new(NOT_CHOSEN);
static PROGRAM_PATH: SharedPath = SharedPath::new();

const NOT_CHOSEN: u32 = 0;
const CHOOSING: u32 = 1 << 8;
const ID_CHOSEN: u32 = 2 << 8;
const PATH_CHOSEN: u32 = 3 << 8;
const TOO_LATE: u32 = 4 << 8;

/// Whether a thread has reported the unusable variables, or is about to.
static REPORTED: AtomicBool = AtomicBool::new(false);

/// The settings in one word: the id in its low 8 bits, then the flags below, the wait in 32 bits from
/// [`WAIT`], and [`Self::creation`] from [`CREATION`]. Both ends of the word take one instruction each:
/// every call needs them.
#[derive(Clone, Copy)]
pub struct Settings(u64);

const KNOWN: u64 = 1 << 8;
const PATH_IS_DEFAULT: u64 = 1 << 9;
const RECLAIM: u64 = 1 << 10;
const EXPLAIN: u64 = 1 << 11;
const WAIT: u32 = 16;
const CREATION: u32 = 53;

impl Settings {
    /// The path of the key.
    #[inline]
    pub fn path(self) -> &'static SharedPath {
        &PATH
    }

    /// The low 8 bits of the key's project id.
    #[inline]
    pub fn id(self) -> c_int {
        c_int::from(self.0 as u8)
    }

    /// The flags of `shmget(2)` that create a segment, with the mode of `COMM_MODE` or 0666.
    #[inline]
    pub fn creation(self) -> c_int {
        (self.0 >> CREATION) as c_int
    }

    /// The path is the default one: neither the environment nor the program chose it.
    pub fn path_is_default(self) -> bool {
        self.0 & PATH_IS_DEFAULT != 0
    }

    /// `COMM_RECLAIM`
    pub fn reclaim(self) -> bool {
        self.0 & RECLAIM != 0
    }

    /// `COMM_EXPLAIN`
    pub fn explain(self) -> bool {
        self.0 & EXPLAIN != 0
    }

    /// `COMM_WAIT_MS`
    pub fn wait_ms(self) -> c_int {
        (self.0 >> WAIT) as c_int
    }
}

/// The settings of this process.
#[inline]
pub fn settings() -> Settings {
    match SETTINGS.load(Acquire) {
        0 => determine(),
        known => Settings(known),
    }
}

/// Chooses the path (`None`: the default one) and the project id, as a program's macros do. Only the
/// first choice counts, and only before the first call that needs a key.
pub fn choose_key(path: Option<&CStr>, id: c_int) {
    if PROGRAM
        .compare_exchange(NOT_CHOSEN, CHOOSING, Relaxed, Relaxed)
        .is_err()
    {
        return;
    }
    let chosen = match path {
        Some(path) => {
            PROGRAM_PATH.store(path.to_bytes().iter().copied());
            PATH_CHOSEN
        }
        None => ID_CHOSEN,
    };
    // Too late if another thread has asked meanwhile.
    let chosen = chosen | u32::from(id as u8);
    let _ = PROGRAM.compare_exchange(CHOOSING, chosen, Release, Relaxed);
}

#[cold]
#[inline(never)]
fn determine() -> Settings {
    // No choice is possible from here on, so all callers determine the same.
    let too_late = |program| (program < ID_CHOSEN).then_some(TOO_LATE);
    let program = match PROGRAM.fetch_update(Acquire, Acquire, too_late) {
        Ok(_) => TOO_LATE,
        Err(chosen) => chosen,
    };
    let (path_chosen, program_id) = match program & !0xff {
        PATH_CHOSEN => (true, program as u8),
        ID_CHOSEN => (false, program as u8),
        _ => (false, DEFAULT_ID as u8),
    };

    let report = !REPORTED.swap(true, Relaxed);
    let path = read(c"COMM_PATH_NAME", MAX_PATH, report, take_path);
    let id = read(c"COMM_PROJ_ID", MAX_NUMBER, report, number);
    let wait = read(c"COMM_WAIT_MS", MAX_NUMBER, report, number);
    let mode = read(c"COMM_MODE", MAX_MODE, report, octal);
    let reclaim = read(c"COMM_RECLAIM", 1, report, number);
    let explain = read(c"COMM_EXPLAIN", 1, report, number);

    let mut word = KNOWN;
    if path.is_none() {
        if path_chosen {
            PATH.store(PROGRAM_PATH.bytes());
        } else {
            PATH.store(DEFAULT_PATH.to_bytes().iter().copied());
            word |= PATH_IS_DEFAULT;
        }
    }
    let id = id.map_or(program_id, |id| id as u8);
    word |= u64::from(id);
    word |= u64::from(wait.unwrap_or(0)) << WAIT;
    let creation = (libc::IPC_CREAT | libc::IPC_EXCL) as u32 | mode.unwrap_or(DEFAULT_MODE);
    word |= u64::from(creation) << CREATION;
    if reclaim == Some(1) {
        word |= RECLAIM;
    }
    if explain == Some(1) {
        word |= EXPLAIN;
    }
    SETTINGS.store(word, Release);
    Settings(word)
}

/// The value of a variable; `None` if it is not set, or is not a number or a path within the limit. If
/// `report`, a line on stderr tells the latter.
fn read(
    name: &CStr,
    limit: u32,
    report: bool,
    parse: fn(&CStr, u32) -> Option<u32>,
) -> Option<u32> {
    sys::secure_getenv(name, |value| {
        let parsed = parse(value, limit);
        if report && parsed.is_none() {
            report_ignored(name, value, limit);
        }
        parsed
    })
    .flatten()
}

#[cold]
#[inline(never)]
fn report_ignored(name: &CStr, value: &CStr, limit: u32) {
    let mut text = Text::new();
    text.text("shmcomm: ");
    text.bytes(name.to_bytes());
    text.text("=\"");
    // Cut, to leave room for the rest of the line.
    let value = value.to_bytes();
    text.bytes(value.get(..libc::PATH_MAX as usize).unwrap_or(value));
    text.text(match limit {
        MAX_PATH => "\" is ignored: it is not a path of 1 to ",
        MAX_MODE => "\" is ignored: it is not an octal number from 0 to ",
        _ => "\" is ignored: it is not a number from 0 to ",
    });
    match limit {
        MAX_MODE => text.octal(limit.into(), 4),
        _ => text.signed(limit.into()),
    }
    text.print_line();
}

/// Stores a path in [`PATH`]. Returns its length.
fn take_path(path: &CStr, max: u32) -> Option<u32> {
    let path = path.to_bytes();
    let length = u32::try_from(path.len()).ok()?;
    if !(1..=max).contains(&length) {
        return None;
    }
    PATH.store(path.iter().copied());
    Some(length)
}

/// A number without a sign, decimal or after `0x`.
fn number(text: &CStr, max: u32) -> Option<u32> {
    let text = text.to_bytes();
    let number = match text {
        [b'0', b'x' | b'X', digits @ ..] => parse_number(digits, 16),
        digits => parse_number(digits, 10),
    };
    number.filter(|number| *number <= max)
}

/// A number in base 8, with or without leading zeros, same as for `chmod(1)`.
fn octal(text: &CStr, max: u32) -> Option<u32> {
    parse_number(text.to_bytes(), 8).filter(|number| *number <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_decimal_or_hexadecimal_and_in_its_range() {
        for (text, value) in [
            (c"0", Some(0)),
            (c"26214", Some(0x6666)),
            (c"0x6666", Some(0x6666)),
            (c"0X7fffffff", Some(MAX_NUMBER)),
            (c"2147483648", None),
            (c"4294967296", None),
            (c"", None),
            (c"0x", None),
            (c"0x-1", None),
            (c"1e3", None),
            (c"\xff", None),
        ] {
            assert_eq!(number(text, MAX_NUMBER), value, "{text:?}");
        }
        assert_eq!(number(c"2", 1), None);
    }

    #[test]
    fn a_mode_is_octal_and_permission_bits_alone() {
        for (text, mode) in [
            (c"0600", Some(0o600)),
            (c"600", Some(0o600)),
            (c"0", Some(0)),
            (c"00777", Some(0o777)),
            (c"1000", None),
            (c"01600", None),
            (c"0o600", None),
            (c"0x180", None),
            (c"680", None),
            (c"-1", None),
            (c"", None),
        ] {
            assert_eq!(octal(text, MAX_MODE), mode, "{text:?}");
        }
    }

    #[test]
    fn the_fields_of_the_settings_do_not_overlap() {
        let settings = |word| {
            let it = Settings(word);
            let flags = (it.path_is_default(), it.reclaim(), it.explain());
            (it.id(), it.wait_ms(), it.creation(), flags)
        };
        let none = (false, false, false);
        let all = (true, true, true);
        assert_eq!(settings(KNOWN), (0, 0, 0, none));
        assert_eq!(settings(0xff), (0xff, 0, 0, none));
        assert_eq!(
            settings(u64::from(MAX_NUMBER) << WAIT),
            (0, c_int::MAX, 0, none)
        );
        assert_eq!(settings(0o3777 << CREATION), (0, 0, 0o3777, none));
        let flags = PATH_IS_DEFAULT | RECLAIM | EXPLAIN;
        assert_eq!(settings(flags), (0, 0, 0, all));
    }
}
