//! Giving back what was only needed to start.

use std::fs;

/// The most mappings that are looked at: a program has a few dozen.
const MAPPINGS: usize = 4_096;

/// Lets go of this program's code in memory; what is needed again is read from the page cache.
///
/// A helper runs a lot of code once, to start, and then waits for hours. Only mappings that are
/// executable and cannot be written are concerned: they are as they are in the file.
pub fn release_code() {
    // Where there is no /proc there is nothing to be found, and nothing is lost by that.
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
    // SAFETY: a private mapping of a file that nobody can write to: what is let go is mapped again,
    // unchanged, when it is executed next. The advice fails without effect on anything else.
    unsafe {
        libc::madvise(pointer, end - start, libc::MADV_DONTNEED);
    }
}
