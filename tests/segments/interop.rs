//! Interoperation: this library opens, sizes, writes and removes segments of other programs, and
//! they do the same with its segments.

mod objects;
mod others;
mod sysv;
mod util_linux;
