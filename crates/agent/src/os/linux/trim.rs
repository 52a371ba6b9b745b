//! Release of memory that only the start of a program needed.

use std::fs;

/// Upper bound on the mappings that are read; a program has a few dozen.
const MAPPINGS: usize = 4_096;

/// Releases this program's code from memory; code that is needed again is read from the page cache.
///
/// A helper runs a lot of code once, to start, and then waits for hours. Only mappings that are
/// executable and not writable are released, because their content is that of the file.
pub fn release_code() {
    // Without `/proc`, no mapping is found, and nothing is released.
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    for line in maps.lines().take(MAPPINGS) {
        let mut fields = line.split_ascii_whitespace();
        let (Some(range), Some(rights), Some(file)) = (fields.next(), fields.next(), fields.nth(3))
        else {
            continue;
        };
        if rights == "r-xp" && file.starts_with('/') {
            release(range);
        }
    }
}

fn release(range: &str) {
    let bounds = range.split_once('-').and_then(|(start, end)| {
        Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
    });
    let Some((start, end)) = bounds.filter(|(start, end)| start < end) else { return };
    let pointer = std::ptr::with_exposed_provenance_mut(start);
    #[expect(unsafe_code, reason = "memory advice takes addresses")]
    // SAFETY: a private mapping of a file that cannot be written to. Released pages are mapped
    // again, unchanged, at their next execution. If the advice fails, it has no effect.
    unsafe {
        libc::madvise(pointer, end - start, libc::MADV_DONTNEED);
    }
}

/// Makes all threads allocate from one arena.
///
/// Each further arena costs a mapping and a system call for every few pages by which it grows, and
/// a process that supervises one run has threads which only wait for each other.
///
/// Other C libraries than GNU's have no arenas.
pub fn use_one_arena() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "a setting of the C library")]
    // SAFETY: takes numbers. If it fails, threads have arenas of their own.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
