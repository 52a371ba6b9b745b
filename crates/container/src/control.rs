//! Control folder of a container: files and pipes that errand shares with the shim.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use errand_agent::target::{Conversation, Input, LaunchSpec, SharedAccess, Streams};
use errand_shim::{Order, Report, ReportReader, file};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe::{OpenOptions, Sender};
use tokio::sync::Mutex;

use crate::report_pipe::ReportPipe;

/// Name of the folder.
const NAME: &str = "control";
/// Capacity of the pipes: the maximum without privileges. Larger orders are written while the shim
/// reads. Of output, so much waits while no process of errand reads it; then the agent waits.
const PIPE_BYTES: usize = 1_024 * 1_024;

/// Control folder of one container.
#[derive(Clone, Debug)]
pub(crate) struct ControlFolder {
    pub(crate) path: PathBuf,
}

impl ControlFolder {
    /// Returns the control folder of a start.
    pub(crate) fn of(start: &Path) -> Self {
        Self { path: start.join(NAME) }
    }

    /// Makes the folder of a start, with the agent's input and all pipes.
    ///
    /// # Errors
    ///
    /// If a file or pipe cannot be made.
    pub(crate) fn make(start: &Path, spec: &LaunchSpec) -> io::Result<Self> {
        let made = Self { path: start.join(NAME) };
        fs::DirBuilder::new().mode(0o700).create(&made.path)?;
        made.pipe(file::ORDERS)?;
        made.pipe(file::REPORTS)?;
        match &spec.streams {
            Streams::Conversation => {
                made.pipe(file::STDIN)?;
                made.pipe(file::STDOUT)?;
            }
            Streams::Payload(Input::Empty) => {}
            Streams::Payload(Input::Bytes(bytes)) => fs::write(made.file(file::INPUT), bytes)?,
            Streams::Payload(Input::File(path)) => {
                let input = made.file(file::INPUT);
                fs::hard_link(path, &input).or_else(|_| fs::copy(path, &input).map(drop))?;
            }
        }
        Ok(made)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn pipe(&self, name: &str) -> io::Result<()> {
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(mknodat(CWD, self.file(name), FileType::Fifo, mode, 0)?)
    }

    /// Opens errand's ends of the pipes.
    ///
    /// # Errors
    ///
    /// If a pipe cannot be opened.
    pub(crate) fn open(&self) -> io::Result<(OrderPipe, ReportPipe)> {
        let mut both = OpenOptions::new();
        // The shim opens it later; until then this process is its own reader.
        let orders = both.read_write(true).open_sender(self.file(file::ORDERS))?;
        // Only an optimization: a user's pipes have a limit.
        let _capacity = rustix::pipe::fcntl_setpipe_size(&orders, PIPE_BYTES);
        let reports = ReportPipe::open(&self.file(file::REPORTS), PIPE_BYTES)?;
        Ok((OrderPipe(Mutex::new(orders)), reports))
    }

    /// Returns the last report, once the command has ended.
    pub(crate) fn last_report(&self) -> Option<Report> {
        let mut reader = ReportReader::default();
        reader.push(&fs::read(self.file(file::ENDED)).ok()?);
        reader.next_report().ok().flatten()
    }

    /// Opens errand's ends of the agent's stdin and stdout. The second value has to live until the
    /// agent was started: it keeps the pipe to the agent open meanwhile.
    ///
    /// # Errors
    ///
    /// If a pipe cannot be opened.
    pub(crate) fn converse(&self) -> io::Result<(Conversation, Sender)> {
        let path = self.file(file::STDIN);
        let guard = OpenOptions::new().read_write(true).open_sender(&path)?;
        let to_agent = OpenOptions::new().open_sender(&path)?;
        let from_agent = OpenOptions::new().open_receiver(self.file(file::STDOUT))?;
        let conversation =
            Conversation { to_agent: Box::new(to_agent), from_agent: Box::new(from_agent) };
        Ok((conversation, guard))
    }

    /// Lets every user of the container use the folder, and the files that errand made for the agent.
    /// Other users of this machine cannot enter the folder above.
    ///
    /// # Errors
    ///
    /// If the access of a file cannot be changed.
    pub(crate) fn admit_all_users(&self, spec: &LaunchSpec) -> io::Result<()> {
        open_folder(&self.path)?;
        open_folder(&spec.folder)?;
        // Skills, each in a folder of its own.
        for entry in fs::read_dir(&spec.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open_for_reading(&entry.path())?;
            }
        }
        for shared in &spec.shared {
            match shared.access {
                SharedAccess::Own => open_folder(&shared.path)?,
                SharedAccess::Read => open_for_reading(&shared.path)?,
                SharedAccess::Write => {}
            }
        }
        Ok(())
    }
}

/// Lets every user read a folder with all that is in it, and run its programs.
fn open_for_reading(folder: &Path) -> io::Result<()> {
    admit(folder, 0o055)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.file_type()?;
        if found.is_dir() {
            open_for_reading(&entry.path())?;
        } else if found.is_file() {
            let is_program = entry.metadata()?.permissions().mode() & 0o100 != 0;
            admit(&entry.path(), if is_program { 0o055 } else { 0o044 })?;
        }
    }
    Ok(())
}

/// Adds permissions to those of a file or folder, unless it has them.
fn admit(path: &Path, added: u32) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & added == added {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode | added))
}

/// Lets every user read and write a folder and the files in it, folders in it aside.
fn open_folder(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.file_type()?;
        if !found.is_dir() && !found.is_symlink() {
            admit(&entry.path(), 0o666)?;
        }
    }
    Ok(())
}

/// Pipe of orders to the shim.
#[derive(Debug)]
pub(crate) struct OrderPipe(Mutex<Sender>);

impl OrderPipe {
    /// Sends an order. Waits for the shim only if the order is larger than the pipe.
    ///
    /// # Errors
    ///
    /// If the pipe is broken.
    pub(crate) async fn send(&self, order: &Order) -> io::Result<()> {
        self.0.lock().await.write_all(&order.encode()).await
    }
}
