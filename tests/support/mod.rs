//! Helpers of the black-box tests: the library as a C programmer gets it, C programs linked with
//! it, and unique keys.
#![allow(dead_code, unused_imports)]

pub mod channel;
pub mod driver;
mod library;
pub mod make;
pub mod measure;
mod one_core;
mod program;
pub mod ptrace;
pub mod segment;

use std::ffi::{CString, OsStr};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, io};

pub use library::{
    build_library, build_library_with, build_reference, cargo, library, may_rebuild,
};
pub use measure::{Progress, all, median, spread, spread_of_waits, timed, within};
pub use program::{Link, build, cc, once, preload, program, source};

/// A directory that cargo gives the tests, inside its target directory.
pub const TEMPORARY: &str = env!("CARGO_TARGET_TMPDIR");
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Runs commands at the same time. Returns what each printed.
pub fn outputs_of(commands: impl IntoIterator<Item = Command>) -> Vec<String> {
    let start = |mut command: Command| command.stdout(Stdio::piped()).spawn().unwrap();
    let children: Vec<_> = commands.into_iter().map(start).collect();
    children
        .into_iter()
        .map(|child| stdout(&child.wait_with_output().unwrap()))
        .collect()
}

/// Runs a script in new namespaces, with the program as `$0`. `None`, with the reason, if `unshare`
/// is missing or the system refuses.
pub fn in_namespaces(
    sandbox: &Sandbox,
    namespaces: &[&str],
    script: &str,
    program: &Path,
    arguments: &[&OsStr],
) -> Option<Output> {
    if !has("unshare") {
        return None;
    }
    let mut command = sandbox.command("unshare");
    command.args(["--user", "--map-root-user"]).args(namespaces);
    command
        .args(["sh", "-c", script])
        .arg(program)
        .args(arguments);
    let output = command.output().unwrap();
    let refusal = stderr(&output);
    if refusal.contains("unshare:") {
        skip(refusal.trim());
        return None;
    }
    Some(output)
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{:?} {:?}: {}\n{}{}",
        command.get_program(),
        command.get_args().collect::<Vec<_>>(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Reports on stderr that a test, or a part of it, does not run here.
///
/// With `SHMCOMM_TEST_ALL`, which continuous integration sets, a missing tool is a failure.
pub fn skip_without(tool: &str) {
    assert!(!all(), "{tool} is not installed");
    skip(&format!("{tool} is not installed"));
}

pub fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("").to_owned();
    // Not eprintln!, whose output is not shown for a test that passes.
    let _ = writeln!(io::stderr(), "SKIPPED {test}: {reason}");
}

/// Whether a program is installed. If it is not, reports that the test skips a part.
pub fn has(tool: &str) -> bool {
    let found = is_installed(tool);
    if !found {
        skip_without(tool);
    }
    found
}

pub fn is_installed(tool: &str) -> bool {
    find(tool).is_some()
}

/// The file that a program's name stands for.
pub fn find(tool: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .map(|directory| directory.join(tool))
        .find(|file| file.is_file())
}

/// A unique directory, whose files have unique keys. The directory and the segments of those keys
/// are removed when the test ends, also if the test fails.
pub struct Sandbox(PathBuf);

impl Sandbox {
    pub fn new() -> Self {
        let sandboxes = Path::new(TEMPORARY).join("sandboxes");
        fs::create_dir_all(&sandboxes).unwrap();
        Self::below(&sandboxes, "")
    }

    /// A sandbox that other users can reach, unlike a clone in a home directory.
    pub fn for_all_users() -> Self {
        let everybody = |path: &Path| {
            let mode = |path: &Path| Some(fs::metadata(path).ok()?.permissions().mode());
            path.ancestors()
                .all(|path| mode(path).is_some_and(|mode| mode & 0o001 != 0))
        };
        let candidates = [env::temp_dir(), "/tmp".into(), "/var/tmp".into()];
        let reached = candidates.iter().find(|path| everybody(path));
        let sandbox = Self::below(reached.unwrap_or(&candidates[0]), "shmcomm-test-");
        fs::set_permissions(&sandbox.0, fs::Permissions::from_mode(0o755)).unwrap();
        sandbox
    }

    fn below(sandboxes: &Path, prefix: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        sweep(sandboxes, prefix);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let directory = sandboxes.join(format!("{prefix}{}-{number}", std::process::id()));
            fs::create_dir(&directory).unwrap();
            let sandbox = Self(directory);
            // ftok takes few bits of a file's identity: another file may have the same.
            if segments_of(&sandbox.0).is_empty() {
                return sandbox;
            }
            std::mem::forget(sandbox);
        }
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// The key of the directory itself.
    pub fn key(&self) -> libc::key_t {
        ftok(&self.0, 0x66)
    }

    /// The segments of all keys of the directory.
    pub fn segments(&self) -> Vec<Segment> {
        segments_of(&self.0)
    }

    /// A program with this directory as the path of its key.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        // Cargo sets this variable, which would override the program's rpath.
        command.env_remove("LD_LIBRARY_PATH");
        for (name, _) in env::vars_os() {
            if name.as_bytes().starts_with(b"COMM_") {
                command.env_remove(name);
            }
        }
        command.env("COMM_PATH_NAME", &self.0);
        command
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        clear(&self.0);
    }
}

/// Removes the sandboxes of killed tests.
fn sweep(sandboxes: &Path, prefix: &str) {
    for left in of_killed_tests(sandboxes, prefix) {
        clear(&left);
    }
}

/// The files whose names are the prefix and the pid of an exited process.
fn of_killed_tests(directory: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let left = entries.filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name
            .strip_prefix(prefix)
            .and_then(|rest| rest.split('-').next()?.parse().ok());
        pid.is_some_and(|pid: i32| {
            // SAFETY: signal 0 is never delivered.
            unsafe { libc::kill(pid, 0) == -1 && *libc::__errno_location() == libc::ESRCH }
        })
    });
    left.map(|entry| entry.path()).collect()
}

/// A unique POSIX name. Its object is removed when the test ends, also if the test fails.
pub struct ObjectName(PathBuf);

impl ObjectName {
    pub fn new() -> Self {
        const PREFIX: &str = "shmcomm-test-";
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let directory = Path::new("/dev/shm");
        for left in of_killed_tests(directory, PREFIX) {
            let _ = fs::remove_file(left);
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // Of one width, so that no name is a prefix of another.
        Self(directory.join(format!("{PREFIX}{}-{number:04}", std::process::id())))
    }

    /// The file of the object.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Removes the object, if there is one.
    pub fn remove(&self) {
        let _ = fs::remove_file(&self.0);
    }

    /// The name as the library takes it.
    pub fn name(&self) -> String {
        format!("posix:/{}", self.0.file_name().unwrap().display())
    }
}

impl Drop for ObjectName {
    fn drop(&mut self) {
        self.remove();
    }
}

fn clear(directory: &Path) {
    for segment in segments_of(directory) {
        // SAFETY: takes no buffer.
        unsafe { libc::shmctl(segment.id, libc::IPC_RMID, std::ptr::null_mut()) };
    }
    let _ = fs::remove_dir_all(directory);
}

/// The segments whose keys come from this directory, with any project id.
fn segments_of(directory: &Path) -> Vec<Segment> {
    const PATH_BITS: libc::key_t = 0x00ff_ffff;
    let key = ftok(directory, 0) & PATH_BITS;
    let mut segments = segments();
    segments.retain(|segment| segment.key != 0 && segment.key & PATH_BITS == key);
    segments
}

pub fn ftok(path: &Path, id: i32) -> libc::key_t {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path ends with NUL.
    unsafe { libc::ftok(path.as_ptr(), id) }
}

/// A line of `/proc/sysvipc/shm`.
#[derive(Clone, PartialEq, Debug)]
pub struct Segment {
    pub key: libc::key_t,
    pub id: i32,
    /// Permission bits, and 01000 if it is removed but still attached.
    pub mode: u32,
    pub size: u64,
    pub creator: i32,
    pub attached: u64,
    pub uid: u32,
}

pub fn segments() -> Vec<Segment> {
    let text = fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let parse = |line: &str| {
        let mut fields = line.split_whitespace();
        let mut field = || fields.next().unwrap();
        Segment {
            key: field().parse().unwrap(),
            id: field().parse().unwrap(),
            mode: u32::from_str_radix(field(), 8).unwrap(),
            size: field().parse().unwrap(),
            creator: field().parse().unwrap(),
            attached: (field(), field()).1.parse().unwrap(),
            uid: field().parse().unwrap(),
        }
    };
    text.lines().skip(1).map(parse).collect()
}

/// The segment with this key.
pub fn segment(key: libc::key_t) -> Option<Segment> {
    segments().into_iter().find(|segment| segment.key == key)
}

/// A process that is killed when the test ends.
pub struct Child(pub std::process::Child);

impl Child {
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub const NOBODY: u32 = 65534;

pub fn is_root() -> bool {
    // SAFETY: takes no argument.
    unsafe { libc::geteuid() == 0 }
}

/// Makes another user the owner of a segment; only root can.
pub fn give_to_nobody(id: i32) {
    // SAFETY: all zeros are a valid value.
    let mut info: libc::shmid_ds = unsafe { std::mem::zeroed() };
    // SAFETY: the buffer is of the type that both calls take.
    unsafe {
        assert_eq!(libc::shmctl(id, libc::IPC_STAT, &mut info), 0);
        info.shm_perm.uid = NOBODY;
        assert_eq!(libc::shmctl(id, libc::IPC_SET, &mut info), 0);
    }
}
