//! Client of the agent API, for programs inside a run.

mod connection;
mod endpoint;
mod error;
mod message;
mod request;
mod session;

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use errand_api::agent_protocol::{
    ApprovalAnswer, ArtifactAnswer, AskApproval, AskInput, BeginStep, BeginStepAnswer, Checkback,
    Checkin, CheckinAnswer, CheckpointAnswer, CompleteStep, Done, FailStep, InputAnswer,
    OutputPart, PutSession, ReportEvents, ReportEventsAnswer, Reserve, ReserveAnswer,
    SaveCheckpoint, SessionAnswer, SetOutput, path,
};
use hyper::Method;
use hyper::body::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::error::ClientError;

use self::connection::Connection;
use self::endpoint::Endpoint;
use self::request::Content;

/// Media type of a file without a declared one.
const BYTES: &str = "application/octet-stream";

/// Client of the agent API. Calls one at a time, over one connection that is replaced when it is
/// old. Needs a tokio runtime with I/O and time.
pub struct Client {
    connection: Connection,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("api", &self.connection.api()).finish_non_exhaustive()
    }
}

impl Client {
    /// Creates a client from the values of `ERRAND_API` and `ERRAND_TOKEN`. Does not connect yet.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotInRun`] if one of them is not set, [`ClientError::Address`].
    pub fn from_environment(
        api: Option<&OsStr>,
        token: Option<&OsStr>,
    ) -> Result<Self, ClientError> {
        let set = |value: Option<&OsStr>, variable| {
            let value = value.filter(|value| !value.is_empty());
            let value = value.ok_or(ClientError::NotInRun { variable })?;
            Ok(value.to_string_lossy().into_owned())
        };
        let api = set(api, "ERRAND_API")?;
        let token = set(token, "ERRAND_TOKEN")?;
        let Some(endpoint) = Endpoint::parse(&api) else {
            return Err(ClientError::Address { api });
        };
        Ok(Self { connection: Connection::new(api, endpoint, &token) })
    }

    /// Returns a client that waits for so long for a supervisor that is gone, since another one will
    /// take its place. Calls that are the same twice as once are then sent again.
    #[must_use]
    pub fn reconnecting(mut self, limit: Duration) -> Self {
        self.connection.reconnect_for(limit);
        self
    }

    /// Closes the connection, if there is one; the next call opens another. Programs that will not
    /// call for some time use it, because the server serves a limited number of connections.
    pub fn hang_up(&mut self) {
        self.connection.close();
    }

    /// Returns everything that the attempt starts from.
    ///
    /// # Errors
    ///
    /// [`ClientError`], as with every call.
    pub async fn checkin(&mut self) -> Result<CheckinAnswer, ClientError> {
        self.send(Method::POST, path::CHECKIN, &Checkin {}).await
    }

    /// Begins a step, or returns the result of a step that is done.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn begin_step(
        &mut self,
        key: &str,
        step: &BeginStep,
    ) -> Result<BeginStepAnswer, ClientError> {
        self.send(Method::POST, &path::begin_step(key), step).await
    }

    /// Records the result of a step.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn complete_step(
        &mut self,
        key: &str,
        step: &CompleteStep,
    ) -> Result<(), ClientError> {
        self.send(Method::POST, &path::complete_step(key), step).await.map(|Done {}| ())
    }

    /// Records that a step failed.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn fail_step(&mut self, key: &str, step: &FailStep) -> Result<(), ClientError> {
        self.send(Method::POST, &path::fail_step(key), step).await.map(|Done {}| ())
    }

    /// Saves the agent's state.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn save_checkpoint(&mut self, state: &SaveCheckpoint) -> Result<(), ClientError> {
        self.send(Method::PUT, path::CHECKPOINT, state).await.map(|Done {}| ())
    }

    /// Returns the state that was saved last.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn checkpoint(&mut self) -> Result<CheckpointAnswer, ClientError> {
        self.get(path::CHECKPOINT).await
    }

    /// Records events, all or none.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn report(
        &mut self,
        events: &ReportEvents,
    ) -> Result<ReportEventsAnswer, ClientError> {
        self.send(Method::POST, path::EVENTS, events).await
    }

    /// Reserves a part of the budget for a call.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn reserve(&mut self, call: &Reserve) -> Result<ReserveAnswer, ClientError> {
        self.send(Method::POST, path::RESERVATIONS, call).await
    }

    /// Releases a reservation.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn release(&mut self, reservation_id: &str) -> Result<(), ClientError> {
        let path = path::reservation(reservation_id);
        let nothing = Content::Whole(None);
        let done = self.connection.call(Method::DELETE, &path, BYTES, nothing).await;
        done.map(|Done {}| ())
    }

    /// Sets the run's output.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn set_output(&mut self, output: &SetOutput) -> Result<(), ClientError> {
        self.send(Method::PUT, path::OUTPUT, output).await.map(|Done {}| ())
    }

    /// Forwards a part of the output's text.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn output_part(&mut self, part: &OutputPart) -> Result<(), ClientError> {
        self.send(Method::POST, path::OUTPUT, part).await.map(|Done {}| ())
    }

    /// Sends a regular file as an artifact.
    ///
    /// # Errors
    ///
    /// [`ClientError::File`] if it cannot be opened or is not a regular file; [`ClientError`].
    pub async fn keep_artifact(
        &mut self,
        name: &str,
        file: &Path,
        media_type: Option<&str>,
    ) -> Result<ArtifactAnswer, ClientError> {
        let unreadable = |source| ClientError::File { what: file.display().to_string(), source };
        let opened = File::open(file).map_err(unreadable)?;
        let about = opened.metadata().map_err(unreadable)?;
        if !about.is_file() {
            return Err(unreadable(std::io::Error::other("it is no regular file")));
        }
        let content = Content::File { file: opened, left: about.len() };
        let media_type = media_type.unwrap_or(BYTES);
        self.connection.call(Method::POST, &path::artifact(name), media_type, content).await
    }

    /// Returns the brief: a JSON document.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn brief(&mut self) -> Result<Bytes, ClientError> {
        let nothing = Content::Whole(None);
        self.connection.exchange(Method::GET, path::BRIEF, BYTES, nothing).await
    }

    /// Returns the session's state.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn session(&mut self) -> Result<SessionAnswer, ClientError> {
        self.get(path::SESSION).await
    }

    /// Changes the session's state.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn put_session(&mut self, state: &PutSession) -> Result<SessionAnswer, ClientError> {
        self.send(Method::PUT, path::SESSION, state).await
    }

    /// Asks a person for an approval. Returns when it is decided, or after `ask.wait_ms`.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn ask_approval(&mut self, ask: &AskApproval) -> Result<ApprovalAnswer, ClientError> {
        self.connection.be_patient(ask.wait_ms);
        self.send(Method::POST, path::APPROVALS, ask).await
    }

    /// Asks a person for input. Returns when it is answered, or after `ask.wait_ms`.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn ask_input(&mut self, ask: &AskInput) -> Result<InputAnswer, ClientError> {
        self.connection.be_patient(ask.wait_ms);
        self.send(Method::POST, path::INPUTS, ask).await
    }

    /// Reports the attempt's result.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn checkback(&mut self, result: &Checkback) -> Result<(), ClientError> {
        self.send(Method::POST, path::CHECKBACK, result).await.map(|Done {}| ())
    }

    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        self.connection.call(Method::GET, path, BYTES, Content::Whole(None)).await
    }

    async fn send<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        document: &impl Serialize,
    ) -> Result<T, ClientError> {
        let json = serde_json::to_vec(document).map_err(|error| ClientError::File {
            what: "the call".to_owned(),
            source: error.into(),
        })?;
        let content = Content::Whole(Some(json.into()));
        self.connection.call(method, path, "application/json", content).await
    }
}
