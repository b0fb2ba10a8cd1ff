//! What a process is set to: by its environment, by its own macros, by default. Found out at the
//! first call that asks, and never again.
//!
//! Several threads may ask first at the same time, also from a signal handler or in a forked child.
//! None waits for another: each finds the same and stores the same.

use core::ffi::{CStr, c_int};
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::sys::{self, SharedPath};
use crate::text::{Text, parse_number};

/// The path that `ftok(3)` is asked about where nobody chose another.
pub const DEFAULT_PATH: &CStr = c"/temp";
/// The project id where nobody chose another; `ftok(3)` takes its low 8 bits.
pub const DEFAULT_ID: c_int = 0x6666;
/// The longest path that the system takes.
const LONGEST_PATH: u32 = libc::PATH_MAX as u32 - 1;
/// The greatest value of a number in the environment.
const MOST: u32 = c_int::MAX as u32;
/// All permission bits.
const MOST_MODE: u32 = 0o777;
/// The mode of a new segment where nobody chose another.
const DEFAULT_MODE: u32 = 0o666;

/// The path in force: valid once [`SETTINGS`] is known, and never changed after.
static PATH: SharedPath = SharedPath::new();

/// All else that is in force.
///
/// | value | written by | means |
/// |---|---|---|
/// | 0 | nobody | not known yet |
/// | else | whoever asks first, release, after [`PATH`] | a [`Settings`], for good |
static SETTINGS: AtomicU64 = AtomicU64::new(0);

/// What the program itself chose.
///
/// | value | written by | means |
/// |---|---|---|
/// | [`NOT_CHOSEN`] | nobody | the program leaves it at the default |
/// | [`CHOOSING`] | the first to choose, from `NOT_CHOSEN` | `PROGRAM_PATH` is being written |
/// | [`ID_CHOSEN`] + id | the same, release | the id is chosen |
/// | [`PATH_CHOSEN`] + id | the same, release, after `PROGRAM_PATH` | both are chosen |
/// | [`TOO_LATE`] | whoever asks first, from the first two | nobody chose in time, for good |
static PROGRAM: AtomicU32 = AtomicU32::new(NOT_CHOSEN);
static PROGRAM_PATH: SharedPath = SharedPath::new();

const NOT_CHOSEN: u32 = 0;
const CHOOSING: u32 = 1 << 8;
const ID_CHOSEN: u32 = 2 << 8;
const PATH_CHOSEN: u32 = 3 << 8;
const TOO_LATE: u32 = 4 << 8;

/// Whether somebody has reported, or is about to, what the environment has that cannot be used.
static REPORTED: AtomicBool = AtomicBool::new(false);

/// The settings in one word: the id in its low 8 bits, then these, the wait in 32 bits from
/// [`WAIT`], and [`Self::creation`] from [`CREATION`]. What a call needs each time takes one
/// instruction at either end of the word.
#[derive(Clone, Copy)]
pub struct Settings(u64);

const KNOWN: u64 = 1 << 8;
const PATH_IS_DEFAULT: u64 = 1 << 9;
const RECLAIM: u64 = 1 << 10;
const EXPLAIN: u64 = 1 << 11;
const WAIT: u32 = 16;
const CREATION: u32 = 53;

impl Settings {
    /// The path to make the key from.
    #[inline]
    pub fn path(self) -> &'static SharedPath {
        &PATH
    }

    /// The project id to make the key from, its low 8 bits.
    #[inline]
    pub fn id(self) -> c_int {
        c_int::from(self.0 as u8)
    }

    /// How a segment is created: the flags of `shmget(2)`, with the mode of `COMM_MODE` or 0666.
    #[inline]
    pub fn creation(self) -> c_int {
        (self.0 >> CREATION) as c_int
    }

    /// Nobody chose the path.
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
        0 => find_out(),
        known => Settings(known),
    }
}

/// Takes the path (`None`: the default one) and the project id that the program itself chose. Only
/// the first choice counts, and only before the first call that needs a key.
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
    // Unless somebody has asked meanwhile.
    let chosen = chosen | u32::from(id as u8);
    let _ = PROGRAM.compare_exchange(CHOOSING, chosen, Release, Relaxed);
}

#[cold]
#[inline(never)]
fn find_out() -> Settings {
    // From here on nobody chooses any more, so that all who ask find the same.
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
    let path = read(c"COMM_PATH_NAME", LONGEST_PATH, report, |path, longest| {
        let path = path.to_bytes();
        let usable = !path.is_empty() && path.len() <= longest as usize;
        usable.then(|| PATH.store(path.iter().copied()))
    });
    let id = read(c"COMM_PROJ_ID", MOST, report, number);
    let wait = read(c"COMM_WAIT_MS", MOST, report, number);
    let mode = read(c"COMM_MODE", MOST_MODE, report, octal);
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

/// The value of a variable; `None` where it is not set, and, after a line on stderr if `report`,
/// where it is not a number or a path within the limit.
fn read<T>(
    name: &CStr,
    limit: u32,
    report: bool,
    parse: impl FnOnce(&CStr, u32) -> Option<T>,
) -> Option<T> {
    sys::with_variable(name, |value| {
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
    // Cut, so that the rest of the line has room.
    let value = value.to_bytes();
    text.bytes(value.get(..libc::PATH_MAX as usize).unwrap_or(value));
    text.text(match limit {
        LONGEST_PATH => "\" is ignored: it is not a path of 1 to ",
        MOST_MODE => "\" is ignored: it is not an octal number from 0 to ",
        _ => "\" is ignored: it is not a number from 0 to ",
    });
    match limit {
        MOST_MODE => text.octal(limit.into(), 4),
        _ => text.signed(limit.into()),
    }
    text.print_line();
}

/// A number without a sign, decimal or after `0x`.
fn number(text: &CStr, most: u32) -> Option<u32> {
    let text = text.to_bytes();
    let number = match text {
        [b'0', b'x' | b'X', digits @ ..] => parse_number(digits, 16),
        digits => parse_number(digits, 10),
    };
    number.filter(|number| *number <= most)
}

/// A number in base 8, with or without zeros before it, as `chmod(1)` takes it.
fn octal(text: &CStr, most: u32) -> Option<u32> {
    parse_number(text.to_bytes(), 8).filter(|number| *number <= most)
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
            (c"0X7fffffff", Some(MOST)),
            (c"2147483648", None),
            (c"4294967296", None),
            (c"", None),
            (c"0x", None),
            (c"0x-1", None),
            (c"1e3", None),
            (c"\xff", None),
        ] {
            assert_eq!(number(text, MOST), value, "{text:?}");
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
            assert_eq!(octal(text, MOST_MODE), mode, "{text:?}");
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
        assert_eq!(settings(u64::from(MOST) << WAIT), (0, c_int::MAX, 0, none));
        assert_eq!(settings(0o3777 << CREATION), (0, 0, 0o3777, none));
        let flags = PATH_IS_DEFAULT | RECLAIM | EXPLAIN;
        assert_eq!(settings(flags), (0, 0, 0, all));
    }
}
