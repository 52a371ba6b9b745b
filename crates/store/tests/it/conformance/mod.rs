//! Conformance suite of stores: functions generic over the store, turned into tests by [`conforms`]
//! for each store.

pub(crate) mod admitting;
pub(crate) mod appending;
pub(crate) mod boms;
pub(crate) mod changing;
pub(crate) mod children;
pub(crate) mod claiming;
pub(crate) mod crowds;
pub(crate) mod dead_letters;
pub(crate) mod documents;
pub(crate) mod families;
pub(crate) mod importing;
pub(crate) mod leases;
pub(crate) mod ledger;
pub(crate) mod listing;
pub(crate) mod names;
pub(crate) mod namespaces;
pub(crate) mod observing;
pub(crate) mod odd_text;
pub(crate) mod placing;
pub(crate) mod questions;
pub(crate) mod removing;
pub(crate) mod requests;
pub(crate) mod sessions;
pub(crate) mod usage;

use std::sync::Arc;

use errand_store::Store;

/// A registry of its own for a test.
pub(crate) trait StoreFactory: Send + Sync {
    /// Opens the store again, as another process would.
    fn open(&self) -> Arc<dyn Store>;
}

/// Makes a test of each function of the suite, for the stores of `$factory`.
macro_rules! conforms {
    ($factory:expr) => {
        crate::conformance::conforms!(@ $factory;
            admitting:
                an_idempotency_key_admits_one_run
                an_idempotency_key_with_another_fingerprint_is_refused
                many_admissions_with_one_key_admit_one_run
                dedup_finds_an_equal_run_unless_it_failed
                a_run_id_is_admitted_once
                a_broken_journal_is_refused;
            appending:
                appended_events_are_loaded
                every_older_lease_is_refused
                a_released_lease_is_refused
                an_append_to_a_grown_journal_is_a_conflict
                a_terminal_run_is_sealed
                repeated_appends_are_made_once
                events_that_do_not_follow_are_refused
                unknown_runs_are_reported
                sixty_four_writers_at_once_lose_nothing
                a_refusal_in_a_batch_leaves_the_others_alone
                events_come_in_order_and_in_parts;
            names:
                names_in_a_journal_last_until_its_run_is_removed
                documents_requests_and_inventories_name_digests_in_their_text;
            boms:
                changed_content_makes_a_new_generation
                fifty_concurrent_writers_get_one_generation
                generations_of_several_processes_have_no_gap;
            changing:
                commits_of_this_process_are_announced
                refused_writes_are_not_announced
                runs_with_unanswered_requests_are_found
                due_work_is_found_by_one_question;
            children:
                parent_and_child_are_written_together
                a_refused_parent_admits_no_child
                a_refused_child_leaves_the_parent_alone;
            claiming:
                claims_follow_priority_then_waiting_time
                runs_that_are_not_ready_are_not_claimed
                concurrent_claims_do_not_overlap
                a_run_goes_back_into_the_queue
                a_run_that_waits_for_a_person_is_not_claimed
                a_claimed_lease_has_the_requested_duration;
            importing:
                an_imported_run_is_unchanged
                a_run_is_imported_once
                broken_and_live_runs_are_not_imported
                an_idempotency_key_stays_with_its_first_run;
            dead_letters:
                a_dead_letter_is_listed_with_its_error
                a_dead_letter_is_redriven_once
                one_of_many_redrives_wins
                a_discarded_dead_letter_is_kept_and_not_listed;
            crowds:
                one_of_many_rejecting_runs_in_a_session_is_admitted
                a_session_never_has_two_running_runs
                histories_written_by_several_processes_have_no_gap
                one_redrive_wins_among_several_processes;
            documents:
                the_first_place_of_the_blobs_that_is_recorded_stays
                a_document_has_the_content_written_last
                changes_of_one_document_are_made_in_their_order
                documents_change_together_or_not_at_all
                one_of_sixteen_concurrent_document_writers_wins
                sixteen_concurrent_increments_lose_none
                documents_are_listed_by_namespace_and_key
                documents_due_longest_come_first
                a_run_is_admitted_with_its_documents_or_not_at_all
                one_of_many_firings_of_a_slot_admits_its_run
                events_are_appended_with_their_documents_or_not_at_all;
            families:
                a_hundred_children_are_admitted_with_their_parent
                a_holder_releases_its_lease_as_it_admits_children
                a_family_is_refused_as_a_whole
                a_turn_with_a_lost_answer_is_committed_once
                one_of_many_concurrent_turns_is_committed
                many_families_grow_at_once
                an_exclusive_worker_leaves_runs_without_its_labels
                turns_and_messages_are_announced;
            leases:
                one_of_many_takers_wins
                a_taken_run_is_out_of_the_queue
                a_terminal_run_has_no_lease_to_take
                only_leases_in_force_are_renewed;
            ledger:
                a_reservation_is_settled_by_the_event_of_its_call
                reservations_end_with_the_attempt_or_its_lease
                sixteen_concurrent_runs_never_exceed_a_days_limit;
            listing:
                all_conditions_of_a_filter_hold
                pages_follow_each_other
                runs_are_found_by_id_name_or_part_of_an_id;
            namespaces:
                idempotency_keys_are_scoped_by_namespace
                runs_are_listed_by_namespace
                usage_is_summed_by_namespace
                questions_and_dead_letters_are_listed_by_namespace
                sessions_are_listed_by_namespace;
            observing:
                an_observer_hears_of_a_change_before_it_is_made;
            odd_text:
                any_text_is_stored_and_found_again
                long_text_is_stored_and_found_again
                odd_text_of_people_and_sessions_is_stored;
            placing:
                namespaces_are_served_evenly
                runs_that_a_worker_cannot_take_do_not_block_others
                a_shared_bound_holds_among_many_claimers
                a_run_beyond_its_bound_does_not_block_others
                runs_with_expired_leases_are_found
                runs_with_a_process_of_their_own_are_found
                a_renewal_returns_runs_with_open_requests
                queued_runs_are_counted_by_namespace;
            questions:
                open_questions_are_listed_oldest_first
                live_runs_and_open_questions_are_counted
                one_of_many_writers_of_a_run_at_rest_wins
                a_run_under_a_lease_is_not_at_rest;
            removing:
                a_live_run_is_removed_only_on_request
                nothing_of_a_removed_run_is_left
                old_runs_are_removed_in_parts;
            requests:
                requests_wait_in_order_until_they_are_answered
                requests_to_a_terminal_run_are_refused;
            sessions:
                a_session_changes_only_from_the_revision_that_was_read
                the_history_of_a_session_comes_from_the_journals_of_its_runs
                a_session_keeps_the_newest_messages
                a_result_counts_until_it_expires
                a_session_keeps_the_newest_results
                session_changes_of_a_run_can_be_rolled_back
                turns_follow_the_order_of_admission
                a_run_that_may_not_wait_is_refused
                a_run_that_would_only_wait_is_not_claimed
                a_session_in_use_is_not_removed;
            usage:
                a_replay_from_the_record_uses_nothing
                calls_are_summed_by_each_property
                events_that_were_appended_already_are_counted_once
                time_is_counted_when_an_attempt_ends
                the_use_of_a_removed_run_stays_counted_in_its_day
        );
    };
    (@ $factory:expr; $($module:ident: $($name:ident)*);*) => {
        $(mod $module {
            $(#[tokio::test]
            async fn $name() {
                crate::conformance::$module::$name(&$factory).await;
            })*
        })*
    };
}
pub(crate) use conforms;
