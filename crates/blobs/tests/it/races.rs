//! Races between those that store and name blobs and those that collect them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use errand_blobs::PlacedBlobs;
use errand_model::Digest;
use errand_store::SharedBlobs as _;

use crate::place::{FolderPlace, TestPlace};
use crate::suite::{get, put};

/// Different blobs: few, so that the same one is often stored, renewed and removed at once.
const BLOBS: u8 = 4;
/// Passes of each collector.
const PASSES: u32 = 8;

/// Names of blobs with the numbers of their users.
type Names = Mutex<BTreeMap<Digest, u32>>;

fn content(number: u8) -> Vec<u8> {
    vec![number; 100]
}

/// Stores a blob, renews it as a commit would, and names it; then looks whether it is there, and
/// takes the name away. A name that comes later than the grace period allows is not given.
fn submit(blobs: &PlacedBlobs, names: &Names, number: u8, grace: Duration) -> bool {
    let digest = put(blobs, &content(number));
    let began = Instant::now();
    let found = blobs.touch(&BTreeSet::from([digest.clone()])).unwrap();
    if found.is_empty() || began.elapsed() > grace / 4 {
        return true;
    }
    *names.lock().unwrap().entry(digest.clone()).or_default() += 1;
    // The collector may be about to remove what it found unnamed before.
    let is_there = (0..3).all(|_| get(blobs, &digest) == Some(content(number)));
    let mut named = names.lock().unwrap();
    let users = named.get_mut(&digest).unwrap();
    *users -= 1;
    if *users == 0 {
        named.remove(&digest);
    }
    is_there
}

/// Collects as the engine does: the ages first, then the names, then the removal.
fn collect(blobs: &PlacedBlobs, names: &Names, grace: Duration) -> u64 {
    let page = blobs.list(None, 100).unwrap();
    let old = page.into_iter().filter(|blob| blob.untouched_for >= grace);
    let old: BTreeSet<Digest> = old.map(|blob| blob.digest).collect();
    let named: BTreeSet<Digest> = names.lock().unwrap().keys().cloned().collect();
    blobs.remove(&old.difference(&named).cloned().collect(), grace).unwrap().0
}

/// Collects by digest, whatever generations there are: wrong.
fn collect_all_generations(blobs: &PlacedBlobs, names: &Names) -> u64 {
    let page = blobs.list(None, 100).unwrap();
    let all: BTreeSet<Digest> = page.into_iter().map(|blob| blob.digest).collect();
    let named: BTreeSet<Digest> = names.lock().unwrap().keys().cloned().collect();
    let unnamed: BTreeSet<Digest> = all.difference(&named).cloned().collect();
    // An empty list is forgotten: each blob is looked up again when it is removed.
    blobs.list(Some(&Digest::from_hash(&[0xff; 32])), 1).unwrap();
    blobs.remove(&unnamed, Duration::ZERO).unwrap().0
}

/// Runs submitters and collectors against each other. Returns false if a named blob was lost, and
/// the number of removed blobs.
fn race(
    place: &dyn TestPlace,
    grace: Duration,
    collect: impl Fn(&PlacedBlobs, &Names) -> u64 + Sync,
) -> (bool, u64) {
    drop(place.blobs("r1"));
    let (names, ended, kept) = (Names::default(), AtomicBool::new(false), AtomicBool::new(true));
    let mut removed = 0;
    std::thread::scope(|scope| {
        for first in 0..2 {
            let (names, ended, kept) = (&names, &ended, &kept);
            scope.spawn(move || {
                let blobs = place.unclaimed("r1").renewing_after(grace / 4);
                let mut number = first;
                while !ended.load(Ordering::Relaxed) {
                    number = (number + 1) % BLOBS;
                    if !submit(&blobs, names, number, grace) {
                        kept.store(false, Ordering::Relaxed);
                    }
                }
            });
        }
        let blobs = place.unclaimed("r1");
        for _ in 0..PASSES {
            removed += collect(&blobs, &names);
            // A blob that nobody uses grows old only if there is one.
            let idle = [&[0xee], removed.to_string().as_bytes()].concat();
            put(&blobs, &idle);
            std::thread::sleep(grace / 4);
        }
        ended.store(true, Ordering::Relaxed);
    });
    (kept.load(Ordering::Relaxed), removed)
}

pub(crate) fn no_named_blob_is_removed_while_others_store_name_and_collect(place: &dyn TestPlace) {
    let grace = place.tick();
    let (kept, removed) = race(place, grace, |blobs, names| collect(blobs, names, grace));
    assert!(kept, "a named blob was removed");
    assert!(removed > 0, "the collectors removed nothing: the race shows nothing");
}

#[test]
fn the_race_finds_a_collector_that_does_not_look_at_generations() {
    let place = FolderPlace::new();
    // Whether it loses a blob in one race depends on the machine.
    let is_found = (0..40).any(|_| !race(&place, place.tick(), collect_all_generations).0);
    assert!(is_found, "a wrong collector lost no named blob");
}
