//! Blobs in a folder and in S3: one suite for both, and the faults of each.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

mod faults;
mod place;
mod races;
mod suite;

use place::{FolderPlace, S3Place};

/// Makes a test of each function of the suite, for a folder and for S3.
macro_rules! on_both_places {
    ($($module:ident: $($name:ident)*;)*) => {
        mod folder {
            $($(#[test] fn $name() { crate::$module::$name(&crate::FolderPlace::new()); })*)*
        }
        mod s3 {
            $($(#[test] fn $name() {
                if let Some(place) = crate::S3Place::new() { crate::$module::$name(&place); }
            })*)*
        }
    };
}

on_both_places! {
    suite:
        a_blob_is_read_as_it_was_stored
        blobs_are_listed_in_pages_in_the_order_of_their_digests
        a_renewed_blob_is_not_removed_by_a_collector_that_saw_it_before
        a_renewal_leaves_one_generation
        a_reader_finds_a_blob_that_is_renewed_meanwhile
        a_brief_is_at_its_key_until_its_blob_is_removed
        registries_in_one_place_do_not_see_the_blobs_of_each_other
        a_place_without_the_folder_of_the_registry_is_refused;
    races:
        no_named_blob_is_removed_while_others_store_name_and_collect;
}
