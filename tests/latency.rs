//! Tests whose limits are milliseconds: a process of their own, in which nothing compiles meanwhile.

mod support;

mod latency {
    mod sharers;
    mod waiting;
    mod wakeups;
}
