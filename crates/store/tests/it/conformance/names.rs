//! Names in journals, documents and sessions, until those are removed.

use std::collections::BTreeSet;

use errand_model::event::{ArtifactCreated, CheckpointSaved, EventBody};
use errand_model::run::ProvideInput;
use errand_model::{Blob, Digest, Encoding, Payload};
use errand_store::{DocumentChange, DocumentKind, DocumentWrite, Expect, Name, Removal, Store};

use super::StoreFactory;
use super::appending::started;
use crate::world::START;

fn artifact(content: &str) -> EventBody {
    EventBody::ArtifactCreated(ArtifactCreated {
        name: content.to_owned(),
        digest: Digest::of(content.as_bytes()),
        size_bytes: 1,
        media_type: None,
    })
}

fn blob(content: &str) -> Payload {
    let digest = Digest::of(content.as_bytes());
    Payload::Blob(Blob { digest, size_bytes: 1, encoding: Encoding::Text })
}

fn digests(contents: &[&str]) -> BTreeSet<Digest> {
    contents.iter().map(|content| Digest::of(content.as_bytes())).collect()
}

async fn named(store: &dyn Store, contents: &[&str]) -> BTreeSet<Digest> {
    let asked: Vec<Digest> = digests(contents).into_iter().collect();
    store.named(&asked).await.unwrap()
}

pub(crate) async fn names_in_a_journal_last_until_its_run_is_removed(factory: &impl StoreFactory) {
    let store = factory.open();
    let (mut one, mut other) = (started(&*store).await, started(&*store).await);
    let saved = EventBody::CheckpointSaved(CheckpointSaved { state: blob("state") });
    store.append(one.append(&[artifact("own"), artifact("both"), saved])).await.unwrap();
    store.append(other.append(&[artifact("both"), artifact("both")])).await.unwrap();
    let parcel = Name { digest: Digest::of(b"parcel"), is_parcel: true };
    let names = store.names_of_run(&other.run.id).await.unwrap();
    let both = Name { digest: Digest::of(b"both"), is_parcel: false };
    assert_eq!(BTreeSet::from_iter(names), BTreeSet::from([both, parcel]));
    let all = ["own", "both", "state", "parcel", "nothing"];
    let those = |contents: &[&str]| digests(contents);
    assert_eq!(named(&*store, &all).await, those(&all[..4]));
    assert_eq!(store.named_parcels().await.unwrap(), those(&["parcel"]));
    store.remove(&one.run.id, Removal::Any).await.unwrap();
    assert_eq!(named(&*store, &all).await, those(&["both", "parcel"]));
    store.append(other.complete()).await.unwrap();
    assert_eq!(store.remove_ended(vec![other.run.id.clone()]).await.unwrap(), 1);
    assert_eq!(named(&*store, &all).await, those(&[]));
    assert_eq!(store.named_parcels().await.unwrap(), those(&[]));
    assert_eq!(store.index_names(9).await.unwrap(), 0);
}

pub(crate) async fn documents_requests_and_inventories_name_digests_in_their_text(
    factory: &impl StoreFactory,
) {
    let store = factory.open();
    let document = |kind, content: &str| DocumentWrite {
        kind,
        namespace: None,
        key: content.to_owned(),
        expect: Expect::Anything,
        change: DocumentChange::Put {
            body: serde_json::json!({ "of": format!("x {}", Digest::of(content.as_bytes())) }),
            due_at: None,
        },
    };
    let writes = vec![
        document(DocumentKind::AgentVersion, "version"),
        document(DocumentKind::Turn, "turn"),
        // Records of past actions keep nothing.
        document(DocumentKind::Audit, "audit"),
    ];
    store.write_documents(writes).await.unwrap();
    let bom = Digest::of(b"bom");
    store.put_bom("agent", &bom, START).await.unwrap();
    let run = started(&*store).await.run.id;
    let answer = ProvideInput {
        input_id: "x".to_owned(),
        answer: blob("answer"),
        by: "me".to_owned(),
        decision_id: Some("y".to_owned()),
    };
    store.request(&run, answer.into(), START).await.unwrap();
    let found = store.named_elsewhere().await.unwrap();
    assert_eq!(found, digests(&["version", "turn", "bom", "answer"]));
}
