//! Tests with limits of milliseconds. They have their own process, because nothing may compile
//! while they run.

mod support;

mod latency {
    mod polled;
    mod sharers;
    mod topics;
    mod waiting;
    mod wakeups;
}
