//! Black-box tests of the built library. `tests/README.md` lists the file for each promise.

mod support;

mod artifact {
    mod abi;
    mod alone;
    mod baseline;
    mod faults;
    mod headers;
    mod install;
    mod linkers;
    mod manual;
    mod release;
    mod unload;
}

mod bindings {
    mod cxx;
    mod python;
    mod readme;
}

mod comm {
    mod driver;
    mod explain;
    mod key;
    mod mixed;
    mod mode;
    mod recipe;
    mod reclaim;
    mod swap;
    mod users;
    mod wait;
}

mod examples {
    mod comm;
    mod make;
    mod run;
    mod segments;
    mod sync;
    mod topics;
    mod tour;
}

mod proofs {
    mod fuzz;
    mod loom;
}

mod segments {
    mod creation;
    mod doubt;
    mod interop;
    mod links;
    mod memory;
    mod names;
    mod reclaim;
    mod reclaim_races;
    mod refused;
    mod sandboxes;
    mod shared_creation;
    mod sharing;
    mod times;
}

mod sync {
    mod channel;
    mod event_loops;
    mod inherited;
    mod late_peer;
    mod long_run;
    mod mutex;
    mod polled;
    mod semaphores;
    mod survival;
    mod survival_open;
    mod survival_polled;
    mod survivors;
    mod topics;
    mod topics_accounted;
    mod topics_polled;
    mod topics_survival;
}
