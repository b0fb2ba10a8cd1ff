//! Processes with the C `comm.c` and processes with the library share segments.

use std::fs;

use crate::support::{self, Link, Sandbox};

#[test]
fn creator_and_user_may_have_either_library() {
    let sandbox = Sandbox::new();
    let reference = sandbox.join("reference");
    fs::create_dir(&reference).unwrap();
    support::build_reference(sandbox.path(), &reference.join("libshmcomm.so"));
    let build = |name, link| {
        let program = sandbox.join(name);
        support::build(
            support::cc().arg(support::source("comm-driver.c")),
            link,
            &program,
        )
    };
    let c = build("c", Link::Other(&reference));
    let rust = build("rust", Link::Shared);

    for (creator, user) in [(&c, &rust), (&rust, &c)] {
        let run = |program, arguments: &[&str]| {
            support::stdout(&support::run(sandbox.command(program).args(arguments)))
        };
        let created = run(creator, &["create", "100", "at", "put", "from the creator"]);
        assert!(created.contains("create: an id"), "{created}");
        let segment = support::segment(sandbox.key()).expect("the creator's segment");
        assert_eq!((segment.size, segment.mode), (100, 0o666));

        let used = run(user, &["get", "at", "show", "put", "from the user", "dt"]);
        assert!(used.contains("show: from the creator"), "{used}");
        let again = run(user, &["create", "100"]);
        assert_eq!(again, "create: -2\n");
        let read = run(creator, &["get", "at", "show", "dt"]);
        assert!(read.contains("show: from the user"), "{read}");
        assert_eq!(run(user, &["get", "destroy"]), "get: an id\ndestroy: 0\n");
        assert_eq!(support::segment(sandbox.key()), None);
        assert_eq!(run(creator, &["get"]), "get: -2\n");
    }
}
