//! Application of manifests: all of them, or none.

use std::collections::{BTreeMap, BTreeSet};

use errand_api::audit::{Action, Actor};
use errand_api::catalog::{
    CatalogChange, CatalogManifest, CatalogOutcome, CatalogSpec, DefinitionName,
};
use errand_model::catalog::CatalogKind;
use errand_policy::{Policy, RegoInvalid};
use errand_store::{DocumentKind, DocumentWrite, Expect};
use serde_json::json;

use super::files::{self, FiledDefinition};
use super::stored::{self, CurrentVersion, StoredDefinition, StoredVersion, key_of};
use super::{CatalogProblem, Error};
use crate::audit::AuditedAction;
use crate::named::TRIES;
use crate::{Engine, audit};

/// Most definitions of one kind in one namespace.
const LIMIT: u32 = 1_000;
/// Versions that are kept of a definition; the oldest one makes place for a new one.
const VERSIONS_KEPT: u64 = 1_000;

/// A stored definition with the revision of its document; `None`: it was never stored.
type Found = Option<(StoredDefinition, u64)>;

/// Applies manifests: all of them, or none. The commit also records `by` in the audit log.
///
/// # Errors
///
/// [`CatalogProblem`]; nothing was changed then.
pub async fn apply(
    engine: &Engine,
    namespace: Option<&str>,
    manifests: &[CatalogManifest],
    by: &Actor,
) -> Result<Vec<CatalogChange>, Error> {
    for _ in 0..TRIES {
        let mut plan = planned(engine, namespace, manifests).await?;
        if plan.writes.is_empty() {
            return Ok(plan.changes);
        }
        for manifest in plan.new {
            engine.blobs().put(manifest.canonical().as_bytes())?;
        }
        for change in &plan.changes {
            plan.writes.extend(audited(engine, namespace, change, by)?);
        }
        match engine.store().write_documents(plan.writes).await {
            Ok(()) => return Ok(plan.changes),
            Err(errand_store::Error::DocumentChanged { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(CatalogProblem::Contended.into())
}

/// Returns the changes that an application of manifests would make.
///
/// # Errors
///
/// As [`apply`].
pub async fn changes(
    engine: &Engine,
    namespace: Option<&str>,
    manifests: &[CatalogManifest],
) -> Result<Vec<CatalogChange>, Error> {
    Ok(planned(engine, namespace, manifests).await?.changes)
}

async fn planned<'a>(
    engine: &Engine,
    namespace: Option<&str>,
    manifests: &'a [CatalogManifest],
) -> Result<Plan<'a>, Error> {
    let filed = files::read(engine, namespace)?;
    for manifest in manifests {
        let (kind, name) = manifest.name();
        if let Some(filed) = files::find(&filed, &(kind, name.clone())) {
            let file = filed.file.clone();
            return Err(CatalogProblem::FromFile { kind, name, file }.into());
        }
        check_program(manifest)?;
    }
    Plan::of(engine, namespace, manifests, &filed).await
}

/// Refuses a policy whose program is not valid.
fn check_program(manifest: &CatalogManifest) -> Result<(), CatalogProblem> {
    let CatalogSpec::Policy(policy) = &manifest.spec else { return Ok(()) };
    let name = manifest.metadata.name.clone();
    match Policy::compile(&name, None, policy) {
        Ok(_) => Ok(()),
        Err(RegoInvalid { line, message }) => {
            Err(CatalogProblem::PolicyInvalid { name, line, reason: message })
        }
    }
}

/// Returns the write that records a change in the audit log; `None` for a definition that stays as it
/// is.
fn audited(
    engine: &Engine,
    namespace: Option<&str>,
    change: &CatalogChange,
    by: &Actor,
) -> Result<Option<DocumentWrite>, Error> {
    if change.outcome == CatalogOutcome::Unchanged {
        return Ok(None);
    }
    let deed = AuditedAction {
        namespace,
        action: Action::DefinitionApplied,
        object: &key_of(&(change.kind, change.name.clone())),
        by,
        detail: json!({ "version": change.version, "digest": change.digest }),
    };
    Ok(Some(audit::write(engine, deed)?))
}

/// Changes that an application makes to the documents as they were read.
#[derive(Debug, Default)]
struct Plan<'a> {
    changes: Vec<CatalogChange>,
    writes: Vec<DocumentWrite>,
    /// Manifests that are to be stored.
    new: Vec<&'a CatalogManifest>,
}

impl<'a> Plan<'a> {
    async fn of(
        engine: &Engine,
        namespace: Option<&str>,
        manifests: &'a [CatalogManifest],
        filed: &[FiledDefinition],
    ) -> Result<Self, Error> {
        let mut plan = Self::default();
        let mut added: BTreeSet<CatalogKind> = BTreeSet::new();
        let own: BTreeSet<DefinitionName> = manifests.iter().map(CatalogManifest::name).collect();
        let mut named: BTreeMap<DefinitionName, &CatalogManifest> = BTreeMap::new();
        for manifest in manifests {
            let definition = manifest.name();
            let found = stored::load(engine, namespace, &definition).await?;
            if plan.change(engine, namespace, manifest, found) == CatalogOutcome::Created {
                added.insert(definition.0);
            }
            let references = manifest.spec.references().into_iter();
            named
                .extend(references.filter(|name| !own.contains(name)).map(|name| (name, manifest)));
        }
        if plan.writes.is_empty() {
            return Ok(plan);
        }
        for (name, of) in named {
            if files::find(filed, &name).is_some() {
                continue;
            }
            let Some(touch) = touch(engine, namespace, &name).await? else {
                let (kind, name) = name;
                let of = key_of(&of.name());
                return Err(CatalogProblem::ReferenceUnknown { of, kind, name }.into());
            };
            plan.writes.push(touch);
        }
        for kind in added {
            let new = plan
                .changes
                .iter()
                .filter(|it| it.kind == kind && it.outcome == CatalogOutcome::Created);
            let new = u32::try_from(new.count()).unwrap_or(u32::MAX);
            let known = super::list(engine, namespace, kind, None, LIMIT).await?.len();
            if u32::try_from(known).unwrap_or(u32::MAX).saturating_add(new) > LIMIT {
                return Err(CatalogProblem::TooMany { kind, limit: LIMIT }.into());
            }
        }
        Ok(plan)
    }

    /// Adds the change that one manifest makes.
    fn change(
        &mut self,
        engine: &Engine,
        namespace: Option<&str>,
        manifest: &'a CatalogManifest,
        found: Found,
    ) -> CatalogOutcome {
        let definition = manifest.name();
        let content = manifest.canonical();
        let digest = manifest.digest();
        let (stored, expect) = match found {
            Some((stored, revision)) => (Some(stored), Expect::Revision(revision)),
            None => (None, Expect::Absent),
        };
        let last = stored.as_ref().map_or(0, |stored| stored.version);
        let current = stored.and_then(|stored| stored.current);
        let (outcome, version) = match &current {
            Some(current) if current.digest == digest => (CatalogOutcome::Unchanged, last),
            Some(_) => (CatalogOutcome::Changed, last + 1),
            None => (CatalogOutcome::Created, last + 1),
        };
        let (kind, name) = definition.clone();
        let change = CatalogChange { kind, name, outcome, version, digest: digest.clone() };
        self.changes.push(change);
        if outcome == CatalogOutcome::Unchanged {
            return outcome;
        }
        let now = engine.now();
        let stored = StoredDefinition {
            schema: 1,
            kind: definition.0,
            name: definition.1.clone(),
            version,
            changed_at_ms: now,
            current: Some(CurrentVersion {
                digest: digest.clone(),
                size_bytes: u64::try_from(content.len()).unwrap_or(u64::MAX),
                labels: manifest.metadata.labels.clone(),
                description: manifest.description().map(str::to_owned),
                references: manifest.spec.references(),
            }),
        };
        let key = key_of(&definition);
        self.writes.push(stored::put(DocumentKind::CatalogItem, namespace, key, &stored, expect));
        let key = stored::version_key(&definition, version);
        let body = StoredVersion { digest, made_at_ms: now };
        let write =
            stored::put(DocumentKind::CatalogVersion, namespace, key, &body, Expect::Anything);
        self.writes.push(write);
        if let Some(oldest) = version.checked_sub(VERSIONS_KEPT).filter(|oldest| *oldest > 0) {
            let key = stored::version_key(&definition, oldest);
            self.writes.push(stored::removal(namespace, key));
        }
        self.new.push(manifest);
        outcome
    }
}

/// Returns a write that leaves a definition as it is, and fails if it was deleted or changed
/// meanwhile; `None` if it does not exist.
pub(super) async fn touch(
    engine: &Engine,
    namespace: Option<&str>,
    definition: &DefinitionName,
) -> Result<Option<DocumentWrite>, Error> {
    let Some((stored, revision)) = stored::load(engine, namespace, definition).await? else {
        return Ok(None);
    };
    let expect = Expect::Revision(revision);
    let key = key_of(definition);
    let write = || stored::put(DocumentKind::CatalogItem, namespace, key, &stored, expect);
    Ok(stored.current.is_some().then(write))
}
