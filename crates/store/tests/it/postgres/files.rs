//! Blobs and logs that other machines reach.

use std::io::Cursor;

use errand_model::Digest;
use errand_store::{LogPart, Removal, Store as _};

use crate::world::{START, Writer};

#[tokio::test]
async fn a_blob_is_read_as_it_was_kept() {
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
        blobs.remove(&digest).unwrap();
        assert!(!blobs.contains(&digest).unwrap());
    }
}

#[tokio::test]
async fn a_log_is_read_from_any_place_and_goes_with_its_run() {
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
