//! Two bridges, as processes: what is killed and cut, and what arrives.
#![allow(missing_docs)]

mod kills;
mod namespaces;
mod operation;
mod support;
