//! As another user, and where `/proc` hides processes, the tool says what it cannot see, and removes nothing.

use std::ffi::CString;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::{fs, io};

use shmcomm::Side;

use crate::support::*;

const NOBODY: u32 = 65534;

/// A copy of the tool that every user may run.
struct Copy(PathBuf);

impl Copy {
    fn new() -> Self {
        let directory =
            std::env::temp_dir().join(format!("shmcomm-tool-users-{}", std::process::id()));
        let _ = fs::create_dir(&directory);
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = directory.join(format!("shmcomm-{number}"));
        fs::copy(TOOL, &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    /// The tool as nobody; `hidden` in a mount namespace whose /proc hides the processes of others.
    fn command(&self, arguments: &[&str], hidden: bool) -> Command {
        let mut command = Command::new(&self.0);
        command.args(arguments).current_dir("/");
        // SAFETY: makes system calls alone.
        unsafe {
            command.pre_exec(move || {
                if hidden {
                    hide_processes()?;
                }
                if libc::setgroups(0, std::ptr::null()) != 0
                    || libc::setgid(NOBODY) != 0
                    || libc::setuid(NOBODY) != 0
                {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        command
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_dir(self.0.parent().unwrap());
    }
}

fn hide_processes() -> io::Result<()> {
    const NONE: *const libc::c_char = std::ptr::null();
    // SAFETY: the texts end with NUL.
    let is_done = unsafe {
        let (proc, options) = (c"proc".as_ptr(), c"hidepid=2".as_ptr());
        let private = libc::MS_REC | libc::MS_PRIVATE;
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(NONE, c"/".as_ptr(), NONE, private, NONE.cast()) == 0
            && libc::mount(proc, c"/proc".as_ptr(), proc, 0, options.cast()) == 0
    };
    match is_done {
        true => Ok(()),
        false => Err(io::Error::last_os_error()),
    }
}

fn set_mode(object: &Object, mode: u32) {
    fs::set_permissions(object.path(), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn another_user_is_told_what_it_cannot_see() {
    if !is_root() {
        return skip("only root can be another user");
    }
    let (copy, object, private) = (Copy::new(), Object::new(), Object::new());
    object.stale_channel(&[]);
    private.stale_channel(&[]);
    set_mode(&object, 0o644);
    let run = |arguments: &[&str]| output(&mut copy.command(arguments, false));
    let name = object.text();

    let (stdout, ..) = run(&["check", &name]);
    assert!(stdout.contains(" foreign it belongs to root"), "{stdout}");
    let (stdout, _, status) = run(&["clean", "--yes", &name]);
    assert!(
        stdout.contains(" kept it belongs to another user") && status == 1,
        "{stdout}"
    );
    let (stdout, stderr, _) = run(&["ls"]);
    assert!(
        stdout.contains(&name) && !stdout.contains(&private.text()),
        "{stdout}"
    );
    assert!(
        stderr.contains("may not read") && stderr.contains("--all"),
        "{stderr}"
    );
    let (stdout, ..) = run(&["info", &private.text()]);
    assert!(
        stdout.contains("foreign: this user may not read it"),
        "{stdout}"
    );

    let _sender = object.channel(Side::Sender);
    let (stdout, stderr, _) = run(&["ls", &name]);
    assert!(stdout.contains(" sender:?,receiver:- used"), "{stdout}");
    assert!(stderr.contains("may not look into"), "{stderr}");
    let (_, stderr, status) = run(&["who", &name]);
    assert!(
        status == 1 && stderr.contains("may not look into"),
        "{stderr}"
    );
    assert!(object.path().exists() && private.path().exists());
}

#[test]
fn hidden_processes_are_said_to_be_hidden() {
    if !is_root() {
        return skip("only root can hide processes");
    }
    let (copy, object) = (Copy::new(), Object::new());
    object.stale_segment();
    set_mode(&object, 0o644);
    let path = CString::new(object.path().to_str().unwrap()).unwrap();
    // SAFETY: the path ends with NUL.
    assert_eq!(unsafe { libc::chown(path.as_ptr(), NOBODY, NOBODY) }, 0);
    let mut who = copy.command(&["who", &object.text()], true);
    if let Err(error) = who.output() {
        return skip(&format!("no /proc can be mounted: {error}"));
    }
    // The tool that another test starts as this user may look at the object.
    assert_becomes((true, 1), || {
        let (_, stderr, status) = output(&mut who);
        (stderr.contains("/proc hides the processes"), status)
    });

    // A living creator, which /proc hides, is not taken for a dead one.
    let living = Object::new();
    living.idle_segment();
    let path = CString::new(living.path().to_str().unwrap()).unwrap();
    // SAFETY: the path ends with NUL.
    assert_eq!(unsafe { libc::chown(path.as_ptr(), NOBODY, NOBODY) }, 0);
    let (stdout, _, status) = output(&mut copy.command(&["clean", "--yes", &living.text()], true));
    assert!(
        stdout.contains(" kept its creator is unknown") && status == 1,
        "{stdout}"
    );
    assert!(living.path().exists());
}
