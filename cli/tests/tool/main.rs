//! Black-box tests of the tool `shmcomm`.

mod clean;
mod generated;
mod install;
mod json;
mod looks;
mod messages;
mod names;
mod output;
mod support;
mod topics;
mod users;
