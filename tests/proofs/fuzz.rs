//! A short run of the fuzzer: see `fuzz/`.

use std::path::Path;

use crate::support;

#[test]
fn random_operations_deaths_and_damage_do_what_the_model_says() {
    let target = Path::new(support::TEMPORARY).join("fuzz");
    let mut command = support::cargo();
    // Without the release profile's LTO, with overflow checks.
    command.args(["run", "--package", "shmcomm-fuzz", "--target-dir"]);
    command.arg(target).args(["--", "--seconds", "2"]);
    print!("{}", support::stdout(&support::run(&mut command)));
}
