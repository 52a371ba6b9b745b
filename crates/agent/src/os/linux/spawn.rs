//! Spawning of processes, as `posix_spawn` does it: the child borrows this process's memory until
//! it executes its program. No page table is copied, and the child reports an error by writing a
//! variable.

use std::ffi::{CString, OsStr, OsString, c_char, c_int, c_void};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::ptr;

use super::confine::{Confinement, RefusedPart};

/// Stack of the child between clone and exec, which makes only system calls.
const CHILD_STACK_BYTES: usize = 64 * 1_024;
/// Highest signal number of Linux on all architectures that Rust supports, except MIPS.
pub(super) const LAST_SIGNAL: c_int = 64;
/// The kernel's `struct sigaction` for the default action: zeros, and longer than needed. It is
/// passed to the kernel directly, because the C library reserves two signals for itself.
pub(super) const DEFAULT_ACTION: [u64; 8] = [0; 8];
/// First file descriptor after stdin, stdout and stderr.
pub(super) const FIRST_FD: libc::c_uint = 3;

/// Everything with which a leader is started; it inherits nothing else.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// Files to try in turn, as in a search through `PATH`.
    pub(crate) candidates: Vec<CString>,
    pub(crate) argv: Vec<CString>,
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: CString,
    /// Stdin, stdout and stderr; each above 2.
    pub(crate) stdio: [BorrowedFd<'a>; 3],
    pub(crate) lifetime: Lifetime,
    /// Restrictions; `None`: the process may do what its user may.
    pub(crate) confinement: Option<&'a Confinement>,
}

/// Latest end of a new process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// The process ends with the thread that started it.
    OfParent,
    /// The process ends by itself.
    Own,
}

/// A leader that executes its program.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
}

/// Reason for a failed launch; no process is left behind.
#[derive(Debug)]
pub(crate) enum LaunchError {
    /// The working directory cannot be entered.
    Directory(io::Error),
    /// The kernel refuses a part of the confinement; `None`: its namespaces.
    Confinement(Option<RefusedPart>, io::Error),
    /// No candidate can be executed; the most informative error.
    Program(io::Error),
    /// No process could be created.
    Other(io::Error),
}

/// Data that parent and child share until the child has executed its program.
struct Shared<'a> {
    candidates: Vec<*const c_char>,
    argv: Vec<*const c_char>,
    env: Vec<*const c_char>,
    cwd: *const c_char,
    stdio: [c_int; 3],
    parent: libc::pid_t,
    lifetime: Lifetime,
    confinement: Option<&'a Confinement>,
    failed_at: Stage,
    errno: c_int,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    None,
    Setup,
    Confinement(RefusedPart),
    Directory,
    Program,
}

/// Starts a process: own session, clean signals, no inherited file descriptors. Returns once its
/// program runs.
#[expect(unsafe_code, reason = "clone with shared memory has no safe wrapper")]
pub(crate) fn launch(launch: &Launch<'_>) -> Result<Launched, LaunchError> {
    let mut shared = Shared {
        candidates: pointers(&launch.candidates),
        argv: pointers(&launch.argv),
        env: pointers(&launch.env),
        cwd: launch.cwd.as_ptr(),
        stdio: launch.stdio.map(|fd| fd.as_raw_fd()),
        parent: rustix::process::getpid().as_raw_nonzero().get(),
        lifetime: launch.lifetime,
        confinement: launch.confinement,
        failed_at: Stage::None,
        errno: 0,
    };
    let mut stack: Vec<u128> = Vec::with_capacity(CHILD_STACK_BYTES / size_of::<u128>());
    let mut pidfd: c_int = -1;
    let namespaces = launch.confinement.map_or(0, Confinement::clone_flags);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD | namespaces;
    // SAFETY: this function owns the stack, which is aligned to 16 bytes and, as is `shared`,
    // outlives the child's use of it: CLONE_VFORK suspends this thread until the child has executed
    // a program or ended. All signals are blocked meanwhile, so that no signal handler runs in the
    // child.
    let (pid, error) = unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let top = stack.as_mut_ptr().add(stack.capacity()).cast::<c_void>();
        let arg = (&raw mut shared).cast::<c_void>();
        let pid = libc::clone(child, top, flags, arg, &raw mut pidfd);
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        (pid, error)
    };
    let Ok(launched) = u32::try_from(pid) else {
        return Err(match namespaces {
            0 => LaunchError::Other(error),
            _ => LaunchError::Confinement(None, error),
        });
    };
    // SAFETY: clone succeeded, so the kernel stored a new descriptor that has no other owner.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    // SAFETY: `shared` lives; the child wrote to it through the pointer that was passed to clone.
    let (stage, errno) = unsafe {
        (
            ptr::read_volatile(&raw const shared.failed_at),
            ptr::read_volatile(&raw const shared.errno),
        )
    };
    if stage == Stage::None {
        return Ok(Launched { pid: launched, pidfd });
    }
    // SAFETY: plain system call; the child has ended, and only this function reaps it.
    unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
    let error = io::Error::from_raw_os_error(errno);
    Err(match stage {
        Stage::Directory => LaunchError::Directory(error),
        Stage::Confinement(part) => LaunchError::Confinement(Some(part), error),
        Stage::Program => LaunchError::Program(error),
        Stage::Setup | Stage::None => LaunchError::Other(error),
    })
}

/// Makes a process with this confinement that executes nothing, and ends.
///
/// # Errors
///
/// Part that the kernel refused; `None`: its namespaces.
pub(crate) fn try_confinement(
    confinement: &Confinement,
) -> Result<(), (Option<RefusedPart>, io::Error)> {
    let failed = |error: io::Error| (None, error);
    let nothing = above_stdio(File::open("/dev/null").map_err(failed)?.into()).map_err(failed)?;
    let tried = launch(&Launch {
        candidates: Vec::new(),
        argv: Vec::new(),
        env: Vec::new(),
        cwd: c"/".into(),
        stdio: [nothing.as_fd(); 3],
        lifetime: Lifetime::OfParent,
        confinement: Some(confinement),
    });
    match tried {
        Err(LaunchError::Confinement(part, error)) => Err((part, error)),
        Err(LaunchError::Directory(error) | LaunchError::Other(error)) => Err((None, error)),
        // There is no program to execute.
        Err(LaunchError::Program(_)) | Ok(_) => Ok(()),
    }
}

/// Returns pointers to `strings`, terminated by a null pointer.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// Runs in the child, in the parent's memory: system calls only, no allocation, no lock, no panic.
#[expect(unsafe_code, reason = "what a child does before exec is system calls")]
extern "C" fn child(arg: *mut c_void) -> c_int {
    // SAFETY: `arg` is the `Shared` of `launch`, whose thread is suspended: access is exclusive.
    let shared = unsafe { &mut *arg.cast::<Shared<'_>>() };
    let (stage, errno) = match prepare(shared) {
        Ok(()) => (Stage::Program, execute(shared)),
        Err(refused) => refused,
    };
    shared.errno = errno;
    shared.failed_at = stage;
    // SAFETY: ends only the child, without running exit handlers.
    unsafe { libc::_exit(127) }
}

/// Makes the child independent of its parent's state: session, signals, file descriptors.
#[expect(unsafe_code, reason = "what a child does before exec is system calls")]
fn prepare(shared: &Shared<'_>) -> Result<(), (Stage, c_int)> {
    let setup = || (Stage::Setup, errno());
    // SAFETY: system calls on values that live; none allocates or takes a lock.
    unsafe {
        if libc::setsid() < 0 {
            return Err(setup());
        }
        if shared.lifetime == Lifetime::OfParent {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 {
                return Err(setup());
            }
            // The parent may have been killed before the call above took effect.
            if libc::getppid() != shared.parent {
                libc::_exit(127);
            }
        }
        for signal in 1..=LAST_SIGNAL {
            let nowhere = ptr::null_mut::<u64>();
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                DEFAULT_ACTION.as_ptr(),
                nowhere,
                8_usize,
            );
        }
        if let Some(confinement) = shared.confinement {
            confinement.enter().map_err(refused)?;
        }
        for (target, &source) in (0..).zip(&shared.stdio) {
            if libc::dup2(source, target) < 0 {
                return Err(setup());
            }
        }
        // Kernels before 5.11 refuse; there, close-on-exec of each descriptor does the same.
        let _refused = close_range(FIRST_FD, libc::c_uint::MAX, CLOSE_ON_EXEC);
        if libc::chdir(shared.cwd) < 0 {
            return Err((Stage::Directory, errno()));
        }
        if let Some(confinement) = shared.confinement {
            confinement.lock().map_err(refused)?;
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
    Ok(())
}

/// Converts the refusal of a confinement.
fn refused((part, errno): (RefusedPart, rustix::io::Errno)) -> (Stage, c_int) {
    (Stage::Confinement(part), errno.raw_os_error())
}

/// Tries the candidates; returns only if none can be executed, with the reason.
#[expect(unsafe_code, reason = "what a child does before exec is system calls")]
fn execute(shared: &Shared<'_>) -> c_int {
    let mut reason = libc::ENOENT;
    for &candidate in &shared.candidates {
        if candidate.is_null() {
            break;
        }
        // SAFETY: all three are null-terminated and outlive the call.
        unsafe { libc::execve(candidate, shared.argv.as_ptr(), shared.env.as_ptr()) };
        match errno() {
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => reason = libc::EACCES,
            other => return other,
        }
    }
    reason
}

#[expect(unsafe_code, reason = "errno is a variable of the C library")]
fn errno() -> c_int {
    // SAFETY: always a valid pointer to this thread's variable.
    unsafe { *libc::__errno_location() }
}

/// Flag of [`close_range`]: descriptors are closed when the process executes a program.
pub(super) const CLOSE_ON_EXEC: libc::c_uint = libc::CLOSE_RANGE_CLOEXEC;

/// Closes descriptors, or marks them. A system call, because not every C library has the function.
///
/// # Safety
///
/// No value of this process uses a descriptor that is closed.
///
/// # Errors
///
/// If the kernel or a sandbox refuses the call, as kernels before 5.9 do.
#[expect(unsafe_code, reason = "a system call without a wrapper")]
pub(super) unsafe fn close_range(
    first: libc::c_uint,
    last: libc::c_uint,
    flags: libc::c_uint,
) -> io::Result<()> {
    // SAFETY: the caller's promise; the call has no pointers.
    let refused = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if refused == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Converts the variables of an environment for the kernel.
pub(crate) fn environment(env: &[(OsString, OsString)]) -> io::Result<Vec<CString>> {
    env.iter()
        .map(|(name, value)| {
            let mut variable = name.clone();
            variable.push("=");
            variable.push(value);
            c_string(&variable)
        })
        .collect()
}

/// Converts `text` for the kernel.
pub(crate) fn c_string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.to_owned().into_vec()).map_err(|error| {
        let shown = text.to_string_lossy().replace('\0', "\\0");
        io::Error::new(io::ErrorKind::InvalidInput, format!("NUL byte in {shown:?}: {error}"))
    })
}

/// Returns `fd`, or a copy of it with a number above 2 if this process runs without stdin, stdout
/// or stderr.
pub(crate) fn above_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&fd, 3)?)
}
