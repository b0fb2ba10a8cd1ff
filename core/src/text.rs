//! Numbers and short lines of text, written and read without `core::fmt` and `core::str`, which would
//! double the size of the shared library.

use crate::sys;

/// Room for a path and a sentence about it.
const SIZE: usize = 5120;

/// A line of bounded length: text that does not fit is cut, control characters are replaced.
pub struct Text {
    bytes: [u8; SIZE],
    length: usize,
}

impl Text {
    pub const fn new() -> Self {
        Self {
            bytes: [0; SIZE],
            length: 0,
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    #[inline(never)]
    pub fn push(&mut self, byte: u8) {
        let byte = if byte.is_ascii_control() { b'?' } else { byte };
        if let Some(to) = self.bytes.get_mut(self.length) {
            *to = byte;
            self.length = self.length.saturating_add(1);
        }
    }

    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    #[inline(never)]
    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.push(*byte);
        }
    }

    pub fn signed(&mut self, number: i64) {
        if number < 0 {
            self.push(b'-');
        }
        self.digits(number.unsigned_abs(), 10, 1);
    }

    /// A number in base 16, with at least `min` digits.
    pub fn hex(&mut self, number: u64, min: usize) {
        self.text("0x");
        self.digits(number, 16, min);
    }

    /// A number in base 8, with at least `min` digits.
    pub fn octal(&mut self, number: u64, min: usize) {
        self.digits(number, 8, min);
    }

    /// A number in base 8, 10 or 16, with at least `min` digits.
    #[inline(never)]
    fn digits(&mut self, number: u64, base: u64, min: usize) {
        let mut digits = [0; 22];
        let mut rest = number;
        let mut used: usize = 0;
        for to in &mut digits {
            if rest == 0 && used >= min {
                break;
            }
            let digit = rest.checked_rem(base).unwrap_or(0) as u8;
            *to = digit.wrapping_add(if digit < 10 { b'0' } else { b'a' - 10 });
            rest = rest.checked_div(base).unwrap_or(0);
            used = used.saturating_add(1);
        }
        for digit in digits.iter().take(used).rev() {
            self.push(*digit);
        }
    }

    /// Prints the text to stderr as one line, at once. May change `errno`.
    pub fn print_line(&mut self) {
        self.length = self.length.min(SIZE.saturating_sub(1));
        self.push(b' ');
        if let Some(last) = self.bytes.get_mut(self.length.saturating_sub(1)) {
            *last = b'\n';
        }
        sys::fwrite_stderr(self.as_bytes());
    }
}

/// Reads a number in base 8, 10 or 16, without sign and blanks.
pub fn parse_number(text: &[u8], base: u32) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u32, |number, byte| {
        let digit = char::from(*byte).to_digit(base)?;
        number.checked_mul(base)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Text)) -> String {
        let mut text = Text::new();
        write(&mut text);
        String::from_utf8(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_written_as_format_writes_them() {
        for number in [0, 1, 7, 8, 9, 10, 4096, i64::MAX, -1, -10, i64::MIN] {
            assert_eq!(written(|text| text.signed(number)), number.to_string());
        }
        for number in [0, 1, 7, 8, 9, 10, 255, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(
                written(|text| text.hex(number, 8)),
                format!("{number:#010x}")
            );
            assert_eq!(
                written(|text| text.digits(number, 8, 3)),
                format!("{number:03o}")
            );
        }
    }

    #[test]
    fn control_characters_are_replaced_and_what_does_not_fit_is_cut() {
        assert_eq!(written(|text| text.bytes(b"a\x1b\nb\x7f")), "a??b?");
        let long = [b'x'; SIZE + 9];
        assert_eq!(written(|text| text.bytes(&long)).len(), SIZE);
    }

    #[test]
    fn a_number_has_neither_sign_nor_blanks() {
        for (text, base, number) in [
            ("0", 10, Some(0)),
            ("26214", 10, Some(26214)),
            ("7fffFFFF", 16, Some(0x7fff_ffff)),
            ("4294967295", 10, Some(u32::MAX)),
            ("4294967296", 10, None),
            ("", 10, None),
            ("+1", 10, None),
            ("-1", 10, None),
            (" 1", 10, None),
            ("1 ", 10, None),
            ("1f", 10, None),
        ] {
            assert_eq!(parse_number(text.as_bytes(), base), number, "{text:?}");
        }
    }
}
