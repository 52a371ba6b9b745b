//! Removal of a registered agent. Its parcels stay, since runs refer to them.

use errand_api::audit::{Action, Actor};
use errand_store::{DocumentChange, DocumentKind, DocumentWrite, Expect};
use serde_json::json;

use super::find::not_found;
use super::{Error, Version, version_key, versions};
use crate::error::RunEnding;
use crate::{Engine, audit};

/// Tries of a removal that collides with registrations of the same agent.
const TRIES: usize = 8;
/// Most versions read when an agent is removed.
const VERSIONS_LIMIT: u32 = 10_000;

/// Removes an agent with all its versions, or one version. If that was the current one, the latest
/// of the others becomes current; if it was the only one, the agent is removed.
///
/// # Errors
///
/// [`super::AgentProblem::NotFound`]; nothing was removed then.
pub async fn remove(
    engine: &Engine,
    namespace: Option<&str>,
    (name, version): (&str, Option<&str>),
    by: &Actor,
) -> Result<(), Error> {
    for _ in 0..TRIES {
        let current = engine.store().document(DocumentKind::Agent, namespace, name).await?;
        let expect = current.map_or(Expect::Absent, |it| Expect::Revision(it.revision));
        let writes = writes(engine, namespace, (name, version, expect), by).await?;
        match engine.store().write_documents(writes).await {
            // A version was registered meanwhile.
            Err(errand_store::Error::DocumentChanged { .. }) => {}
            written => return Ok(written?),
        }
    }
    Err(RunEnding.into())
}

/// Returns the writes of a removal, which expect the agent to be unchanged.
async fn writes(
    engine: &Engine,
    namespace: Option<&str>,
    (name, version, expect): (&str, Option<&str>, Expect),
    by: &Actor,
) -> Result<Vec<DocumentWrite>, Error> {
    let all = versions(engine, namespace, name, None, VERSIONS_LIMIT).await?;
    let (gone, left): (Vec<Version>, Vec<Version>) =
        all.into_iter().partition(|it| version.is_none_or(|version| it.version == version));
    if let (true, Some(version)) = (gone.is_empty(), version) {
        return Err(not_found(engine, namespace, name, Some(version)).await?.into());
    }
    let write = |kind, key: &str, (expect, change)| DocumentWrite {
        kind,
        namespace: namespace.map(str::to_owned),
        key: key.to_owned(),
        expect,
        change,
    };
    let mut writes: Vec<DocumentWrite> = gone
        .iter()
        .map(|it| {
            let key = version_key(name, &it.version);
            write(DocumentKind::AgentVersion, &key, (Expect::Anything, DocumentChange::Remove))
        })
        .collect();
    let next = left.into_iter().max_by_key(|version| version.registered_at);
    let change = next.map_or(DocumentChange::Remove, |next| DocumentChange::Put {
        body: super::register::body(&next).to_json(),
        due_at: None,
    });
    writes.push(write(DocumentKind::Agent, name, (expect, change)));
    let object = version.map_or_else(|| name.to_owned(), |version| version_key(name, version));
    let deed = audit::AuditedAction {
        namespace,
        action: Action::AgentDeleted,
        object: &object,
        by,
        detail: json!({ "versions": gone.len() }),
    };
    writes.push(audit::write(engine, deed)?);
    Ok(writes)
}
