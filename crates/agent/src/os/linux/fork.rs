//! A helper that is a copy of its launcher: it need not start the program, read the command line or
//! check the agent once more.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::ExitStatus;
use std::ptr;
use std::time::{Duration, Instant};

use rustix::fs::MemfdFlags;
use rustix::pipe::PipeFlags;

use super::helper::StartedHelper;
use super::readable::is_readable_by;
use super::spawn::{self, DEFAULT_ACTION, LAST_SIGNAL};

/// Signals whose handling a copy keeps: Rust ignores the first, and reports an overflow of the stack
/// with the others.
const KEPT_SIGNALS: [libc::c_int; 3] = [libc::SIGPIPE, libc::SIGSEGV, libc::SIGBUS];
/// Longest output of a helper that its launcher prints: a record with a long payload fits.
const OUTPUT_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// Side of a fork on which the caller is.
#[derive(Debug)]
pub enum Fork {
    /// The process that was started by the user; it ends with the exit code that its copy reports.
    Launcher(CopiedHelper),
    /// The copy: in a session of its own, without files of the launcher. The launcher prints its
    /// stdout and stderr: a terminal or a full pipe must not hold up a supervisor.
    Helper(LauncherPipe),
}

/// Copy of this process, as its launcher sees it.
#[derive(Debug)]
pub struct CopiedHelper {
    started: StartedHelper,
    pipe: OwnedFd,
    output: PrintedFiles,
}

/// Files in memory that a helper prints into before it reports.
#[derive(Debug)]
struct PrintedFiles {
    stdout: File,
    stderr: File,
}

/// Output of a helper up to its report.
#[derive(Debug, Default)]
pub struct HelperOutput {
    /// Data.
    pub stdout: Vec<u8>,
    /// Notes and failures.
    pub stderr: Vec<u8>,
}

/// Pipe to the launcher, which waits for an exit code.
#[derive(Debug)]
pub struct LauncherPipe {
    pipe: OwnedFd,
}

/// Exit code of a copy that could not leave its launcher.
const EXIT_NOT_LEFT: libc::c_int = 1;

/// Reason why a helper reported no exit code.
#[derive(Debug)]
pub enum NoReport {
    /// The helper ended.
    Ended(ExitStatus),
    /// The helper neither reported nor ended in time.
    Silent,
    /// The pipe or the helper cannot be waited for.
    Unknown(io::Error),
}

/// Copies this process. `None`: it has more than one thread, of which a copy would have only one.
/// A copy that cannot leave its launcher ends at once.
///
/// # Errors
///
/// If the kernel refuses; there is one process then.
#[expect(unsafe_code, reason = "fork has no safe wrapper")]
pub fn fork() -> io::Result<Option<Fork>> {
    if !is_only_thread()? {
        return Ok(None);
    }
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let (read, write) = (spawn::above_stdio(read)?, spawn::above_stdio(write)?);
    let output = PrintedFiles::new()?;
    // SAFETY: this thread is the only one, so the copy has no lock that another thread held.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if let Ok(pid) = u32::try_from(pid)
        && pid > 0
    {
        return Ok(Some(Fork::Launcher(CopiedHelper {
            started: StartedHelper::of(pid),
            pipe: read,
            output,
        })));
    }
    drop(read);
    if become_helper(output, &write).is_err() {
        // SAFETY: ends this process without code of the launcher, which reads the end of the pipe.
        unsafe { libc::_exit(EXIT_NOT_LEFT) };
    }
    Ok(Some(Fork::Helper(LauncherPipe { pipe: write })))
}

/// Lets the copy print into the files, and makes it independent of its launcher.
fn become_helper(output: PrintedFiles, pipe: &OwnedFd) -> io::Result<()> {
    rustix::stdio::dup2_stdout(&output.stdout)?;
    rustix::stdio::dup2_stderr(&output.stderr)?;
    drop(output);
    leave_launcher(pipe)
}

/// Returns true if this process has no other thread.
pub(super) fn is_only_thread() -> io::Result<bool> {
    Ok(fs::read_dir("/proc/self/task")?.count() == 1)
}

/// Makes a copy independent of its launcher: session, signals, stdin, file descriptors.
#[expect(unsafe_code, reason = "signals and numbers of files have no safe wrappers")]
fn leave_launcher(pipe: &OwnedFd) -> io::Result<()> {
    rustix::process::setsid()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let pipe = libc::c_uint::try_from(pipe.as_raw_fd()).unwrap_or(spawn::FIRST_FD);
    // SAFETY: system calls on values that live. The closed files belong to the launcher's caller:
    // the runtime and the registry are opened after this.
    unsafe {
        for signal in (1..=LAST_SIGNAL).filter(|signal| !KEPT_SIGNALS.contains(signal)) {
            let nowhere = ptr::null_mut::<u64>();
            let action = DEFAULT_ACTION.as_ptr();
            libc::syscall(libc::SYS_rt_sigaction, signal, action, nowhere, 8_usize);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        let below = spawn::close_range(spawn::FIRST_FD, pipe.saturating_sub(1), 0);
        if below.and_then(|()| spawn::close_range(pipe + 1, libc::c_uint::MAX, 0)).is_err() {
            close_all_but(pipe)?;
        }
    }
    Ok(())
}

/// Closes the descriptors above stdio one by one: kernels before 5.9, and some sandboxes, refuse
/// `close_range`.
#[expect(unsafe_code, reason = "numbers of files have no safe wrapper")]
fn close_all_but(pipe: libc::c_uint) -> io::Result<()> {
    let mut open = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<libc::c_uint>().ok()));
    }
    for number in open.into_iter().filter(|number| *number >= spawn::FIRST_FD && *number != pipe) {
        // SAFETY: no value of the copy uses the descriptor; that of the read folder is closed already.
        unsafe { libc::close(libc::c_int::try_from(number).unwrap_or(-1)) };
    }
    Ok(())
}

impl PrintedFiles {
    fn new() -> io::Result<Self> {
        let file = |name: &str| -> io::Result<File> {
            let file = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?;
            Ok(spawn::above_stdio(file)?.into())
        };
        Ok(Self { stdout: file("stdout")?, stderr: file("stderr")? })
    }

    /// Reads what was printed so far; nothing from a file that cannot be read.
    fn read(self) -> HelperOutput {
        let text = |mut file: File| {
            let mut text = Vec::new();
            let read =
                file.rewind().and_then(|()| file.take(OUTPUT_LIMIT_BYTES).read_to_end(&mut text));
            read.map(|_| text).unwrap_or_default()
        };
        HelperOutput { stdout: text(self.stdout), stderr: text(self.stderr) }
    }
}

impl CopiedHelper {
    /// Waits for the exit code that the helper reports. Returns it with the helper's output.
    ///
    /// # Errors
    ///
    /// If the helper ends without one, or says nothing for so long as `limit`.
    pub fn reported(self, limit: Duration) -> (Result<u8, NoReport>, HelperOutput) {
        let code = exit_code(self.pipe, self.started, limit);
        (code, self.output.read())
    }
}

fn exit_code(pipe: OwnedFd, started: StartedHelper, limit: Duration) -> Result<u8, NoReport> {
    let mut pipe = File::from(pipe);
    match is_readable_by(&pipe, Instant::now() + limit) {
        Ok(true) => {}
        Ok(false) => return Err(NoReport::Silent),
        Err(error) => return Err(NoReport::Unknown(error)),
    }
    let mut code = [0];
    match pipe.read(&mut code) {
        Ok(1) => Ok(code[0]),
        Ok(_) => Err(match started.wait() {
            Ok(status) => NoReport::Ended(status),
            Err(error) => NoReport::Unknown(error),
        }),
        Err(error) => Err(NoReport::Unknown(error)),
    }
}

impl LauncherPipe {
    /// Reports the exit code with which the launcher ends, after it has printed this process's output.
    /// Anything that is printed later is lost.
    pub fn report(self, code: u8) {
        let mut pipe = File::from(self.pipe);
        // The launcher may be gone.
        drop(pipe.write_all(&[code]));
        if let Ok(null) = File::options().write(true).open("/dev/null") {
            // If this fails, the output of a long life stays in memory.
            rustix::stdio::dup2_stdout(&null).unwrap_or_default();
            rustix::stdio::dup2_stderr(&null).unwrap_or_default();
        }
        // The folder may be removed while the run lives.
        rustix::process::chdir("/").unwrap_or_default();
    }
}
