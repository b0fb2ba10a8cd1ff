//! A peer that opens its end while the other side looks for one is not taken for one that has gone.

use crate::support::Link;
use crate::support::driver::Driver;

#[test]
fn a_peer_that_opens_during_a_look_has_not_gone() {
    let driver = Driver::build("late-peer.c", Link::Static);
    for kind in ["channel", "topic"] {
        let name = driver.object.name();
        let expected = "wait: Connection timed out\nwrite: ok\nread: ok\n";
        assert_eq!(driver.run(&[kind, &name]), expected, "{kind}");
        driver.object.remove();
        assert_eq!(driver.run(&[kind, &name, "removed"]), expected, "{kind}");
    }
}
