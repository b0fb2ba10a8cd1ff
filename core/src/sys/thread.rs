//! Thread-local memory.

use core::sync::atomic::AtomicU64;

/// Words of the calling thread: 0 when the thread starts, unchanged in a child of a fork. A child of
/// `vfork(2)` shares them with its parent, and so does a thread that `clone(2)` created without
/// CLONE_SETTLS, in which the C library itself does not work.
pub type ThreadWords = [AtomicU64; 3];

/// Calls a function with the calling thread's words, without a system call. Other processors than these
/// two have no such words: the function gets zeros each time.
#[inline(always)]
pub fn with_thread_words<T>(work: impl FnOnce(&ThreadWords) -> T) -> T {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        // SAFETY: of this size, aligned, any bytes are valid, and they last as long as the thread.
        work(unsafe { &*address() })
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    work(&ThreadWords::default())
}

// Stable Rust has thread-local variables in `std` only, so this one is in assembly. It is reached by a TLS
// descriptor, which needs no import and works in a program, a linked library and a library loaded by
// dlopen(3); the initial-exec model fails in the last of these with musl. Linkers replace the descriptor by
// a constant where they can.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
core::arch::global_asm!(
    ".pushsection .tbss.shmcomm_thread_words, \"awT\", %nobits",
    ".balign 8",
    ".globl shmcomm_thread_words",
    ".hidden shmcomm_thread_words",
    "shmcomm_thread_words: .zero {size}",
    ".popsection",
    size = const size_of::<ThreadWords>(),
);

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn address() -> *const ThreadWords {
    let address;
    // SAFETY: the sequence that a compiler emits for such a variable; fs:0 holds the thread's base address.
    // The call preserves all other registers, but glibc before 2.40 may change vector registers.
    unsafe {
        core::arch::asm!(
            "leaq shmcomm_thread_words@tlsdesc(%rip), %rax",
            "call *shmcomm_thread_words@tlscall(%rax)",
            "addq %fs:0, %rax",
            out("rax") address,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            options(att_syntax, readonly),
        );
    }
    address
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn address() -> *const ThreadWords {
    let address;
    // SAFETY: the sequence that a compiler emits for such a variable. The call preserves all other registers.
    unsafe {
        core::arch::asm!(
            "adrp x0, :tlsdesc:shmcomm_thread_words",
            "ldr x1, [x0, :tlsdesc_lo12:shmcomm_thread_words]",
            "add x0, x0, :tlsdesc_lo12:shmcomm_thread_words",
            ".tlsdesccall shmcomm_thread_words",
            "blr x1",
            "mrs x1, tpidr_el0",
            "add x0, x0, x1",
            out("x0") address,
            out("x1") _,
            out("x30") _,
            options(readonly),
        );
    }
    address
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn each_thread_has_words_of_its_own_that_are_zero_at_first() {
        for value in 1..100 {
            std::thread::spawn(move || {
                with_thread_words(|words| {
                    for word in words {
                        assert_eq!(word.load(Relaxed), 0);
                        word.store(value, Relaxed);
                    }
                });
                let seen = with_thread_words(|words| words.each_ref().map(|w| w.load(Relaxed)));
                assert_eq!(seen, [value; 3]);
            })
            .join()
            .unwrap();
        }
    }
}
