//! Sources of the logs of a family: the local registry, or copies from a server.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use errand_agent::log::Query;
use errand_api::error_code::ErrorCode;
use errand_engine::operations::{JournalOperations as _, LogSelection};
use errand_engine::{Engine, logs};
use errand_model::{Event, RunId};
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::failure::Failure;
use crate::remote::Remote;

/// Events read at once.
const EVENTS: u32 = 1_000;

/// Source of journals and logs.
#[derive(Debug)]
pub(super) enum Logs<'a> {
    /// The local registry.
    Here(&'a Engine),
    /// Server, with copies of its logs.
    There(Copies<'a>),
}

/// Copies of a server's logs, in unnamed files, which disappear with this process.
#[derive(Debug)]
pub(super) struct Copies<'a> {
    remote: &'a Remote,
    ask: LogSelection,
    /// Folder of the copies.
    folder: PathBuf,
    files: BTreeMap<usize, File>,
    /// Running transfers, each with the number of its log.
    coming: FuturesUnordered<LocalBoxFuture<'a, (usize, Result<(), Failure>)>>,
}

impl<'a> Logs<'a> {
    pub(super) fn there(remote: &'a Remote, query: Query, follow: bool, folder: PathBuf) -> Self {
        let (files, coming) = (BTreeMap::new(), FuturesUnordered::new());
        Self::There(Copies {
            remote,
            ask: LogSelection { lines: query, follow },
            folder,
            files,
            coming,
        })
    }

    /// Returns events of a run after a number; none if the run does not exist.
    pub(super) async fn events(&self, run_id: &RunId, after: u64) -> Result<Vec<Event>, Failure> {
        match self {
            Self::Here(engine) => Ok(engine.store().events(run_id, after, EVENTS).await?),
            Self::There(copies) => match copies.remote.events(run_id, after, EVENTS).await {
                Ok(page) => Ok(page.events),
                Err(failure) if failure.code() == ErrorCode::RunNotFound => Ok(Vec::new()),
                Err(failure) => Err(failure),
            },
        }
    }

    /// Returns the file of a run's log; a transfer may still be filling it.
    pub(super) async fn path(&mut self, number: usize, run_id: &RunId) -> Result<PathBuf, Failure> {
        match self {
            Self::Here(engine) => Ok(logs::path(engine, run_id)?),
            Self::There(copies) if copies.ask.follow => {
                let (path, copy) = copies.begin(number, (run_id, true))?;
                copies.coming.push(Box::pin(async move { (number, copy.await) }));
                Ok(path)
            }
            Self::There(copies) => copies.whole(number, run_id).await,
        }
    }

    /// Returns the file of a run's log, complete as of now.
    pub(super) async fn whole(
        &mut self,
        number: usize,
        run_id: &RunId,
    ) -> Result<PathBuf, Failure> {
        match self {
            Self::Here(engine) => Ok(logs::path(engine, run_id)?),
            Self::There(copies) => copies.whole(number, run_id).await,
        }
    }

    /// Releases a log that was read to its end.
    pub(super) fn forget(&mut self, number: usize) {
        if let Self::There(copies) = self {
            copies.files.remove(&number);
        }
    }
}

impl<'a> Copies<'a> {
    /// Returns a new file and the transfer that fills it.
    fn begin(
        &mut self,
        number: usize,
        (run_id, follow): (&RunId, bool),
    ) -> Result<(PathBuf, LocalBoxFuture<'a, Result<(), Failure>>), Failure> {
        let file = unnamed(&self.folder)
            .map_err(|error| Failure::io("make a file in", &self.folder, &error))?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let to = file.try_clone().map_err(|error| Failure::io("open", &path, &error))?;
        self.files.insert(number, file);
        let ask = LogSelection { follow, ..self.ask };
        Ok((path, Box::pin(copy(self.remote, run_id.clone(), ask, to))))
    }

    async fn whole(&mut self, number: usize, run_id: &RunId) -> Result<PathBuf, Failure> {
        let (path, copy) = self.begin(number, (run_id, false))?;
        copy.await?;
        Ok(path)
    }

    /// Runs transfers for that time. Returns the logs that are complete.
    pub(super) async fn come(&mut self, time: Duration) -> Result<Vec<usize>, Failure> {
        let mut ended = Vec::new();
        let come = async {
            while let Some((number, copied)) = self.coming.next().await {
                copied?;
                ended.push(number);
            }
            std::future::pending().await
        };
        match tokio::time::timeout(time, come).await {
            Ok(failed) => failed,
            Err(_) => Ok(ended),
        }
    }

    /// Returns true if no transfer is running.
    pub(super) fn has_all(&self) -> bool {
        self.coming.is_empty()
    }
}

async fn copy(
    remote: &Remote,
    run_id: RunId,
    ask: LogSelection,
    mut to: File,
) -> Result<(), Failure> {
    let name = PathBuf::from(format!("the log of {run_id}"));
    let write =
        |bytes: &[u8]| to.write_all(bytes).map_err(|error| Failure::io("copy", &name, &error));
    match remote.raw_log(&run_id, ask, write).await {
        // The run was removed.
        Err(failure) if failure.code() == ErrorCode::RunNotFound => Ok(()),
        copied => copied,
    }
}

/// Creates an unnamed file in `folder`.
fn unnamed(folder: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = i32::try_from(rustix::fs::OFlags::TMPFILE.bits()).unwrap_or_default();
    File::options().read(true).write(true).mode(0o600).custom_flags(flags).open(folder)
}
