//! The suite of a place.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::time::Duration;

use errand_blobs::PlacedBlobs;
use errand_model::{Digest, RunId, Timestamp, brief_key};
use errand_store::{BlobPlaceFault, Error, SharedBlobs as _};

use crate::place::TestPlace;

pub(crate) fn put(blobs: &PlacedBlobs, bytes: &[u8]) -> Digest {
    let digest = Digest::of(bytes);
    blobs.put(&digest, &mut Cursor::new(bytes)).unwrap();
    digest
}

pub(crate) fn get(blobs: &PlacedBlobs, digest: &Digest) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    blobs.get(digest, &mut bytes).unwrap().then_some(bytes)
}

fn one(digest: &Digest) -> BTreeSet<Digest> {
    BTreeSet::from([digest.clone()])
}

fn generations(place: &dyn TestPlace, digest: &Digest) -> usize {
    place.keys().iter().filter(|key| key.contains(&digest.hex()[2..])).count()
}

pub(crate) fn a_blob_is_read_as_it_was_stored(place: &dyn TestPlace) {
    let blobs = place.blobs("r1");
    // The last one is sent in parts.
    for length in [0, 1, 1_048_576, 17_000_000] {
        let bytes: Vec<u8> = (0..length).map(|at: u32| at.to_le_bytes()[1]).collect();
        let digest = Digest::of(&bytes);
        assert!(!blobs.get(&digest, &mut Vec::new()).unwrap());
        assert!(!blobs.contains(&digest).unwrap());
        assert_eq!(blobs.touch(&one(&digest)).unwrap(), BTreeSet::new());
        put(&blobs, &bytes);
        put(&blobs, &bytes);
        let other = place.unclaimed("r1");
        assert!(other.contains(&digest).unwrap());
        assert_eq!(get(&other, &digest).map(|read| Digest::of(&read)), Some(digest.clone()));
        assert_eq!(other.touch(&one(&digest)).unwrap(), one(&digest));
        let listed = other.list(None, 9).unwrap();
        assert_eq!((&listed[0].digest, listed[0].size_bytes), (&digest, u64::from(length)));
        assert_eq!(other.remove(&one(&digest), Duration::from_hours(1)).unwrap(), (0, 0));
        let removed = place.unclaimed("r1").remove(&one(&digest), Duration::ZERO).unwrap();
        assert_eq!(removed, (1, u64::from(length)));
        assert_eq!(get(&blobs, &digest), None);
    }
    let left: Vec<String> = place.keys();
    assert_eq!(left, ["blobs/r1/clock", "blobs/r1/registry.json"]);
}

pub(crate) fn blobs_are_listed_in_pages_in_the_order_of_their_digests(place: &dyn TestPlace) {
    let blobs = place.blobs("r1");
    let mut expected: Vec<Digest> = (0..12_u8).map(|number| put(&blobs, &[number; 3])).collect();
    expected.sort();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = blobs.list(after.as_ref(), 5).unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 5);
        after = Some(last.digest.clone());
        found.extend(page.into_iter().map(|blob| blob.digest));
    }
    assert_eq!(found, expected);
}

pub(crate) fn a_renewed_blob_is_not_removed_by_a_collector_that_saw_it_before(
    place: &dyn TestPlace,
) {
    let collector = place.blobs("r1");
    let digest = put(&collector, b"about to be named");
    assert_eq!(collector.list(None, 9).unwrap().len(), 1);
    let submitter = place.unclaimed("r1").renewing_after(Duration::ZERO);
    assert_eq!(submitter.touch(&one(&digest)).unwrap(), one(&digest));
    collector.remove(&one(&digest), Duration::ZERO).unwrap();
    assert_eq!(get(&submitter, &digest).as_deref(), Some(&b"about to be named"[..]));
    // What was stored again after the look stays too.
    let stored_again = put(&collector, b"removed and stored again");
    collector.list(None, 9).unwrap();
    place.unclaimed("r1").remove(&one(&stored_again), Duration::ZERO).unwrap();
    put(&place.unclaimed("r1"), b"removed and stored again");
    collector.remove(&one(&stored_again), Duration::ZERO).unwrap();
    assert!(get(&submitter, &stored_again).is_some());
}

pub(crate) fn a_renewal_leaves_one_generation(place: &dyn TestPlace) {
    let blobs = place.blobs("r1").renewing_after(Duration::ZERO);
    let digest = put(&blobs, b"renewed often");
    for _ in 0..3 {
        assert_eq!(blobs.touch(&one(&digest)).unwrap(), one(&digest));
    }
    assert_eq!(generations(place, &digest), 1);
    // A young one is not copied.
    let before = place.keys();
    place.unclaimed("r1").touch(&one(&digest)).unwrap();
    assert_eq!(place.keys(), before);
}

pub(crate) fn a_reader_finds_a_blob_that_is_renewed_meanwhile(place: &dyn TestPlace) {
    let digest = put(&place.blobs("r1"), b"read and renewed");
    std::thread::scope(|scope| {
        let renewing = scope.spawn(|| {
            let blobs = place.unclaimed("r1").renewing_after(Duration::ZERO);
            for _ in 0..20 {
                assert_eq!(blobs.touch(&one(&digest)).unwrap(), one(&digest));
            }
        });
        let reader = place.unclaimed("r1");
        while !renewing.is_finished() {
            assert_eq!(get(&reader, &digest).as_deref(), Some(&b"read and renewed"[..]));
        }
        renewing.join().unwrap();
    });
}

pub(crate) fn a_brief_is_at_its_key_until_its_blob_is_removed(place: &dyn TestPlace) {
    let blobs = place.blobs("r1");
    let run_id = RunId::new(Timestamp::from_millis(1), 7);
    let (bytes, read) = (b"{\"task_id\":\"x\"}", &mut Vec::new());
    let digest = Digest::of(bytes);
    blobs.put_brief(&run_id, &digest, &mut Cursor::new(bytes)).unwrap();
    let key = brief_key(&run_id, &digest);
    assert!(place.keys().contains(&key), "{:?}", place.keys());
    // A dispatcher with a registry of its own reads it there.
    let dispatcher = place.blobs("r2");
    assert!(dispatcher.brief(&key, read).unwrap());
    assert_eq!(read, bytes);
    for other in ["briefs/../blobs/r1/registry.json", "blobs/r1/registry.json", "", &key[1..]] {
        assert!(!dispatcher.brief(other, &mut Vec::new()).unwrap(), "{other}");
    }
    let renewing = place.unclaimed("r1").renewing_after(Duration::ZERO);
    assert_eq!(renewing.touch(&one(&digest)).unwrap(), one(&digest));
    assert_eq!(renewing.remove(&one(&digest), Duration::ZERO).unwrap().0, 1);
    assert!(!dispatcher.brief(&key, &mut Vec::new()).unwrap());
    assert_eq!(generations(place, &digest), 0);
}

pub(crate) fn registries_in_one_place_do_not_see_the_blobs_of_each_other(place: &dyn TestPlace) {
    let (first, second) = (place.blobs("r1"), place.blobs("r2"));
    let digest = put(&first, b"the same bytes");
    assert!(!second.contains(&digest).unwrap());
    put(&second, b"the same bytes");
    second.list(None, 9).unwrap();
    assert_eq!(second.remove(&one(&digest), Duration::ZERO).unwrap().0, 1);
    assert_eq!(get(&first, &digest).as_deref(), Some(&b"the same bytes"[..]));
}

pub(crate) fn a_place_without_the_folder_of_the_registry_is_refused(place: &dyn TestPlace) {
    drop(place.blobs("r1"));
    let other = place.unclaimed("r2");
    let digest = Digest::of(b"x");
    for error in [
        other.check().unwrap_err(),
        other.put(&digest, &mut Cursor::new(b"x")).unwrap_err(),
        other.get(&digest, &mut Vec::new()).unwrap_err(),
    ] {
        let Error::BlobPlace { fault, .. } = &error else { panic!("{error}") };
        assert_eq!(*fault, BlobPlaceFault::FolderMissing, "{error}");
        assert!(error.may_pass());
    }
}
