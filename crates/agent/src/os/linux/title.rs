//! Arguments and environment of a copied helper, as other processes see them.
//!
//! The kernel shows the memory in which they were when the program started. A copy of a launcher
//! has the launcher's there, which may have secrets in them, and the marks of another run.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read as _};

use errand_model::RunId;

use super::fork;
use super::spawn::environment;
use super::tree::HELPER_MARK;

/// Name of a helper in lists of processes; the kernel keeps 15 bytes.
const NAME: &std::ffi::CStr = c"errand-helper";
/// Longest line of `/proc/self/stat`.
const STAT_BYTES: u64 = 4_096;
/// Position of `arg_start` in that line, counted from the field after the name; the ends of the
/// arguments, and the beginning and end of the environment follow.
const ARG_START: usize = 45;

/// Addresses of a part of this process's memory.
#[derive(Clone, Copy, Debug)]
struct Area {
    start: usize,
    end: usize,
}

#[expect(unsafe_code, reason = "a variable of the C library")]
unsafe extern "C" {
    static mut environ: *const *const libc::c_char;
}

/// Shows this process as the helper of `run_id`, and keeps only the variables `kept`: other processes
/// see them, and programs that it starts get them.
///
/// # Errors
///
/// If there are other threads, which may read the environment, if `/proc` cannot be read, or if there
/// is no room for the mark; nothing was changed then.
#[expect(unsafe_code, reason = "arguments and environment are memory of the C library")]
pub fn show_as_helper(run_id: &RunId, kept: &[(OsString, OsString)]) -> io::Result<()> {
    if !fork::is_only_thread()? {
        return Err(io::Error::other("other threads may read the environment"));
    }
    let (arguments, variables) = areas()?;
    let mut shown = [HELPER_MARK, run_id.as_str().as_bytes(), b"\0"].concat();
    let room = variables.end - variables.start;
    if room < shown.len() {
        return Err(io::Error::new(io::ErrorKind::OutOfMemory, "no room for the helper's mark"));
    }
    let title = format!("errand internal run-record {run_id}");
    // The variables live as long as the process, as the C library expects.
    let kept: &'static [CString] = Vec::leak(environment(kept)?);
    for variable in kept {
        let bytes = variable.as_bytes_with_nul();
        if shown.len() + bytes.len() <= room {
            shown.extend_from_slice(bytes);
        }
    }
    let mut pointers: Vec<*const libc::c_char> = kept.iter().map(|text| text.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let pointers: &'static [*const libc::c_char] = Vec::leak(pointers);
    // SAFETY: this thread is the only one, so no other reads the environment meanwhile, and there
    // is no reference to the memory of the arguments: Rust copies them when they are asked for.
    unsafe {
        environ = pointers.as_ptr();
        fill(arguments, title.as_bytes());
        fill(variables, &shown);
        libc::prctl(libc::PR_SET_NAME, NAME.as_ptr());
    }
    Ok(())
}

/// Writes as much of `text` as there is room for, and zeros behind it.
///
/// # Safety
///
/// The area is writable memory to which there is no reference.
#[expect(unsafe_code, reason = "the area is known by its addresses only")]
unsafe fn fill(area: Area, text: &[u8]) {
    let room = area.end - area.start;
    let pointer = std::ptr::with_exposed_provenance_mut::<u8>(area.start);
    // The last byte stays zero, as the kernel expects.
    let length = text.len().min(room.saturating_sub(1));
    // SAFETY: the caller's promise; `length` is at most `room`.
    unsafe {
        std::ptr::write_bytes(pointer, 0, room);
        std::ptr::copy_nonoverlapping(text.as_ptr(), pointer, length);
    }
}

/// Returns the areas of arguments and environment.
fn areas() -> io::Result<(Area, Area)> {
    let mut line = String::new();
    File::open("/proc/self/stat")?.take(STAT_BYTES).read_to_string(&mut line)?;
    let fields = line.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut addresses = fields.split_ascii_whitespace().skip(ARG_START).map(str::parse::<usize>);
    let mut next = || match addresses.next() {
        Some(Ok(address)) if address > 0 => Ok(address),
        Some(_) | None => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "/proc/self/stat does not show where the arguments are",
        )),
    };
    let arguments = Area { start: next()?, end: next()? };
    let variables = Area { start: next()?, end: next()? };
    if arguments.start > arguments.end || variables.start > variables.end {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((arguments, variables))
}
