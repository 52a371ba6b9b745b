//! Files and orders that go into a Pod before its command starts.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use errand_agent::target::{Input, LaunchSpec, SharedAccess, Streams, TargetStartError};
use errand_model::error_code::ErrorCode;
use errand_shim::link::ErrandFrame;
use errand_shim::{CommandStreams, FilePiece, LaunchOrder, Order, PIECE_BYTES, file};

use crate::channel::SealedWriter;

/// Most bytes of files that go into a Pod.
const FILES_BYTES: u64 = 256 * 1_024 * 1_024;

/// Frames that a Pod gets before its command starts. The files are read while they are sent.
#[derive(Debug)]
pub(crate) struct LaunchFrames {
    order: LaunchOrder,
    input: Input,
    files: Vec<PathBuf>,
    pub(crate) returns: Vec<OsString>,
}

fn variable<'a>(spec: &'a LaunchSpec, wanted: &str) -> Option<&'a OsString> {
    spec.env.iter().rev().find(|(name, _)| name == wanted).map(|(_, value)| value)
}

/// Returns the socket of the agent API on this machine.
pub(crate) fn api_socket(spec: &LaunchSpec) -> Option<PathBuf> {
    variable(spec, "ERRAND_API")?.to_str()?.strip_prefix("unix://").map(PathBuf::from)
}

impl LaunchFrames {
    /// Returns the frames for an order.
    ///
    /// # Errors
    ///
    /// If the files are too large, or cannot be read.
    pub(crate) fn of(spec: &LaunchSpec) -> Result<Self, TargetStartError> {
        let of_socket = api_socket(spec).and_then(|path| path.parent().map(Path::to_owned));
        let shared = spec.shared.iter().filter(|shared| {
            shared.path == spec.folder || Some(&shared.path) != of_socket.as_ref()
        });
        let files: Vec<PathBuf> = shared.clone().map(|shared| shared.path.clone()).collect();
        let is_returned = |path: &Path| path != spec.folder;
        let writable = shared.filter(|it| it.access != SharedAccess::Read);
        let returned = writable.map(|it| it.path.clone()).filter(|path| is_returned(path));
        let mut returns: Vec<OsString> = returned.map(PathBuf::into_os_string).collect();
        if !spec.shared.iter().any(|shared| shared.path == spec.cwd) {
            returns.push(spec.cwd.clone().into());
        }
        returns.extend(variable(spec, "ERRAND_OUTPUT").cloned());
        let mut size_bytes = 0;
        for path in &files {
            size_bytes += size_of(path, path)?;
        }
        if size_bytes > FILES_BYTES {
            let message = format!(
                "the files of the run have {size_bytes} bytes, and at most {FILES_BYTES} go into a Pod: \
                 put large ones into the image, or fetch them in the agent"
            );
            return Err(TargetStartError::Refused { code: ErrorCode::ClusterRefused, message });
        }
        let input = match &spec.streams {
            Streams::Payload(input) => input.clone(),
            Streams::Conversation => Input::Empty,
        };
        let order = LaunchOrder {
            argv: spec.argv.clone(),
            env: spec.env.clone(),
            cwd: spec.cwd.clone().into(),
            streams: CommandStreams::Payload,
        };
        Ok(Self { order, input, files, returns })
    }

    /// Sends everything that the Pod needs, the order last.
    ///
    /// # Errors
    ///
    /// If the connection is lost, or a file cannot be read.
    pub(crate) async fn send(&self, writer: &mut SealedWriter) -> io::Result<()> {
        for path in &self.files {
            send_tree(writer, path).await?;
        }
        let input = Path::new(file::CONTROL).join(file::INPUT);
        match &self.input {
            Input::Empty => {}
            Input::Bytes(bytes) => send_bytes(writer, &input, 0o644, &mut bytes.as_slice()).await?,
            Input::File(path) => {
                send_bytes(writer, &input, 0o644, &mut File::open(path)?).await?;
            }
        }
        writer.send(&ErrandFrame::Return(self.returns.clone()).encode()).await?;
        let order = ErrandFrame::Order(Order::Launch(self.order.clone()));
        writer.send(&order.encode()).await
    }
}

/// Returns the file or folder at a path below `root`; `None` for anything else. A link counts as what it
/// leads to, if that is below `root`, too.
fn found(root: &Path, path: &Path) -> io::Result<Option<fs::Metadata>> {
    let about = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        about => about?,
    };
    if !about.is_symlink() {
        return Ok(Some(about).filter(|about| about.is_file() || about.is_dir()));
    }
    let Ok(led) = fs::canonicalize(path) else { return Ok(None) };
    if !led.starts_with(fs::canonicalize(root)?) {
        return Ok(None);
    }
    // A link to a folder might lead in a circle.
    Ok(Some(fs::metadata(led)?).filter(fs::Metadata::is_file))
}

fn size_of(root: &Path, path: &Path) -> io::Result<u64> {
    let Some(about) = found(root, path)? else { return Ok(0) };
    if about.is_file() {
        return Ok(about.len());
    }
    let mut size_bytes = 0;
    for entry in fs::read_dir(path)? {
        size_bytes += size_of(root, &entry?.path())?;
    }
    Ok(size_bytes)
}

/// Sends the files and folders of a tree.
async fn send_tree(writer: &mut SealedWriter, root: &Path) -> io::Result<()> {
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let Some(about) = found(root, &path)? else { continue };
        let mode = about.mode() & 0o777;
        if about.is_file() {
            // The agent may run as another user, and no other user is in the Pod.
            send_bytes(writer, &path, mode | 0o444, &mut File::open(&path)?).await?;
            continue;
        }
        let folder = FilePiece::Folder { path: path.as_os_str().to_owned(), mode: mode | 0o777 };
        writer.send(&ErrandFrame::File(folder).encode()).await?;
        for entry in fs::read_dir(&path)? {
            left.push(entry?.path());
        }
    }
    Ok(())
}

async fn send_bytes(
    writer: &mut SealedWriter,
    path: &Path,
    mode: u32,
    bytes: &mut (impl io::Read + Send),
) -> io::Result<()> {
    let mut at = 0;
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let most = u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX);
        let length = bytes.by_ref().take(most).read_to_end(&mut piece)?;
        if length == 0 && at > 0 {
            return Ok(());
        }
        let path = path.as_os_str().to_owned();
        let piece = FilePiece::Bytes { path, mode, at, bytes: piece };
        writer.send(&ErrandFrame::File(piece).encode()).await?;
        at += u64::try_from(length).unwrap_or_default();
        if length == 0 {
            return Ok(());
        }
    }
}
