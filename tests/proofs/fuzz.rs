//! A short run of the fuzzer: see `fuzz/`.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::support;

#[test]
fn random_operations_deaths_and_damage_do_what_the_model_says() {
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let target = Path::new(support::TEMPORARY).join("fuzz");
    let mut command = Command::new(cargo);
    // Without the release profile's LTO, with overflow checks.
    command.args(["run", "--package", "shmcomm-fuzz", "--target-dir"]);
    command.arg(target).args(["--", "--seconds", "2"]);
    command
        .current_dir(support::ROOT)
        .env_remove("CARGO_BUILD_TARGET");
    print!("{}", support::stdout(&support::run(&mut command)));
}
