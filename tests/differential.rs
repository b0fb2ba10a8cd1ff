//! Random sequences of valid and invalid calls, on the library and on a C `comm.c`. Both return the
//! same results, set the same errno, print the same text and leave the same state in the kernel.

mod support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::Path;
use std::rc::Rc;
use std::{env, fs};

use libloading::Library;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::{Sandbox, Segment};

/// A call. Its ids and addresses are indices into the lists of those returned so far.
#[derive(Clone, Debug)]
enum Op {
    Create(c_int),
    Get,
    Attach(Id),
    Detach(Address),
    Destroy(Id),
    /// Renames the path of the key, or restores it.
    MovePath,
}

#[derive(Clone, Debug)]
enum Id {
    /// An id that was returned before. Its segment may have been removed since.
    Known(usize),
    /// An id that no segment has.
    Bad(c_int),
}

#[derive(Clone, Debug)]
enum Address {
    /// An attached address, plus a number of bytes.
    Known(usize, usize),
    /// A detached address.
    Gone(usize),
    Bad(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let size = prop_oneof![
        4 => 1..20_000,
        1 => prop::sample::select(vec![0, 4095, 4096, 4097, 1 << 28]),
        1 => prop::sample::select(vec![-1, -2, -4096, c_int::MIN]),
    ];
    let id = prop_oneof![
        5 => any::<usize>().prop_map(Id::Known),
        1 => prop::sample::select(vec![-1, -2, c_int::MIN, c_int::MAX]).prop_map(Id::Bad),
    ];
    let offset = prop_oneof![5 => Just(0), 1 => prop::sample::select(vec![1, 8, 4095])];
    let address = prop_oneof![
        5 => (any::<usize>(), offset).prop_map(|(known, offset)| Address::Known(known, offset)),
        1 => any::<usize>().prop_map(Address::Gone),
        1 => prop::sample::select(vec![0, 1, 4096, usize::MAX, usize::MAX - 4095])
            .prop_map(Address::Bad),
    ];
    let op = prop_oneof![
        4 => size.prop_map(Op::Create),
        3 => Just(Op::Get),
        4 => id.clone().prop_map(Op::Attach),
        3 => address.prop_map(Op::Detach),
        3 => id.prop_map(Op::Destroy),
        1 => Just(Op::MovePath),
    ];
    prop::collection::vec(op, 1..40)
}

/// One of the two libraries, with its own key and the ids and addresses that it returned.
struct Side {
    library: Library,
    errno: fn(&Library) -> c_int,
    sandbox: Sandbox,
    stderr: File,
    ids: Vec<c_int>,
    addresses: Vec<usize>,
    gone: Vec<usize>,
    /// The addresses that both sides have attached. The kernel may give an address that one side
    /// detached to the other side.
    attached: Rc<RefCell<BTreeSet<usize>>>,
}

/// The visible effects of a call. Ids and addresses differ between the two sides, so only their
/// presence is compared.
#[derive(PartialEq, Debug)]
struct Seen {
    result: Outcome,
    stderr: String,
    kernel: Vec<(bool, u32, u64, u64)>,
}

#[derive(PartialEq, Debug)]
enum Outcome {
    Id,
    Address,
    Zero,
    Failed(isize, c_int),
    Nothing,
}

impl Side {
    fn apply(&mut self, op: &Op) -> Seen {
        self.stderr.rewind().unwrap();
        self.stderr.set_len(0).unwrap();
        let result = with_stderr(&self.stderr.try_clone().unwrap(), || self.call(op));
        self.stderr.rewind().unwrap();
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).unwrap();
        let key = support::ftok(self.sandbox.path(), 0x66);
        let state = |segment: &Segment| {
            let Segment {
                mode,
                size,
                attached,
                ..
            } = *segment;
            (segment.key == key, mode, size, attached)
        };
        let mut kernel: Vec<_> = support::segments()
            .iter()
            .filter(|segment| self.ids.contains(&segment.id))
            .map(state)
            .collect();
        kernel.sort_unstable();
        Seen {
            result,
            stderr,
            kernel,
        }
    }

    fn call(&mut self, op: &Op) -> Outcome {
        // SAFETY: the declarations of comm.h.
        let (create, get, attach, detach, destroy) = unsafe {
            (
                *self
                    .library
                    .get::<extern "C" fn(c_int) -> c_int>(b"create_shm")
                    .unwrap(),
                *self
                    .library
                    .get::<extern "C" fn() -> c_int>(b"get_shm")
                    .unwrap(),
                *self
                    .library
                    .get::<extern "C" fn(c_int) -> *mut c_void>(b"shm_at")
                    .unwrap(),
                *self
                    .library
                    .get::<extern "C" fn(*mut c_void) -> c_int>(b"shm_dt")
                    .unwrap(),
                *self
                    .library
                    .get::<extern "C" fn(c_int) -> c_int>(b"destory_shm")
                    .unwrap(),
            )
        };
        match *op {
            Op::Create(size) => {
                let id = create(size);
                self.id(id)
            }
            Op::Get => {
                let id = get();
                self.id(id)
            }
            Op::Attach(ref id) => {
                let address = attach(self.id_of(id)).addr();
                if address == usize::MAX {
                    return self.failed(-1);
                }
                self.addresses.push(address);
                self.attached.borrow_mut().insert(address);
                Outcome::Address
            }
            Op::Detach(ref address) => {
                let address = self.address_of(address);
                let result = detach(std::ptr::without_provenance_mut(address));
                if result == 0 {
                    self.addresses.retain(|attached| *attached != address);
                    self.attached.borrow_mut().remove(&address);
                    self.gone.push(address);
                }
                self.zero(result)
            }
            Op::Destroy(ref id) => {
                let result = destroy(self.id_of(id));
                self.zero(result)
            }
            Op::MovePath => {
                let aside = self.sandbox.path().with_extension("aside");
                if fs::rename(&aside, self.sandbox.path()).is_err() {
                    fs::rename(self.sandbox.path(), aside).unwrap();
                }
                Outcome::Nothing
            }
        }
    }

    fn id_of(&self, id: &Id) -> c_int {
        match *id {
            Id::Bad(id) => id,
            Id::Known(place) => pick(&self.ids, place).unwrap_or(-3),
        }
    }

    fn address_of(&self, address: &Address) -> usize {
        match *address {
            Address::Bad(address) => address,
            Address::Known(place, offset) => {
                pick(&self.addresses, place).map_or(2, |address| address + offset)
            }
            Address::Gone(place) => pick(&self.gone, place)
                .filter(|address| !self.attached.borrow().contains(address))
                .unwrap_or(2),
        }
    }

    fn id(&mut self, result: c_int) -> Outcome {
        if result < 0 {
            return self.failed(result);
        }
        self.ids.push(result);
        Outcome::Id
    }

    fn zero(&self, result: c_int) -> Outcome {
        match result {
            0 => Outcome::Zero,
            result => self.failed(result),
        }
    }

    fn failed(&self, result: c_int) -> Outcome {
        Outcome::Failed(result as isize, (self.errno)(&self.library))
    }

    /// Detaches and removes all segments of a sequence.
    fn clear(&mut self) {
        let _ = fs::rename(
            self.sandbox.path().with_extension("aside"),
            self.sandbox.path(),
        );
        for address in self.addresses.drain(..) {
            // SAFETY: no code uses the memory.
            unsafe { libc::shmdt(std::ptr::without_provenance(address)) };
            self.attached.borrow_mut().remove(&address);
        }
        self.gone.clear();
        for id in self.ids.drain(..) {
            // SAFETY: takes no buffer; an id that is removed already is refused.
            unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.clear();
    }
}

fn pick<T: Copy>(made: &[T], place: usize) -> Option<T> {
    made.get(place.checked_rem(made.len())?).copied()
}

/// Runs `call` while descriptor 2 is `file`.
fn with_stderr<T>(file: &File, call: impl FnOnce() -> T) -> T {
    // SAFETY: the descriptors are open, and nothing else in this process uses descriptor 2 now.
    unsafe {
        let stderr = libc::dup(2);
        libc::dup2(file.as_raw_fd(), 2);
        let result = call();
        libc::dup2(stderr, 2);
        libc::close(stderr);
        result
    }
}

fn memory_file() -> File {
    // SAFETY: the name ends with NUL; the descriptor is new.
    unsafe { File::from_raw_fd(libc::memfd_create(c"stderr".as_ptr(), libc::MFD_CLOEXEC)) }
}

fn side(
    library: &Path,
    sandbox: Sandbox,
    errno: fn(&Library) -> c_int,
    attached: Rc<RefCell<BTreeSet<usize>>>,
) -> Side {
    Side {
        // SAFETY: both have only the compiler's initialisers.
        library: unsafe { Library::new(library.join("libshmcomm.so")) }.unwrap(),
        errno,
        sandbox,
        stderr: memory_file(),
        ids: Vec::new(),
        addresses: Vec::new(),
        gone: Vec::new(),
        attached,
    }
}

fn errno_of_thread(_: &Library) -> c_int {
    // SAFETY: this thread's errno.
    unsafe { *libc::__errno_location() }
}

fn errno_of_reference(library: &Library) -> c_int {
    // SAFETY: `int reference_errno;` of the reference.
    let before_perror = unsafe { library.get::<*mut c_int>(b"reference_errno").unwrap() };
    // SAFETY: as above; no other thread uses it.
    match unsafe { before_perror.replace(0) } {
        // The functions that print nothing do not set it.
        0 => errno_of_thread(library),
        errno => errno,
    }
}

#[test]
fn the_library_does_what_a_c_version_does() {
    let builds = Sandbox::new();
    let (for_c, for_rust) = (Sandbox::new(), Sandbox::new());
    support::build_reference(for_c.path(), &builds.join("libshmcomm.so"));
    // SAFETY: the only test of this process.
    unsafe { env::set_var("COMM_PATH_NAME", for_rust.path()) };

    let attached = Rc::default();
    let c = side(
        builds.path(),
        for_c,
        errno_of_reference,
        Rc::clone(&attached),
    );
    let rust = side(support::library(), for_rust, errno_of_thread, attached);
    let (c, rust) = (RefCell::new(c), RefCell::new(rust));
    let seen = RefCell::new(BTreeMap::<String, u32>::new());
    let config = Config {
        cases: if support::all() { 3000 } else { 1000 },
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&ops(), |ops| {
        let (mut c, mut rust) = (c.borrow_mut(), rust.borrow_mut());
        c.clear();
        rust.clear();
        for op in &ops {
            let (expected, got) = (c.apply(op), rust.apply(op));
            prop_assert_eq!(&expected, &got, "{:?}", op);
            let kind = format!("{op:?}").split('(').next().unwrap().to_owned();
            let case = format!("{kind} {:?}", got.result);
            *seen.borrow_mut().entry(case).or_default() += 1;
        }
        Ok(())
    });
    result.unwrap();
    let seen = seen.into_inner();
    // The sequences must reach each of these cases.
    for case in [
        "Create Id",
        "Create Failed(-1, 2)",
        "Create Failed(-2, 17)",
        "Create Failed(-2, 22)",
        "Get Id",
        "Get Failed(-1, 2)",
        "Get Failed(-2, 22)",
        "Attach Address",
        "Attach Failed(-1, 22)",
        "Detach Zero",
        "Detach Failed(-1, 22)",
        "Destroy Zero",
        "Destroy Failed(-1, 22)",
    ] {
        assert!(seen.contains_key(case), "{case} is not among {seen:?}");
    }
}
