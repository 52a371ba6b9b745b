//! Link to the Pod of one attempt, over all of its connections.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use errand_container::{FoundReports, ReportSource, whole_reports};
use errand_shim::link::{ErrandFrame, LinkKey, PodFrame};
use errand_shim::{FilePiece, Order, Report};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc, watch};

use crate::channel::{SealedReader, SealedWriter};
use crate::launch::LaunchFrames;
use crate::returned::ReturnedTrees;

/// Time limit for the first frame of a connection.
const CHECK_IN_LIMIT: Duration = Duration::from_secs(10);
/// Longest record of a connection to the agent API.
const RECORD_BYTES: usize = 32 * 1_024;
/// Bytes of reports that wait to be taken: the Pod sends no more than a megabyte without that, and one
/// report.
const WAITING_BYTES: usize = 2 * 1_024 * 1_024;

/// Link to the Pod of one attempt.
#[derive(Debug)]
pub(crate) struct PodLink {
    pub(crate) key: LinkKey,
    /// Socket of the agent API on this machine.
    api: PathBuf,
    /// Everything that the Pod needs before its command starts; `None` for an adopted one.
    launch: Option<LaunchFrames>,
    state: Mutex<LinkState>,
    /// Wakes the reader of reports.
    arrived: Notify,
    frozen: watch::Sender<bool>,
    /// True once this process has released the Pod.
    closed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct LinkState {
    /// The Pod of the attempt: the first that checked in.
    pod_uid: Option<String>,
    /// Way to the connection that is open.
    frames: Option<mpsc::UnboundedSender<ErrandFrame>>,
    /// Number of that connection.
    connection: u64,
    /// Reports that were not taken yet.
    waiting: Vec<u8>,
    /// Place of the first of these bytes; `None` before the first came.
    begin: Option<u64>,
    /// The last signal for the agent, which is repeated over each connection.
    signal: Option<i32>,
    /// The Pod is over: nothing comes any more.
    is_over: bool,
}

impl PodLink {
    pub(crate) fn new(
        key: LinkKey,
        api: PathBuf,
        launch: Option<LaunchFrames>,
        pod_uid: Option<String>,
    ) -> Self {
        let state = Mutex::new(LinkState { pod_uid, ..LinkState::default() });
        let (frozen, closed) = (watch::Sender::new(false), watch::Sender::new(false));
        Self { key, api, launch, state, arrived: Notify::new(), frozen, closed }
    }

    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the unique id of the Pod that checked in.
    pub(crate) fn pod_uid(&self) -> Option<String> {
        self.state().pod_uid.clone()
    }

    /// Returns true while the Pod is connected.
    pub(crate) fn is_connected(&self) -> bool {
        self.state().frames.is_some()
    }

    /// Sends an order, if the Pod is connected. A signal is repeated over later connections.
    pub(crate) fn send(&self, order: Order) -> bool {
        let mut state = self.state();
        if let Order::Signal(signal) = &order {
            state.signal = Some(*signal);
        }
        let frame = ErrandFrame::Order(order);
        state.frames.as_ref().is_some_and(|frames| frames.send(frame).is_ok())
    }

    /// Ends the reports: the Pod is over.
    pub(crate) fn end(&self) {
        self.state().is_over = true;
        self.arrived.notify_one();
    }

    /// Ends all connections: this process releases the Pod, and another one may adopt it.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    async fn until_closed(&self) {
        // The sender lives as long as this.
        drop(self.closed.subscribe().wait_for(|it| *it).await);
    }

    /// Returns whether the agent is frozen, as the Pod reported it.
    pub(crate) fn frozen(&self) -> watch::Receiver<bool> {
        self.frozen.subscribe()
    }

    /// Notes that the agent is not frozen any more.
    pub(crate) fn thawed(&self) {
        self.frozen.send_replace(false);
    }

    /// Returns true if this Pod is the one of the attempt: the first that came.
    fn is_admitted(&self, pod_uid: &str) -> bool {
        let mut state = self.state();
        state.pod_uid.get_or_insert_with(|| pod_uid.to_owned()) == pod_uid
    }

    /// Serves the connection with orders and reports.
    pub(crate) async fn converse(
        &self,
        pod_uid: &str,
        mut reader: SealedReader,
        mut writer: SealedWriter,
    ) -> io::Result<()> {
        let first = tokio::time::timeout(CHECK_IN_LIMIT, reader.next()).await??;
        let PodFrame::CheckIn { is_launched } = decoded(&first)? else {
            return Err(io::Error::other("the Pod does not check in"));
        };
        if !self.is_admitted(pod_uid) {
            return writer.send(&ErrandFrame::Refused.encode()).await;
        }
        if let (false, Some(launch)) = (is_launched, &self.launch) {
            launch.send(&mut writer).await?;
        }
        let (frames, mut orders) = mpsc::unbounded_channel();
        let number = self.connected(frames);
        let written = async {
            while let Some(frame) = orders.recv().await {
                writer.send(&frame.encode()).await?;
            }
            // A later connection has taken the place of this one.
            Ok(())
        };
        let read = async {
            loop {
                match decoded(&reader.next().await?)? {
                    PodFrame::Reports { at, bytes } => self.arrive(at, &bytes)?,
                    PodFrame::CheckIn { .. } => {}
                }
            }
        };
        let ended = tokio::select! {
            ended = written => ended,
            ended = read => ended,
            () = self.until_closed() => Ok(()),
        };
        self.disconnected(number);
        ended
    }

    fn connected(&self, frames: mpsc::UnboundedSender<ErrandFrame>) -> u64 {
        let mut state = self.state();
        if let Some(begin) = state.begin {
            drop(frames.send(ErrandFrame::Taken(begin)));
        }
        if let Some(signal) = state.signal {
            drop(frames.send(ErrandFrame::Order(Order::Signal(signal))));
        }
        state.frames = Some(frames);
        state.connection += 1;
        state.connection
    }

    fn disconnected(&self, number: u64) {
        let mut state = self.state();
        if state.connection == number {
            state.frames = None;
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Takes in bytes of reports; those that came before are dropped.
    fn arrive(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let begin = *state.begin.get_or_insert(at);
        let end = begin + u64::try_from(state.waiting.len()).unwrap_or_default();
        let Some(known) = end.checked_sub(at) else {
            return Err(io::Error::other("reports of the Pod are missing"));
        };
        let known = usize::try_from(known).unwrap_or(usize::MAX).min(bytes.len());
        if state.waiting.len() + bytes.len() > WAITING_BYTES {
            return Err(io::Error::other("the Pod sends more than it may"));
        }
        state.waiting.extend_from_slice(&bytes[known..]);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Passes a connection on to the agent API.
    pub(crate) async fn pass_on(
        &self,
        pod_uid: &str,
        mut reader: SealedReader,
        mut writer: SealedWriter,
    ) -> io::Result<()> {
        // The first record proves the Pod: only it can seal one.
        let first = tokio::time::timeout(CHECK_IN_LIMIT, reader.next()).await??;
        if self.state().pod_uid.as_deref() != Some(pod_uid) {
            return Ok(());
        }
        let (mut from_api, mut to_api) = UnixStream::connect(&self.api).await?.into_split();
        let requests = async {
            let mut record = first;
            while !record.is_empty() {
                to_api.write_all(&record).await?;
                record = reader.next().await?;
            }
            to_api.shutdown().await?;
            // The Pod says no more, and waits for the answer.
            std::future::pending::<io::Result<()>>().await
        };
        let answers = async {
            let mut buffer = vec![0; RECORD_BYTES];
            loop {
                let length = from_api.read(&mut buffer).await?;
                writer.send(&buffer[..length]).await?;
                if length == 0 {
                    return Ok(());
                }
            }
        };
        tokio::select! {
            ended = requests => ended,
            ended = answers => ended,
            () = self.until_closed() => Ok(()),
        }
    }
}

fn decoded(record: &[u8]) -> io::Result<PodFrame> {
    PodFrame::decode(record).map_err(io::Error::other)
}

/// Reports of a Pod, and the trees that it sends back.
#[derive(Debug)]
pub(crate) struct PodReports {
    pub(crate) link: Arc<PodLink>,
    pub(crate) returned: ReturnedTrees,
}

#[async_trait]
impl ReportSource for PodReports {
    async fn look(&mut self) -> io::Result<Option<FoundReports>> {
        loop {
            let is_over = {
                let state = self.link.state();
                let found = whole_reports(&state.waiting)?;
                if !found.reports.is_empty() {
                    return Ok(Some(found));
                }
                state.is_over
            };
            if is_over {
                return Ok(None);
            }
            self.link.arrived.notified().await;
        }
    }

    fn take(&mut self, found: &FoundReports) -> io::Result<()> {
        let mut state = self.link.state();
        let length = found.length.min(state.waiting.len());
        state.waiting.drain(..length);
        let Some(begin) = &mut state.begin else { return Ok(()) };
        *begin += u64::try_from(length).unwrap_or_default();
        let taken = ErrandFrame::Taken(*begin);
        if let Some(frames) = &state.frames {
            // Without a connection, the next one tells it.
            drop(frames.send(taken));
        }
        Ok(())
    }

    fn last_report(&self) -> Option<Report> {
        None
    }

    async fn dismiss(&self) {
        // A Pod whose last report was taken ends by itself.
    }

    fn frozen(&mut self) {
        self.link.frozen.send_replace(true);
    }

    fn file(&mut self, piece: FilePiece) {
        self.returned.take(&piece);
    }
}
