//! Two bridges, as processes: what is killed and cut, and what arrives.
#![allow(missing_docs)]

mod deployment;
mod kills;
mod machines;
mod operation;
mod support;
mod topics;
