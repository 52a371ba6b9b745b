//! A run of a registered agent that is fired by a schedule's slot or by a request to a hook.

use std::collections::BTreeMap;

use errand_model::event::{OnBusy, RunKind, Trigger};
use errand_model::placement::Placement;
use errand_model::scoped;
use errand_store::DocumentWrite;

use crate::run_options::RunOptions;
use crate::submission::{CheckedSubmission, Lineage, Submission};
use crate::{Engine, Error, agents};

/// A run to be fired.
#[derive(Clone, Debug)]
pub(crate) struct Firing {
    /// Namespace of the run.
    pub(crate) namespace: Option<String>,
    /// `name`, or `name@version`.
    pub(crate) agent: String,
    /// Cause of the run.
    pub(crate) trigger: Trigger,
    /// Input of the agent; `None` for a heartbeat without input.
    pub(crate) input: Option<Vec<u8>>,
    /// Labels, which override the agent's.
    pub(crate) labels: BTreeMap<String, String>,
    /// Session that it belongs to, as the namespace names it.
    pub(crate) session_id: Option<String>,
}

impl Firing {
    /// Checks everything that can be checked without a worker.
    ///
    /// # Errors
    ///
    /// [`agents::Error::NotFound`], [`crate::schema::SchemaProblem::Input`], and other errors of agent and input.
    pub(crate) async fn check(&self, engine: &Engine) -> Result<CheckedSubmission, Error> {
        let (name, version) = agents::split_reference(&self.agent);
        let namespace = self.namespace.as_deref();
        let version = agents::find(engine, namespace, name, version).await?;
        let parcel = agents::open(engine, &version)?;
        let kind = if self.input.is_some() { RunKind::Job } else { RunKind::Heartbeat };
        let root = engine.registry().root();
        let session_id = self.session_id.as_ref().map(|id| scoped(namespace, id));
        let options = RunOptions {
            labels: self.labels.clone(),
            session_turn: session_id.as_ref().map(|_| OnBusy::Enqueue),
            session_id,
            detached: true,
            // Runs of a server start in the folder that contains its registry.
            cwd: root.parent().unwrap_or(root).display().to_string(),
            namespace: self.namespace.clone(),
            placement: Some(Placement::default()),
            ..RunOptions::default()
        };
        Ok(CheckedSubmission::for_any_worker(
            engine,
            Submission {
                parcel,
                source: version.source,
                kind,
                trigger: self.trigger.clone(),
                input: self.input.clone(),
                options,
                service: None,
                parent: None,
                origin: None,
                member: None,
                lineage: Lineage::default(),
            },
        )?)
    }
}

/// Returns true if a text can name a session of a namespace: with a slash in it, it could mean one
/// of another namespace.
pub(crate) fn is_session(text: &str) -> bool {
    crate::run_options::is_name(text) && !text.contains('/')
}

/// Returns true if another process changed the document first.
pub(crate) const fn is_changed(error: &Error) -> bool {
    matches!(error, Error::Store(errand_store::Error::DocumentChanged { .. }))
}

/// Returns the write of a document.
pub(crate) fn put(
    (kind, namespace, key): (errand_store::DocumentKind, Option<&str>, String),
    body: &impl serde::Serialize,
    expect: errand_store::Expect,
    due_at: Option<errand_model::Timestamp>,
) -> DocumentWrite {
    let body = serde_json::to_value(body).unwrap_or_default();
    let change = errand_store::DocumentChange::Put { body, due_at };
    DocumentWrite { kind, namespace: namespace.map(str::to_owned), key, expect, change }
}

/// Returns true if a text can be the name of a schedule or a hook: 1 to 63 of `a-z 0-9 - _ .`,
/// beginning with a letter or digit.
pub(crate) fn is_name(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= 63
        && text.bytes().next().is_some_and(is_plain)
        && text.bytes().all(|b| is_plain(b) || matches!(b, b'-' | b'_' | b'.'))
}
