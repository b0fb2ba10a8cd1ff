//! The C edge of shmcomm: it converts arguments, calls the core, and maps the result. All logic is
//! in the package `shmcomm`.
#![no_std]

mod channel;
mod comm;
mod errno;
mod exchange;
mod heap;
mod segment;

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

/// Without link-time optimisation, what is precompiled of `core` asks for an unwinder, which nothing
/// ever calls.
#[cfg(debug_assertions)]
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
