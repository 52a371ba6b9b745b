//! Registered agents under concurrent changes.

use std::path::{Path, PathBuf};

use errand_api::audit::Actor;
use errand_engine::agents::{self, Registration, Replace};
use errand_store::DocumentKind;

use crate::schedules::World;

fn folder(root: &Path, version: &str) -> PathBuf {
    let folder = root.join(version);
    std::fs::create_dir_all(&folder).unwrap();
    let file = format!(
        "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: some, version: {version:?} }}\n\
         spec: {{ command: [/bin/true] }}\n"
    );
    std::fs::write(folder.join("agent.yaml"), file).unwrap();
    folder
}

#[tokio::test]
async fn concurrent_removal_and_registration_leave_both_agent_documents_or_neither() {
    let world = World::new("2026-06-01T12:00:00Z").await;
    let (engine, root) = (&world.engine, tempfile::tempdir().unwrap());
    let by = &Actor { key: None, name: None, from: "test".to_owned() };
    let register = |version: &'static str| {
        let plan = agents::check(&folder(root.path(), version), "agent.yaml").unwrap();
        let (source, replace) = ("test".to_owned(), Replace::Yes);
        agents::register(engine, plan, Registration { namespace: None, source, replace, by })
    };
    for _ in 0..40 {
        register("1.0.0").await.unwrap();
        let removed = agents::remove(engine, None, ("some", None), by);
        let (registered, removed) = tokio::join!(register("2.0.0"), removed);
        registered.unwrap();
        removed.unwrap();
        let document = |kind, key| engine.store().document(kind, None, key);
        let version = document(DocumentKind::AgentVersion, "some@2.0.0").await.unwrap();
        let current = document(DocumentKind::Agent, "some").await.unwrap();
        assert_eq!(version.is_some(), current.is_some(), "{version:?} {current:?}");
    }
}
