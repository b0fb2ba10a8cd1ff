//! The C edge of shmcomm: it checks for NULL, converts arguments, calls the core, and maps the
//! result. All logic is in the package `shmcomm`.
//!
//! The promise of a C caller stands in the preamble of `shmcomm.h` and is the reason of the unsafe
//! blocks here: a pointer is NULL or valid, a handle is NULL or open. A handle was returned by the
//! function that opens its type.
#![no_std]

#[cfg(feature = "shmcomm")]
mod channel;
mod comm;
#[cfg(feature = "shmcomm")]
mod errno;
#[cfg(feature = "shmcomm")]
mod heap;
#[cfg(feature = "shmcomm")]
mod open;
#[cfg(feature = "shmcomm")]
mod segment;
#[cfg(feature = "shmcomm")]
mod sync;
#[cfg(feature = "shmcomm")]
mod topic;
#[cfg(feature = "shmcomm")]
mod version;

use core::panic::PanicInfo;

/// Nothing in this library panics: with the feature `prove-panic-free` the linker proves it.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        #[cfg_attr(not(feature = "prove-panic-free"), link_name = "abort")]
        safe fn shmcomm_has_a_path_to_a_panic() -> !;
    }
    shmcomm_has_a_path_to_a_panic()
}

/// Without link-time optimisation, the precompiled `core` refers to an unwinder that nothing calls.
#[cfg(debug_assertions)]
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
