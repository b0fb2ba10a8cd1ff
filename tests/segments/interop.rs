//! Interoperation: what other programs make, this library opens, sizes, writes and removes, and the
//! other way round.

mod objects;
mod others;
mod sysv;
mod util_linux;
