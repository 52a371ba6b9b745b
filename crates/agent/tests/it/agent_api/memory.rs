//! A backend in memory, and a server with a client on it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use errand_agent::agent_api::{
    AgentApiServer, ApprovalCall, AttemptResult, Backend, Bind, Client, ControlFeed,
    CoordinationBackend, InputCall, KeptResult, Refusal, Revoke, SessionBackend, StepBegun,
    StepCall, StepCallResult, Upload,
};
use errand_api::agent_protocol::{
    AgentMessage, AgentSeen, AgentSessionMessage, ApprovalAnswer, CheckinAnswer, ControlEvent,
    HandOver, HandOverAnswer, InputAnswer, InputStatus, MessageAnswer, MessagesAnswer,
    ReportedEvent, SendMessage, SessionAnswer, ValueEncoding, unpack,
};
use errand_api::error_code::ErrorCode;
use errand_model::event::{Failure, Reported};
use errand_model::step::StepRefused;
use errand_model::{Digest, Payload, Timestamp};
use serde_json::Value;
use tokio::sync::{Barrier, broadcast, oneshot};
use tokio::task::JoinSet;

pub(super) const TOKEN: &str = "a-token-of-this-attempt";

/// Records of a run, in memory.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) steps: BTreeMap<String, Option<StepCallResult>>,
    pub(super) failures: Vec<(String, Failure, Option<i32>)>,
    pub(super) checkpoint: Option<Value>,
    pub(super) events: Vec<ReportedEvent>,
    pub(super) output: Option<Payload>,
    pub(super) parts: Vec<String>,
    pub(super) artifacts: BTreeMap<String, (Vec<u8>, Upload)>,
    pub(super) session: (u64, Value),
    pub(super) messages: Vec<errand_model::event::SessionMessage>,
    pub(super) results: BTreeMap<(String, Digest), KeptResult>,
    pub(super) result: Option<AttemptResult>,
    pub(super) cancelled: bool,
    pub(super) approvals: Vec<ApprovalCall>,
    pub(super) inputs: Vec<InputCall>,
    pub(super) sent: Vec<SendMessage>,
    pub(super) handoffs: Vec<HandOver>,
}

#[derive(Debug)]
pub(super) struct Memory {
    pub(super) kept: Mutex<Kept>,
    pub(super) control: broadcast::Sender<ControlEvent>,
    /// Barrier at which each call of `output_part` waits for the others.
    pub(super) together: Barrier,
    /// Number of calls of `output_part` that have arrived.
    pub(super) arrived: AtomicU32,
}

#[async_trait]
impl Backend for Memory {
    async fn checkin(&self) -> Result<CheckinAnswer, Refusal> {
        let kept = self.kept.lock().unwrap();
        let done = kept.steps.iter().filter(|(_, result)| result.is_some());
        Ok(CheckinAnswer {
            run_id: "01hzyrun000000000000".to_owned(),
            name: None,
            kind: "job".to_owned(),
            attempt: 1,
            attempt_reason: "initial".to_owned(),
            agent: AgentSeen {
                name: "test".to_owned(),
                version: "1.0.0".to_owned(),
                digest: format!("sha256:{}", "0".repeat(64)),
            },
            session_id: Some("s".to_owned()),
            session_messages: None,
            input: Some("hello".into()),
            input_encoding: ValueEncoding::Text,
            brief_key: None,
            checkpoint: kept.checkpoint.clone(),
            completed_steps: done.map(|(key, _)| key.clone()).collect(),
            deadline_ms: None,
            step_time_left_ms: BTreeMap::new(),
        })
    }

    async fn begin_step(&self, key: &str, step: StepCall) -> Result<StepBegun, Refusal> {
        let mut kept = self.kept.lock().unwrap();
        if key.is_empty() {
            return Err(StepRefused::Key { key: key.to_owned() }.into());
        }
        match kept.steps.entry(key.to_owned()).or_default() {
            Some(result) => Ok(StepBegun::Done(result.clone())),
            None => Ok(StepBegun::Run { timeout: step.timeout, traceparent: None }),
        }
    }

    async fn complete_step(&self, key: &str, result: StepCallResult) -> Result<(), Refusal> {
        let mut kept = self.kept.lock().unwrap();
        let Some(step) = kept.steps.get_mut(key) else {
            return Err(StepRefused::NotBegun { key: key.to_owned() }.into());
        };
        if step.as_ref().is_some_and(|done| *done != result) {
            return Err(StepRefused::AlreadyCompleted { key: key.to_owned() }.into());
        }
        *step = Some(result);
        Ok(())
    }

    async fn fail_step(
        &self,
        key: &str,
        error: Failure,
        exit_code: Option<i32>,
    ) -> Result<(), Refusal> {
        self.kept.lock().unwrap().failures.push((key.to_owned(), error, exit_code));
        Ok(())
    }

    async fn checkpoint(&self) -> Result<Option<Payload>, Refusal> {
        Ok(self.kept.lock().unwrap().checkpoint.clone().map(Payload::Json))
    }

    async fn save_checkpoint(&self, state: Value) -> Result<(), Refusal> {
        self.kept.lock().unwrap().checkpoint = Some(state);
        Ok(())
    }

    async fn report(&self, events: Vec<ReportedEvent>) -> Result<(), Refusal> {
        for event in &events {
            Reported::new(&event.kind, event.data.clone())?;
        }
        self.kept.lock().unwrap().events.extend(events);
        Ok(())
    }

    async fn set_output(&self, output: Payload) -> Result<(), Refusal> {
        self.kept.lock().unwrap().output = Some(output);
        Ok(())
    }

    async fn output_part(&self, text: String) -> Result<(), Refusal> {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        self.together.wait().await;
        self.kept.lock().unwrap().parts.push(text);
        Ok(())
    }

    async fn keep_artifact(&self, upload: Upload) -> Result<String, Refusal> {
        let bytes = std::fs::read(&upload.path).unwrap();
        let uri = format!("artifact://01hzyrun000000000000/{}", upload.name);
        self.kept.lock().unwrap().artifacts.insert(upload.name.clone(), (bytes, upload));
        Ok(uri)
    }

    async fn brief(&self) -> Result<Vec<u8>, Refusal> {
        Err(Refusal::new(404, ErrorCode::BriefMissing, "the run has no brief"))
    }

    fn control(&self) -> ControlFeed {
        let later = self.control.subscribe();
        let cancel = ControlEvent::Cancel { reason: "asked".to_owned(), grace_ms: 1000 };
        let cancelled = self.kept.lock().unwrap().cancelled;
        ControlFeed { now: cancelled.then_some(cancel).into_iter().collect(), later }
    }

    async fn ask_approval(&self, ask: ApprovalCall) -> Result<ApprovalAnswer, Refusal> {
        tokio::time::sleep(ask.terms.wait).await;
        let digest = ask.digest.clone().unwrap_or_else(|| Digest::of(ask.action.as_bytes()));
        self.kept.lock().unwrap().approvals.push(ask);
        Ok(ApprovalAnswer {
            approval_id: "apr_1".to_owned(),
            decision: None,
            decided_by: None,
            comment: None,
            by_deadline: false,
            digest: digest.to_string(),
            parked: false,
        })
    }

    async fn ask_input(&self, ask: InputCall) -> Result<InputAnswer, Refusal> {
        tokio::time::sleep(ask.terms.wait).await;
        let answer = ask.schema.clone();
        self.kept.lock().unwrap().inputs.push(ask);
        Ok(InputAnswer {
            input_id: "inp_1".to_owned(),
            status: InputStatus::Answered,
            answer,
            answered_by: Some("somebody".to_owned()),
        })
    }

    async fn checkback(&self, result: AttemptResult) -> Result<(), Refusal> {
        self.kept.lock().unwrap().result = Some(result);
        Ok(())
    }
}

#[async_trait]
impl CoordinationBackend for Memory {
    async fn send_message(&self, message: SendMessage) -> Result<MessageAnswer, Refusal> {
        let mut kept = self.kept.lock().unwrap();
        kept.sent.push(message);
        let seq = u64::try_from(kept.sent.len()).unwrap();
        Ok(MessageAnswer { seq, id: format!("run/{seq}") })
    }

    /// Returns the oldest message that was sent.
    async fn next_message(&self, wait: Duration) -> Result<Option<AgentMessage>, Refusal> {
        let sent = {
            let mut kept = self.kept.lock().unwrap();
            (!kept.sent.is_empty()).then(|| kept.sent.remove(0))
        };
        let Some(SendMessage { to, kind, payload }) = sent else {
            tokio::time::sleep(wait).await;
            return Ok(None);
        };
        let (id, from) = ("run/1".to_owned(), "me".to_owned());
        Ok(Some(AgentMessage { id, from, to, message_type: kind, payload }))
    }

    async fn hand_over(&self, handoff: HandOver) -> Result<HandOverAnswer, Refusal> {
        self.kept.lock().unwrap().handoffs.push(handoff);
        Ok(HandOverAnswer { run_id: "01hzyrun000000000001".to_owned() })
    }
}

#[async_trait]
impl SessionBackend for Memory {
    async fn session(&self) -> Result<SessionAnswer, Refusal> {
        let (revision, state) = self.kept.lock().unwrap().session.clone();
        Ok(SessionAnswer { session_id: "s".to_owned(), revision, state })
    }

    async fn put_session(&self, state: Value, seen: Option<u64>) -> Result<SessionAnswer, Refusal> {
        let mut kept = self.kept.lock().unwrap();
        if seen.is_some_and(|seen| seen != kept.session.0) {
            return Err(Refusal::new(409, ErrorCode::SessionConflict, "it was changed"));
        }
        kept.session = (kept.session.0 + 1, state.clone());
        Ok(SessionAnswer { session_id: "s".to_owned(), revision: kept.session.0, state })
    }

    async fn session_messages(
        &self,
        before: Option<u64>,
        last: u32,
    ) -> Result<MessagesAnswer, Refusal> {
        let all = self.kept.lock().unwrap().messages.clone();
        let total = u64::try_from(all.len()).unwrap();
        let mut messages = Vec::new();
        for (number, message) in (1..).zip(all) {
            let (content, encoding) = unpack(message.content).unwrap();
            let (run_id, role) = ("01hzyrun000000000000".to_owned(), message.role);
            messages.push(AgentSessionMessage {
                number,
                run_id,
                role,
                content,
                encoding,
                at_ms: 1,
            });
        }
        messages.retain(|message| before.is_none_or(|before| message.number < before));
        let first = messages.len().saturating_sub(usize::try_from(last).unwrap());
        Ok(MessagesAnswer {
            session_id: "s".to_owned(),
            total,
            messages: messages.split_off(first),
        })
    }

    async fn append_messages(
        &self,
        messages: Vec<errand_model::event::SessionMessage>,
    ) -> Result<(), Refusal> {
        self.kept.lock().unwrap().messages.extend(messages);
        Ok(())
    }

    async fn session_result(
        &self,
        tool: &str,
        key: &Digest,
    ) -> Result<Option<KeptResult>, Refusal> {
        Ok(self.kept.lock().unwrap().results.get(&(tool.to_owned(), key.clone())).cloned())
    }

    async fn keep_session_result(
        &self,
        tool: &str,
        key: Digest,
        result: Payload,
        ttl: Duration,
    ) -> Result<Timestamp, Refusal> {
        let expires_at = Timestamp::from_millis(0).plus(ttl);
        let run_id = "01hzyrvn000000000000".parse().unwrap();
        let kept = KeptResult { result, run_id, expires_at: Some(expires_at) };
        self.kept.lock().unwrap().results.insert((tool.to_owned(), key), kept);
        Ok(expires_at)
    }
}

/// A server on its own socket, with a backend in memory.
pub(super) struct World {
    pub(super) memory: Arc<Memory>,
    pub(super) url: String,
    pub(super) revoke: Revoke,
    pub(super) folder: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    tasks: JoinSet<()>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_calls_together(1)
    }

    pub(super) fn with_calls_together(calls: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let memory = Arc::new(Memory {
            kept: Mutex::default(),
            control: broadcast::channel(4).0,
            together: Barrier::new(calls),
            arrived: AtomicU32::new(0),
        });
        let uploads = folder.path().join("uploads");
        std::fs::create_dir(&uploads).unwrap();
        let bind =
            Bind { socket: folder.path().join("api.sock"), token: TOKEN.to_owned(), uploads };
        let server = AgentApiServer::bind(bind, Arc::clone(&memory) as Arc<dyn Backend>).unwrap();
        let (url, revoke) = (server.url(), server.revoke_handle());
        let (stop, stopped) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            server
                .serve(async {
                    drop(stopped.await);
                })
                .await;
        });
        Self { memory, url, revoke, folder, stop: Some(stop), tasks }
    }

    pub(super) fn client(&self) -> Client {
        self.client_with(TOKEN)
    }

    pub(super) fn client_with(&self, token: &str) -> Client {
        let url = OsStr::new(&self.url);
        Client::from_environment(Some(url), Some(OsStr::new(token))).unwrap()
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("api.sock")
    }

    pub(super) fn uploads(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("uploads")).unwrap().count()
    }

    /// Shuts the server down and waits for its end.
    pub(super) async fn shut_down(&mut self) {
        drop(self.stop.take());
        self.tasks.join_next().await.unwrap().unwrap();
    }

    /// Sends bytes on a new connection and reads the answer until the server closes the connection.
    pub(super) async fn raw(&self, bytes: Vec<u8>) -> String {
        let socket = self.socket();
        let exchange = move || {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            // A server may answer and close the connection before it has read everything.
            drop(stream.write_all(&bytes));
            let mut answer = Vec::new();
            drop(stream.read_to_end(&mut answer));
            String::from_utf8_lossy(&answer).into_owned()
        };
        tokio::task::spawn_blocking(exchange).await.unwrap()
    }

    /// Sends a request with a body, which asks for the connection to be closed; returns the answer.
    pub(super) async fn request(&self, method: &str, path: &str, body: &str) -> String {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: bearer {TOKEN}\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        self.raw(head.into_bytes()).await
    }
}
