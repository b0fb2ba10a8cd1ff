//! Text for people: names without control characters, sizes, ages.

use std::fmt::Write;

/// A name as it is printed: a byte that is no printable character becomes an escape, so that a name
/// neither ends a line nor controls a terminal.
pub fn escaped(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\'' | '"' => text.push(character),
                _ => text.extend(character.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// A size in bytes with two or three digits: `512`, `4.0K`, `64M`.
pub fn size(bytes: u64) -> String {
    let units = ["K", "M", "G", "T", "P"];
    let mut value = bytes as f64;
    let mut text = bytes.to_string();
    for unit in units {
        if value < 1000.0 {
            break;
        }
        value /= 1024.0;
        text = match value < 9.95 {
            true => format!("{value:.1}{unit}"),
            false => format!("{value:.0}{unit}"),
        };
    }
    text
}

/// A duration as its largest unit: `59s`, `12m`, `3h`, `8d`.
pub fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ ..3600 => format!("{}m", seconds / 60),
        seconds @ ..86400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86400),
    }
}

/// "1 message", "2 messages".
pub fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ if noun.ends_with("ss") => format!("{number} {noun}es"),
        _ => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_controls_no_terminal() {
        for (name, text) in [
            (&b"posix:/talk"[..], "posix:/talk"),
            (b"posix:/a b'\"", "posix:/a b'\""),
            (b"posix:/a\nb\t\x1b[2J", "posix:/a\\nb\\t\\u{1b}[2J"),
            (b"posix:/\\n", "posix:/\\\\n"),
            (b"posix:/\xff\x80", "posix:/\\xff\\x80"),
            ("posix:/ü\u{202e}".as_bytes(), "posix:/ü\\u{202e}"),
        ] {
            assert_eq!(escaped(name), text);
        }
    }

    #[test]
    fn a_size_has_two_or_three_digits() {
        for (bytes, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.0K"),
            (4096, "4.0K"),
            (65536, "64K"),
            (1 << 20, "1.0M"),
            (10 << 20, "10M"),
            (u64::MAX, "16384P"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn an_age_is_its_largest_unit() {
        for (seconds, text) in [
            (-1, "0s"),
            (59, "59s"),
            (60, "1m"),
            (7200, "2h"),
            (200_000, "2d"),
        ] {
            assert_eq!(age(seconds), text);
        }
    }
}
