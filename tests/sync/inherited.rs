//! A forked child closes a channel that it has inherited, and nothing else.

use crate::support::Link;
use crate::support::driver::Driver;

#[test]
fn a_child_that_closes_an_inherited_handle_closes_no_other_file() {
    let driver = Driver::build("inherited.c", Link::Static);
    assert_eq!(driver.run(&[&driver.posix()]), "");
}
