//! Interoperation: what other programs make, this library opens, sizes, writes and removes, and the
//! reverse. The others are Perl, Python (its standard library, `sysv_ipc`, `posix_ipc`), util-linux,
//! and whatever handles files.

mod support;

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use support::{Child, Link, NOBODY, Sandbox};

const TEXT: &str = "how are you";
/// Not a multiple of a page.
const SIZE: &str = "5000";

/// What the tests of one kind of memory share: the drivers of both headers, and names to use.
struct Fixture {
    sandbox: Sandbox,
    segment: PathBuf,
    object: Object,
}

impl Fixture {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let segment = support::build(
            support::cc().arg(support::source("segment.c")),
            Link::Static,
            &sandbox.join("segment"),
        );
        Self {
            sandbox,
            segment,
            object: Object::new(),
        }
    }

    /// The names of one segment: by the path, by its key, both of them this directory's.
    fn sysv(&self) -> [String; 2] {
        let path = self.sandbox.path().display();
        [
            format!("sysv:{path}"),
            format!("sysv:{:#x}", self.sandbox.key()),
        ]
    }

    /// Runs the driver of `shmcomm.h`; what it printed.
    fn run(&self, arguments: &[&str]) -> String {
        call(self.sandbox.command(&self.segment).args(arguments))
    }

    /// Starts the driver of `shmcomm.h`, which is to come to `pause`.
    fn start(&self, arguments: &[&str]) -> Paused {
        Paused::start(self.sandbox.command(&self.segment).args(arguments))
    }

    /// Runs the driver of `comm.h`, whose key is that of the sandbox.
    fn comm(&self, arguments: &[&str]) -> String {
        let program = self.sandbox.join("comm");
        if !program.exists() {
            let mut cc = support::cc();
            cc.arg(support::source("driver.c"));
            support::build(&mut cc, Link::Static, &program);
        }
        call(self.sandbox.command(program).args(arguments))
    }

    fn assert_absent(&self, name: &str) {
        assert_eq!(
            self.run(&["open", name, "0", "", "0"]),
            failed("open", libc::ENOENT)
        );
    }
}

/// A name in `/dev/shm` of a test's own. When the test ends, however it ends, it is free again.
struct Object(PathBuf);

impl Object {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        const PREFIX: &str = "shmcomm-test-interop-";
        // What tests left that were killed.
        for entry in fs::read_dir("/dev/shm").unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name.strip_prefix(PREFIX).and_then(|id| id.split_once('-'));
            if pid.is_some_and(|(pid, _)| !Path::new("/proc").join(pid).exists()) {
                let _ = fs::remove_file(entry.path());
            }
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("/dev/shm/{PREFIX}{}-{number}", std::process::id()).into())
    }

    fn name(&self) -> String {
        format!("posix:/{}", self.0.file_name().unwrap().display())
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A process that waits in its `pause`, until it goes on or is killed.
struct Paused {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Paused {
    fn start(command: &mut Command) -> Self {
        let mut child = Child::start(command);
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let printed: Vec<_> = lines.by_ref().map_while(Result::ok).collect_until("pause");
        assert_eq!(printed.last().unwrap(), "pause", "{command:?}");
        Self { child, lines }
    }

    fn pid(&self) -> String {
        self.child.0.id().to_string()
    }

    /// Lets it go on to the next pause or its end; what it prints on the way.
    fn go_on(&mut self) -> String {
        let mut stdin = self.child.0.stdin.as_ref().unwrap();
        stdin.write_all(b"\n").unwrap();
        let lines = self.lines.by_ref().map_while(Result::ok);
        lines.collect_until("pause").join("\n")
    }
}

trait CollectUntil: Iterator<Item = String> + Sized {
    /// All lines up to this one, and it too.
    fn collect_until(mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != last) {
            match self.next() {
                Some(line) => lines.push(line),
                None => break,
            }
        }
        lines
    }
}

impl<T: Iterator<Item = String>> CollectUntil for T {}

/// Runs a command that must succeed; what it printed.
fn call(command: &mut Command) -> String {
    support::stdout(&support::run(command)).trim_end().into()
}

fn failed(what: &str, errno: i32) -> String {
    format!("{what}: errno {errno}")
}

/// That a line of `name value` pairs has all these.
fn assert_fields(line: &str, expected: &[(&str, &str)]) {
    let words: Vec<_> = line.split_whitespace().collect();
    for (name, value) in expected {
        let pair = words.windows(2).find(|pair| pair[0] == *name);
        assert_eq!(pair.map(|pair| pair[1]), Some(*value), "{name} in {line:?}");
    }
}

fn ids() -> (String, String) {
    // SAFETY: take no argument.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    (uid.to_string(), gid.to_string())
}

/// Another program, given as its interpreter and its script in `tests/interop`.
struct Other {
    interpreter: PathBuf,
    script: PathBuf,
}

impl Other {
    fn new(interpreter: impl Into<PathBuf>, script: &str) -> Option<Self> {
        let directory = Path::new(support::ROOT).join("tests/interop");
        Some(Self {
            interpreter: interpreter.into(),
            script: directory.join(script),
        })
    }

    fn perl(script: &str) -> Option<Self> {
        support::has("perl").then(|| Self::new("perl", script))?
    }

    fn python(script: &str) -> Option<Self> {
        support::has("python3").then(|| Self::new("python3", script))?
    }

    /// Python with the packages from PyPI.
    fn python_with_packages(script: &str) -> Option<Self> {
        Self::new(packages::python()?, script)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.arg(&self.script).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        call(&mut self.command(arguments))
    }
}

/// The packages from PyPI, in a virtual environment that is kept between runs.
mod packages {
    use super::*;

    const PACKAGES: [&str; 2] = ["sysv_ipc==1.2.0", "posix_ipc==1.3.2"];

    /// The Python that has them; `None`, said why, where they cannot be had.
    pub fn python() -> Option<PathBuf> {
        static RESULT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        if !support::has("python3") {
            return None;
        }
        match RESULT.get_or_init(install) {
            Ok(python) => Some(python.clone()),
            Err(reason) => {
                support::skip(reason);
                support::skip_without(&PACKAGES.join(" "));
                None
            }
        }
    }

    fn install() -> Result<PathBuf, String> {
        let directory = Path::new(support::TEMPORARY).join("interop-python");
        let python = directory.join("bin/python");
        let complete = directory.join("complete");
        // Held until this function ends, by one test process at a time.
        let lock = File::create(directory.with_extension("lock")).unwrap();
        // SAFETY: the descriptor is open.
        assert_eq!(unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX) }, 0);
        let wanted = PACKAGES.join(" ");
        let installed = fs::read_to_string(&complete).is_ok_and(|found| found == wanted);
        let mut version = Command::new(&python);
        if installed && attempt(version.arg("--version")).is_ok() {
            return Ok(python);
        }
        let _ = fs::remove_dir_all(&directory);
        attempt(Command::new("python3").args(["-m", "venv"]).arg(&directory))?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--no-input"]);
        pip.args(["--timeout=20", "--retries=1"]);
        attempt(pip.args(PACKAGES))?;
        fs::write(complete, wanted).unwrap();
        Ok(python)
    }

    fn attempt(command: &mut Command) -> Result<(), String> {
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let said = support::stdout(&output) + &support::stderr(&output);
        Err(format!("{command:?}: {}", said.trim()))
    }
}

/// Another program with System V shared memory uses a segment of ours.
fn uses_our_segment(other: &Other) {
    let fixture = Fixture::new();
    let (uid, gid) = ids();
    let [path, key] = fixture.sysv();
    let key = key.strip_prefix("sysv:").unwrap();
    let directory = fixture.sandbox.path().to_str().unwrap();
    assert_eq!(other.run(&["key", directory, "0x66"]), key);
    assert_eq!(other.run(&["find", key]), format!("errno {}", libc::ENOENT));

    let mut ours = fixture.start(&[
        "open", &path, SIZE, "cx", "0640", "put", TEXT, "pause", "show", "chmod", "0604", "pause",
        "stat",
    ]);
    let id = other.run(&["find", key]);
    let segment = support::segment(fixture.sandbox.key()).unwrap();
    assert_eq!(id, segment.id.to_string());
    let pid = ours.pid();
    let expected =
        |mode| format!("size {SIZE} mode {mode} uid {uid} gid {gid} creator {pid} attached 1");
    assert_eq!(other.run(&["stat", &id]), expected("0640"));
    assert_eq!(other.run(&["read", &id, "11"]), TEXT);
    let again = other.run(&["create", key, "10", "0600"]);
    assert_eq!(again, format!("errno {}", libc::EEXIST));

    assert_eq!(other.run(&["write", &id, "fine"]), "0");
    assert_eq!(ours.go_on(), "show: fine\nchmod: ok\npause");
    assert_eq!(other.run(&["stat", &id]), expected("0604"));

    assert_eq!(other.run(&["remove", &id]), "0");
    fixture.assert_absent(&path);
    let expected = [
        ("key", "0x0"),
        ("attached", "1"),
        ("removed", "1"),
        ("size", SIZE),
    ];
    assert_fields(&ours.go_on(), &expected);
    assert_eq!(fixture.sandbox.segments(), []);
}

/// We use a segment that another program made.
fn is_used_by_us(other: &Other) {
    let fixture = Fixture::new();
    let (uid, gid) = ids();
    let [path, key] = fixture.sysv();
    let raw_key = key.strip_prefix("sysv:").unwrap();
    let id = other.run(&["create", raw_key, SIZE, "0640"]);
    assert_eq!(other.run(&["write", &id, TEXT]), "0");

    for name in [&path, &key, &format!("sysv:id:{id}")] {
        let output = fixture.run(&["open", name, SIZE, "", "0", "size", "show", "stat"]);
        let mut lines = output.lines();
        assert_eq!(lines.next(), Some("open: ok"), "{name}");
        assert_eq!(lines.next(), Some("size: 5000"), "{name}");
        assert_eq!(lines.next(), Some("show: how are you"), "{name}");
        let expected = [
            ("size", SIZE),
            ("mode", "0640"),
            ("uid", &uid),
            ("gid", &gid),
            ("key", raw_key),
            ("id", "one"),
            ("creator", "other"),
            ("last", "self"),
            ("attached", "1"),
            ("removed", "0"),
            ("locked", "0"),
        ];
        assert_fields(lines.next().unwrap(), &expected);
        assert_eq!(
            fixture.run(&["open", name, "5001", "", "0"]),
            failed("open", libc::EINVAL)
        );
        let mut write = fixture.sandbox.command(&fixture.segment);
        write.args(["open", name, "0", "r", "0", "put", "x"]);
        let status = write.output().unwrap().status;
        assert_eq!(status.signal(), Some(libc::SIGSEGV), "{name}");
    }
    for name in [&path, &key] {
        let exclusive = ["open", name, SIZE, "cx", "0600"];
        assert_eq!(fixture.run(&exclusive), failed("open", libc::EEXIST));
        let smaller = ["open", name, "100", "c", "0600", "size"];
        assert_eq!(fixture.run(&smaller), "open: ok\nsize: 5000");
    }

    // Layer 1 has the same key.
    let comm = fixture.comm(&["get", "at", "show", "put", "from comm.h", "create", "10"]);
    assert!(comm.ends_with("show: how are you\ncreate: -2"), "{comm}");
    assert_eq!(other.run(&["read", &id, "11"]), "from comm.h");

    fixture.run(&["open", &path, "0", "", "0", "put", "fine", "chmod", "0600"]);
    assert_eq!(other.run(&["read", &id, "4"]), "fine");
    assert_fields(
        &other.run(&["stat", &id]),
        &[("mode", "0600"), ("attached", "0")],
    );
    assert_eq!(fixture.run(&["remove", &key]), "remove: ok");
    assert_eq!(
        other.run(&["find", raw_key]),
        format!("errno {}", libc::ENOENT)
    );

    // One that was left over by a program without this library is replaced all the same.
    let left = other.run(&["create", raw_key, SIZE, "0600"]);
    let replaced = ["open", &path, "100", "cR", "0600", "size"];
    assert_eq!(fixture.run(&replaced), "open: ok\nsize: 100");
    let now = support::segment(fixture.sandbox.key()).unwrap().id;
    assert_ne!(left, now.to_string());
    assert!(fixture.comm(&["get", "destroy"]).ends_with("destroy: 0"));
    assert_eq!(fixture.sandbox.segments(), []);
}

/// Another program that is attached counts, and is spared.
fn counts_when_attached(other: &Other) {
    let fixture = Fixture::new();
    let [path, key] = fixture.sysv();
    let id = other.run(&["create", key.strip_prefix("sysv:").unwrap(), SIZE, "0600"]);
    let mut holder = Paused::start(&mut other.command(&["hold", &id]));
    let attached = |count| {
        let output = fixture.run(&["open", &path, "0", "", "0", "stat"]);
        assert_fields(output.lines().nth(1).unwrap(), &[("attached", count)]);
    };
    attached("2");
    let kept = ["open", &path, "100", "cR", "0600", "size"];
    assert_eq!(fixture.run(&kept), "open: ok\nsize: 5000");
    assert_eq!(fixture.run(&["remove", &path]), "remove: ok");
    assert_eq!(
        fixture.run(&["open", &path, "100", "cx", "0600"]),
        "open: ok"
    );
    // By its id, the removed one is there until its holder ends.
    let by_id = format!("sysv:id:{id}");
    let removed = fixture.run(&["open", &by_id, "0", "", "0", "stat"]);
    let expected = [
        ("size", SIZE),
        ("removed", "1"),
        ("key", "0x0"),
        ("attached", "2"),
    ];
    assert_fields(removed.lines().nth(1).unwrap(), &expected);
    assert_eq!(holder.go_on(), "0");
    holder.child.0.wait().unwrap();
    let gone = fixture.run(&["open", &by_id, "0", "", "0"]);
    assert_eq!(gone, failed("open", libc::EINVAL));
}

#[test]
fn perl_uses_our_segment() {
    if let Some(perl) = Other::perl("sysv.pl") {
        uses_our_segment(&perl);
    }
}

#[test]
fn we_use_perls_segment() {
    if let Some(perl) = Other::perl("sysv.pl") {
        is_used_by_us(&perl);
    }
}

#[test]
fn ctypes_uses_our_segment() {
    if let Some(python) = Other::python("sysv_ctypes.py") {
        uses_our_segment(&python);
    }
}

#[test]
fn we_use_a_segment_of_ctypes() {
    if let Some(python) = Other::python("sysv_ctypes.py") {
        is_used_by_us(&python);
        counts_when_attached(&python);
    }
}

#[test]
fn sysv_ipc_uses_our_segment() {
    if let Some(python) = Other::python_with_packages("sysv_package.py") {
        uses_our_segment(&python);
    }
}

#[test]
fn we_use_a_segment_of_sysv_ipc() {
    if let Some(python) = Other::python_with_packages("sysv_package.py") {
        is_used_by_us(&python);
        counts_when_attached(&python);
    }
}

/// Columns of `lsipc` for the segment with this id.
fn lsipc(id: &str, columns: &str) -> Option<String> {
    let mut command = Command::new("lsipc");
    command.args(["--shmems", "--raw", "--noheadings", "--notruncate"]);
    command.args(["--bytes", "--numeric-perms", "-o"]);
    let table = call(command.arg(format!("ID,{columns}")));
    let mut rows = table.lines().filter_map(|line| line.split_once(' '));
    let found = rows.find(|(first, _)| *first == id);
    found.map(|(_, columns)| columns.trim_end().into())
}

#[test]
fn util_linux_sees_and_removes_our_segment() {
    if !["ipcs", "lsipc", "ipcrm"].into_iter().all(support::has) {
        return;
    }
    let fixture = Fixture::new();
    let (uid, gid) = ids();
    let [path, key] = fixture.sysv();
    let key = key.strip_prefix("sysv:").unwrap();
    let mut ours = fixture.start(&["open", &path, SIZE, "cx", "0640", "pause", "pause", "stat"]);
    let pid = ours.pid();
    let id = support::segment(fixture.sandbox.key()).unwrap().id;
    let id = id.to_string();

    let list = call(Command::new("ipcs").arg("--shmems"));
    let row = list.lines().find(|line| line.starts_with(key)).unwrap();
    let row: Vec<_> = row.split_whitespace().collect();
    assert_eq!([row[1], row[3], row[4], row[5]], [&id, "640", SIZE, "1"]);
    let details = call(Command::new("ipcs").args(["--shmems", "--id", &id]));
    let words: Vec<_> = details.split_whitespace().collect();
    for word in [
        format!("shmid={id}"),
        format!("uid={uid}"),
        format!("gid={gid}"),
        "mode=0640".into(),
        "bytes=5000".into(),
        "nattch=1".into(),
        format!("cpid={pid}"),
        format!("lpid={pid}"),
    ] {
        assert!(words.contains(&&word[..]), "no {word} in {details}");
    }

    let columns = "KEY,PERMS,UID,GID,SIZE,NATTCH,CPID,LPID";
    let expected = format!("{key} 0640 {uid} {gid} {SIZE} 1 {pid} {pid}");
    assert_eq!(lsipc(&id, columns), Some(expected));

    call(Command::new("ipcrm").args(["--shmem-key", key]));
    assert_eq!(
        lsipc(&id, "KEY,NATTCH,STATUS"),
        Some("0x00000000 1 dest".into())
    );
    fixture.assert_absent(&path);
    assert_eq!(ours.go_on(), "pause");
    assert_fields(
        &ours.go_on(),
        &[("removed", "1"), ("key", "0x0"), ("size", SIZE)],
    );
    ours.child.0.wait().unwrap();
    assert_eq!(lsipc(&id, "KEY"), None);

    let create = ["open", &path, SIZE, "cx", "0600", "lock"];
    assert_eq!(fixture.run(&create), "open: ok\nlock: ok");
    let id = support::segment(fixture.sandbox.key()).unwrap().id;
    let id = id.to_string();
    assert_eq!(lsipc(&id, "NATTCH,STATUS"), Some("0 locked".into()));
    call(Command::new("ipcrm").args(["--shmem-id", &id]));
    fixture.assert_absent(&path);
}

#[test]
fn owner_and_group_are_those_that_others_see() {
    if !support::is_root() {
        return support::skip("only root can give a segment away");
    }
    if !support::has("lsipc") {
        return;
    }
    let fixture = Fixture::new();
    let [path, _] = fixture.sysv();
    let owner = NOBODY.to_string();
    fixture.run(&["open", &path, SIZE, "cx", "0600", "chown", &owner, "7"]);
    let id = support::segment(fixture.sandbox.key()).unwrap().id;
    let columns = lsipc(&id.to_string(), "UID,GID,CUID,CGID");
    assert_eq!(columns, Some("65534 7 0 0".into()));

    let object = fixture.object.name();
    fixture.run(&["open", &object, SIZE, "cx", "0600", "chown", &owner, "7"]);
    let status = fs::metadata(&fixture.object.0).unwrap();
    assert_eq!((status.uid(), status.gid()), (NOBODY, 7));
}

#[test]
fn we_use_a_segment_of_ipcmk() {
    if !["unshare", "ipcmk", "ipcs", "ipcrm"]
        .into_iter()
        .all(support::has)
    {
        return;
    }
    let fixture = Fixture::new();
    // Its keys are random: in a namespace of its own, which leaves nothing.
    let script = r#"
        ipcmk --shmem 5000 --mode 0640 >&2
        set -- $(tail -n 1 /proc/sysvipc/shm)
        "$0" open sysv:id:$2 5000 "" 0 stat put hello close
        "$0" open sysv:0x$(printf %x $(($1 & 0xffffffff))) 0 "" 0 size show
        ipcrm --shmem-id $2
        "$0" open sysv:id:$2 0 "" 0
        "$0" open sysv:private 3000 c 0600
        ipcs --shmems | grep 0x00000000 | tr -s ' ' | cut -d ' ' -f 4-6
        set -- $(tail -n 1 /proc/sysvipc/shm)
        "$0" open sysv:id:$2 0 "" 0 stat close remove sysv:id:$2
        ipcs --shmems | grep -c 0x"#;
    let mut command = fixture.sandbox.command("unshare");
    command.args(["--ipc", "--user", "--map-root-user", "sh", "-c", script]);
    let output = command.arg(&fixture.segment).output().unwrap();
    if support::stderr(&output).contains("unshare:") {
        return support::skip(support::stderr(&output).trim());
    }
    let output = support::stdout(&output);
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines.len(), 14, "{output}");
    assert_eq!(lines[0], "open: ok");
    assert_fields(
        lines[1],
        &[
            ("size", "5000"),
            ("mode", "0640"),
            ("creator", "other"),
            ("attached", "1"),
        ],
    );
    let expected = ["close: ok", "open: ok", "size: 5000", "show: hello"];
    assert_eq!(lines[2..6], expected);
    assert_eq!(lines[6], failed("open", libc::EINVAL));
    assert_eq!(lines[7], "open: ok");
    assert_eq!(lines[8], "600 3000 0");
    assert_eq!(lines[9], "open: ok");
    assert_fields(lines[10], &[("size", "3000"), ("key", "0x0")]);
    assert_eq!(lines[11..], ["close: ok", "remove: ok", "0"]);
}

/// Another program uses an object or a file of ours.
fn uses_our_object(other: &Other, fixture: &Fixture, name: &str, path: &Path) {
    let (uid, gid) = ids();
    let path = path.to_str().unwrap();
    assert_eq!(
        other.run(&["stat", path]),
        format!("errno {}", libc::ENOENT)
    );
    let mut ours = fixture.start(&[
        "umask", "077", "open", name, SIZE, "cx", "0640", "put", TEXT, "pause", "show", "chmod",
        "0604", "pause", "show", "stat", "pause", "stat",
    ]);
    let expected = |mode| format!("size {SIZE} mode {mode} uid {uid} gid {gid}");
    assert_eq!(other.run(&["stat", path]), expected("0640"));
    assert_eq!(other.run(&["read", path, "11"]), TEXT);
    let again = other.run(&["create", path, "10", "0600"]);
    assert_eq!(again, format!("errno {}", libc::EEXIST));
    let status = fs::metadata(path).unwrap();
    assert_eq!((status.len(), status.nlink()), (5000, 1));
    // All of it is there, not a hole.
    assert!(status.blocks() * 512 >= 5000, "{} blocks", status.blocks());

    assert_eq!(other.run(&["write", path, "fine"]), "0");
    assert_eq!(ours.go_on(), "show: fine\nchmod: ok\npause");
    assert_eq!(other.run(&["stat", path]), expected("0604"));

    // Larger by another's doing: true at once in stat, and for who opens it next.
    assert_eq!(other.run(&["resize", path, "9000"]), "0");
    let larger = fixture.run(&["open", name, "9000", "", "0", "size"]);
    assert_eq!(larger, "open: ok\nsize: 9000");
    assert_fields(
        ours.go_on().lines().nth(1).unwrap(),
        &[("size", "9000"), ("removed", "0")],
    );

    assert_eq!(other.run(&["remove", path]), "0");
    fixture.assert_absent(name);
    assert_fields(&ours.go_on(), &[("removed", "1"), ("attached", "-1")]);
}

/// We use an object or a file that another program made.
fn object_is_used_by_us(other: &Other, fixture: &Fixture, name: &str, path: &Path) {
    let (uid, gid) = ids();
    let path = path.to_str().unwrap();
    assert_eq!(other.run(&["create", path, SIZE, "0600"]), "0");
    assert_eq!(other.run(&["write", path, TEXT]), "0");
    let output = fixture.run(&[
        "open", name, SIZE, "", "0", "size", "show", "stat", "put", "fine", "sync",
    ]);
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines[..3], ["open: ok", "size: 5000", "show: how are you"]);
    let expected = [
        ("size", SIZE),
        ("mode", "0600"),
        ("uid", &uid),
        ("gid", &gid),
        ("key", "0x0"),
        ("id", "none"),
        ("creator", "unknown"),
        ("attached", "-1"),
        ("removed", "0"),
    ];
    assert_fields(lines[3], &expected);
    assert_eq!(lines[4], "sync: ok");
    assert_eq!(other.run(&["read", path, "4"]), "fine");

    let open = |size, flags| fixture.run(&["open", name, size, flags, "0600", "size"]);
    let refused = |errno| format!("{}\nsize: 0", failed("open", errno));
    assert_eq!(open("5001", ""), refused(libc::EINVAL));
    assert_eq!(open("5001", "c"), refused(libc::EINVAL));
    assert_eq!(open(SIZE, "cx"), refused(libc::EEXIST));
    assert_eq!(open("100", "c"), "open: ok\nsize: 5000");
    // Who made it cannot be told, so it stays.
    assert_eq!(open("100", "cR"), "open: ok\nsize: 5000");
    assert_eq!(open("100", "cxR"), refused(libc::EEXIST));

    // As others make them, between open and ftruncate.
    assert_eq!(other.run(&["resize", path, "0"]), "0");
    assert_eq!(open("0", ""), refused(libc::EINVAL));
    assert_eq!(open("100", "c"), refused(libc::EINVAL));
    assert_eq!(fs::metadata(path).unwrap().len(), 0);

    assert_eq!(fixture.run(&["remove", name]), "remove: ok");
    assert_eq!(
        other.run(&["stat", path]),
        format!("errno {}", libc::ENOENT)
    );
}

/// Both, for POSIX objects.
fn shares_objects(other: &Other) {
    let fixture = Fixture::new();
    let name = fixture.object.name();
    uses_our_object(other, &fixture, &name, &fixture.object.0);
    object_is_used_by_us(other, &fixture, &name, &fixture.object.0);
}

#[test]
fn perl_and_we_share_objects_as_files() {
    if let Some(perl) = Other::perl("file.pl") {
        shares_objects(&perl);
    }
}

#[test]
fn python_and_we_share_objects() {
    if let Some(python) = Other::python("posix_standard.py") {
        shares_objects(&python);
    }
}

#[test]
fn posix_ipc_and_we_share_objects() {
    if let Some(python) = Other::python_with_packages("posix_package.py") {
        shares_objects(&python);
    }
}

#[test]
fn perl_and_we_share_files() {
    let Some(perl) = Other::perl("file.pl") else {
        return;
    };
    let fixture = Fixture::new();
    let path = fixture.sandbox.join("a file");
    let name = format!("file:{}", path.display());
    uses_our_object(&perl, &fixture, &name, &path);
    object_is_used_by_us(&perl, &fixture, &name, &path);
}

#[test]
fn files_are_handled_as_files() {
    let fixture = Fixture::new();
    for (name, path) in [
        (fixture.object.name(), fixture.object.0.clone()),
        (
            format!("file:{}", fixture.sandbox.join("f").display()),
            fixture.sandbox.join("f"),
        ),
    ] {
        // Made by a program that knows of no shared memory.
        fs::write(&path, "seven b").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let read = fixture.run(&["open", &name, "7", "r", "0", "size", "show"]);
        assert_eq!(read, "open: ok\nsize: 7\nshow: seven b", "{name}");

        // Copied and moved, as backups and editors do.
        let copy = fixture.sandbox.join("copy");
        fixture.run(&["open", &name, "0", "", "0", "put", "SEVEN"]);
        fs::copy(&path, &copy).unwrap();
        assert_eq!(fs::read(&copy).unwrap(), b"SEVEN\0b");
        let aside = path.with_extension("aside");
        let mut ours = fixture.start(&["open", &name, "0", "", "0", "pause", "show", "stat"]);
        fs::write(&aside, "a longer text").unwrap();
        fs::rename(&aside, &path).unwrap();
        let output = ours.go_on();
        assert!(output.starts_with("show: SEVEN\n"), "{output}");
        let expected = [("size", "7"), ("removed", "1")];
        assert_fields(output.lines().nth(1).unwrap(), &expected);
        let read = fixture.run(&["open", &name, "0", "", "0", "show"]);
        assert_eq!(read, "open: ok\nshow: a longer text");

        // Locked by a program that uses flock(2) for its own ends.
        let file = File::open(&path).unwrap();
        let lock = |how| {
            // SAFETY: the descriptor is open.
            assert_eq!(unsafe { libc::flock(file.as_raw_fd(), how) }, 0);
        };
        lock(libc::LOCK_EX);
        let open = ["open", &name, "0", "", "0"];
        assert_eq!(fixture.run(&open), failed("open", libc::EBUSY));
        lock(libc::LOCK_SH);
        assert_eq!(fixture.run(&open), "open: ok");
        fs::remove_file(&path).unwrap();
        fixture.assert_absent(&name);
    }
}

#[test]
fn anonymous_memory_is_seen_in_proc() {
    let fixture = Fixture::new();
    let ours = fixture.start(&["open", "anon:", SIZE, "c", "0600", "put", TEXT, "pause"]);
    let process = Path::new("/proc").join(ours.pid());
    let maps = fs::read_to_string(process.join("maps")).unwrap();
    assert!(maps.contains("/memfd:shmcomm (deleted)"), "{maps}");
    let descriptors = fs::read_dir(process.join("fd")).unwrap().flatten();
    let memory = descriptors
        .map(|entry| entry.path())
        .find(|path| {
            fs::read_link(path)
                .unwrap()
                .starts_with("/memfd:shmcomm (deleted)")
        })
        .expect("a descriptor");
    let content = fs::read(memory).unwrap();
    assert_eq!(content.len(), 5000);
    assert_eq!(&content[..TEXT.len()], TEXT.as_bytes());
}

#[test]
fn python_calls_the_library() {
    let Some(python) = Other::python("library.py") else {
        return;
    };
    let fixture = Fixture::new();
    let library = support::library().join("libshmcomm.so");
    let object = fixture.object.name();
    let file = format!("file:{}", fixture.sandbox.join("file").display());
    let sysv = format!("sysv:{}#0x51", fixture.sandbox.path().display());
    let names = [&sysv[..], &object, &file];
    let mut command = python.command(&[library.to_str().unwrap()]);
    command
        .args(names)
        .env("COMM_PATH_NAME", fixture.sandbox.path());
    let each = "None File exists 5000 how are you\n0 0\n0 -1 No such file or directory\n";
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        call(&mut command),
        format!("version {version}\n{}fine 0\n0", each.repeat(names.len()))
    );
    assert_eq!(fixture.sandbox.segments(), []);
}
