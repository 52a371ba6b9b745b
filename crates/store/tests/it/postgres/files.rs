//! Blobs and logs that all machines reach.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::time::Duration;

use errand_model::Digest;
use errand_store::{LogPart, Removal, Store as _};

use crate::world::{START, Writer};

#[tokio::test]
async fn a_shared_blob_is_read_as_it_was_stored() {
    let fresh = super::Fresh::new();
    let store = fresh.open_postgres();
    let blobs = store.shared_blobs().unwrap();
    for length in [0, 1, 1_048_576, 2_500_000] {
        let bytes: Vec<u8> = (0..length).map(|at: u32| at.to_le_bytes()[1]).collect();
        let digest = Digest::of(&bytes);
        assert!(!blobs.get(&digest, &mut Vec::new()).unwrap());
        blobs.put(&digest, &mut Cursor::new(&bytes)).unwrap();
        blobs.put(&digest, &mut Cursor::new(&bytes)).unwrap();
        let mut read = Vec::new();
        assert!(blobs.contains(&digest).unwrap() && blobs.get(&digest, &mut read).unwrap());
        assert_eq!(Digest::of(&read), digest);
        let unnamed = BTreeSet::from([digest.clone()]);
        assert_eq!(blobs.touch(&unnamed).unwrap(), unnamed);
        assert_eq!(blobs.remove(&unnamed, Duration::from_secs(60)).unwrap(), (0, 0));
        let listed = blobs.list(None, 9).unwrap();
        assert_eq!((&listed[0].digest, listed[0].size_bytes), (&digest, u64::from(length)));
        let removed = blobs.remove(&unnamed, Duration::ZERO).unwrap();
        assert_eq!(removed, (1, u64::from(length)));
        assert_eq!(blobs.touch(&unnamed).unwrap(), BTreeSet::new());
        assert!(!blobs.contains(&digest).unwrap());
    }
}

#[tokio::test]
async fn a_shared_log_is_read_from_any_offset_and_removed_with_its_run() {
    let fresh = super::Fresh::new();
    let store = fresh.open_postgres();
    let (writer, admission) = Writer::job();
    store.admit(admission).await.unwrap();
    let (run_id, logs) = (writer.run.id, store.shared_logs().unwrap());
    assert_eq!(logs.end(&run_id).unwrap(), 0);
    let part = |offset: u64, text: &str| LogPart {
        attempt: 1,
        at: START,
        offset,
        bytes: text.as_bytes().to_vec(),
    };
    let parts = [part(0, "one\n"), part(4, "two\n"), part(8, "three\n")];
    for part in &parts {
        logs.append(&run_id, part.clone()).unwrap();
        logs.append(&run_id, part.clone()).unwrap();
    }
    assert_eq!(logs.end(&run_id).unwrap(), 14);
    assert_eq!(logs.read(&run_id, 0, 9).unwrap(), parts);
    assert_eq!(logs.read(&run_id, 5, 9).unwrap(), parts[1..]);
    assert_eq!(logs.read(&run_id, 8, 9).unwrap(), parts[2..]);
    assert_eq!(logs.read(&run_id, 0, 1).unwrap(), parts[..1]);
    assert_eq!(logs.read(&run_id, 14, 9).unwrap(), []);
    store.remove(&run_id, Removal::Any).await.unwrap();
    assert_eq!(logs.end(&run_id).unwrap(), 0);
}
