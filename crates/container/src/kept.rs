//! Folder of an attempt: for each start of it, the control folder, and the progress of its output, from
//! which another process continues.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use errand_agent::redact::HeldText;
use errand_agent::target::SinkProgress;
use errand_model::RunId;
use rustix::fs::{FlockOperation, flock};

/// Files of progress, written in turn: a writer that is killed damages the older one at most.
const FILES: [&str; 2] = ["progress.0", "progress.1"];
/// File with the address of the engine.
const ENGINE: &str = "engine";
/// Longest file of progress: an unfinished line and the longest encoding of a secret, twice.
const LIMIT_BYTES: u64 = 4 * 1_024 * 1_024;

/// Folder of an attempt. Only its owner can enter it: the container sees the control folder alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFolder {
    path: PathBuf,
}

impl KeptFolder {
    /// Returns the folder of an attempt below `root`, made or not.
    pub fn of(root: &Path, run_id: &RunId, attempt: u32) -> Self {
        Self { path: root.join(format!("{run_id}.{attempt}")) }
    }

    /// Makes a folder for one start of the attempt. Another start of it may have one.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn make_start(&self) -> io::Result<PathBuf> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(format!("{}-{number}", std::process::id()));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        Ok(path)
    }

    /// Notes the address of the engine that has the containers of the attempt.
    ///
    /// # Errors
    ///
    /// If the disk is full.
    pub(crate) fn note_engine(&self, address: &str) -> io::Result<()> {
        fs::write(self.path.join(ENGINE), address)
    }

    /// Returns the address of the engine that has the containers of the attempt; `None` if none was
    /// noted.
    pub(crate) fn engine(&self) -> Option<String> {
        fs::read_to_string(self.path.join(ENGINE)).ok().filter(|address| !address.is_empty())
    }

    /// Returns true if `start` is the folder of a start of this attempt, and there.
    pub fn has(&self, start: &Path) -> bool {
        start.parent() == Some(&self.path) && start.is_dir()
    }

    /// Returns the folders of all starts of the attempt.
    pub fn starts(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// Removes the folder of one start.
    pub fn remove_start(&self, start: &Path) {
        // What stays is removed by the next process that looks for what is left of attempts.
        drop(fs::remove_dir_all(start));
        let has_other = fs::read_dir(&self.path).into_iter().flatten().flatten();
        if !has_other.into_iter().any(|entry| entry.path().is_dir()) {
            drop(fs::remove_file(self.path.join(ENGINE)));
        }
        // Fails if another start has a folder.
        drop(fs::remove_dir(&self.path));
    }

    /// Removes the folder with everything in it.
    ///
    /// # Errors
    ///
    /// If something is left.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Lists the attempts that have a folder below `root`.
    pub fn list(root: &Path) -> Vec<(RunId, u32)> {
        let entries = fs::read_dir(root).into_iter().flatten().flatten();
        let attempt = |name: &str| {
            let (run_id, number) = name.rsplit_once('.')?;
            Some((run_id.parse().ok()?, number.parse().ok()?))
        };
        entries.filter_map(|entry| attempt(entry.file_name().to_str()?)).collect()
    }
}

/// Progress of the output of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputProgress {
    /// True once all output is in the log: the last report was read.
    pub is_over: bool,
    /// Progress of stdout and stderr.
    pub sinks: [SinkProgress; 2],
}

/// Writer of the progress. Not synced: a container ends with its machine.
#[derive(Debug)]
pub struct ProgressWriter {
    files: [File; 2],
    number: u64,
    buffer: Vec<u8>,
}

impl ProgressWriter {
    /// Opens the files in the folder of a start. They are locked as long as the writer lives: a process
    /// that was stopped, and lost its lease meanwhile, keeps every other one from the pipe.
    ///
    /// # Errors
    ///
    /// If a file cannot be opened; `WouldBlock` if another process has them.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let open = |name: &str| {
            let mut options = File::options();
            options.create(true).truncate(false).read(true).write(true).mode(0o600);
            options.open(folder.join(name))
        };
        let files = [open(FILES[0])?, open(FILES[1])?];
        flock(&files[0], FlockOperation::NonBlockingLockExclusive)?;
        let number = files.iter().filter_map(|file| Some(read(file).ok()??.0)).max().unwrap_or(0);
        Ok(Self { files, number, buffer: Vec::new() })
    }

    /// Returns the progress that was written last; none of an attempt that has printed nothing.
    ///
    /// # Errors
    ///
    /// If a file cannot be read.
    pub fn last(&self) -> io::Result<OutputProgress> {
        let mut last = (0, OutputProgress::default());
        for file in &self.files {
            if let Some(found) = read(file)?
                && found.0 > last.0
            {
                last = found;
            }
        }
        Ok(last.1)
    }

    /// Writes the progress.
    ///
    /// # Errors
    ///
    /// If the disk is full.
    pub fn write(&mut self, progress: &OutputProgress) -> io::Result<()> {
        self.number += 1;
        let mut fields = Fields(std::mem::take(&mut self.buffer));
        fields.0.clear();
        fields.number(self.number);
        fields.number(u64::from(progress.is_over));
        for sink in &progress.sinks {
            fields.bytes(&sink.held.bytes);
            fields.number(u64::try_from(sink.held.written).unwrap_or(0));
            fields.number(u64::from(sink.held.is_masked));
            fields.bytes(&sink.tail);
            fields.number(sink.logged);
            fields.number(sink.received);
        }
        // Equal to the number at the beginning: the write was not interrupted.
        fields.number(self.number);
        self.buffer = fields.0;
        self.files[usize::from(self.number % 2 == 1)].write_all_at(&self.buffer, 0)
    }
}

/// Reads a file of progress. `None`: it was never written as a whole.
fn read(file: &File) -> io::Result<Option<(u64, OutputProgress)>> {
    let length = file.metadata()?.len().min(LIMIT_BYTES);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(decode(&mut Remaining(&bytes)))
}

fn decode(fields: &mut Remaining<'_>) -> Option<(u64, OutputProgress)> {
    let number = fields.number()?;
    let is_over = fields.number()? == 1;
    let sinks = [decode_sink(fields)?, decode_sink(fields)?];
    (fields.number()? == number).then_some((number, OutputProgress { is_over, sinks }))
}

fn decode_sink(fields: &mut Remaining<'_>) -> Option<SinkProgress> {
    let bytes = fields.bytes()?;
    let written = usize::try_from(fields.number()?).ok()?;
    let held = HeldText { bytes, written, is_masked: fields.number()? == 1 };
    let tail = fields.bytes()?;
    Some(SinkProgress { held, tail, logged: fields.number()?, received: fields.number()? })
}

struct Fields(Vec<u8>);

impl Fields {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.0.extend_from_slice(bytes);
    }
}

struct Remaining<'a>(&'a [u8]);

impl Remaining<'_> {
    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(tail: &str) -> OutputProgress {
        let held = HeldText { bytes: b"abc".to_vec(), written: 1, is_masked: true };
        let sink = SinkProgress { held, tail: tail.into(), logged: 7, received: 9 };
        OutputProgress { is_over: false, sinks: [sink, SinkProgress::default()] }
    }

    #[test]
    fn the_last_whole_progress_is_read() {
        let root = tempfile::tempdir().unwrap();
        let run_id = RunId::new(errand_model::Timestamp::from_millis(1), 1);
        let kept = KeptFolder::of(root.path(), &run_id, 3);
        assert_eq!(KeptFolder::list(root.path()), []);
        let folder = kept.make_start().unwrap();
        assert_eq!(KeptFolder::list(root.path()), [(run_id, 3)]);
        assert!(kept.has(&folder) && !kept.has(root.path()));
        assert_eq!(
            ProgressWriter::open(&folder).unwrap().last().unwrap(),
            OutputProgress::default()
        );
        for tail in ["one", "a longer one", "3"] {
            let mut writer = ProgressWriter::open(&folder).unwrap();
            writer.write(&progress(tail)).unwrap();
            let locked = ProgressWriter::open(&folder).map(drop).unwrap_err();
            assert_eq!(locked.kind(), io::ErrorKind::WouldBlock);
            drop(writer);
            assert_eq!(ProgressWriter::open(&folder).unwrap().last().unwrap(), progress(tail));
        }
        // An interrupted write damages the file that it writes: the one before the last.
        assert_eq!(kept.engine(), None);
        kept.note_engine("unix:///run/podman.sock").unwrap();
        assert_eq!(kept.engine().as_deref(), Some("unix:///run/podman.sock"));
        let damaged = fs::read(folder.join(FILES[0])).unwrap();
        fs::write(folder.join(FILES[0]), &damaged[..damaged.len() - 1]).unwrap();
        assert_eq!(ProgressWriter::open(&folder).unwrap().last().unwrap(), progress("3"));
        kept.remove_start(&folder);
        assert_eq!(KeptFolder::list(root.path()), []);
        kept.remove().unwrap();
    }
}
