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
                a_key_admits_one_run
                a_key_that_was_used_for_something_else_is_refused
                many_admissions_with_one_key_admit_one_run
                the_same_work_is_not_done_twice_unless_it_failed
                an_id_is_used_once
                a_journal_that_does_not_hold_is_refused;
            appending:
                what_is_appended_is_loaded
                every_older_lease_is_refused
                a_released_lease_is_refused
                a_journal_that_moved_on_is_a_conflict
                a_terminal_run_is_sealed
                what_was_appended_already_is_appended_once
                events_that_do_not_follow_are_refused
                a_run_that_there_is_not_is_told
                sixty_four_writers_at_once_lose_nothing
                one_refusal_in_a_batch_harms_nobody_else
                events_come_in_order_and_in_parts;
            names:
                what_a_journal_names_is_named_until_its_run_is_gone
                documents_requests_and_inventories_name_what_is_written_in_them;
            boms:
                a_generation_follows_where_the_content_differs
                fifty_at_once_agree_on_one_generation
                generations_have_no_gap_whoever_makes_them;
            changing:
                what_this_process_commits_is_heard
                nothing_is_heard_of_what_was_refused;
            children:
                parent_and_child_are_written_together
                a_refused_parent_admits_no_child
                a_refused_child_leaves_the_parent_alone;
            claiming:
                the_most_urgent_and_longest_waiting_come_first
                what_is_not_ready_is_not_claimed
                many_claimers_share_without_overlap
                a_run_goes_back_into_the_queue
                a_run_that_waits_for_a_person_is_not_claimed
                a_claimed_lease_ends_when_it_should;
            importing:
                a_run_from_elsewhere_is_as_it_was_there
                a_run_is_taken_in_once
                what_does_not_hold_or_is_not_over_is_not_taken_in
                a_key_stays_with_the_run_that_had_it_first;
            dead_letters:
                a_dead_letter_is_listed_with_what_went_wrong
                a_dead_letter_is_redriven_once
                one_of_many_redrives_wins
                a_discarded_dead_letter_is_kept_and_not_listed;
            crowds:
                of_many_who_are_not_to_wait_one_is_admitted
                never_are_two_under_way_in_a_session
                a_history_has_no_gap_whoever_writes_it
                of_redrives_in_many_processes_one_wins;
            documents:
                a_document_is_what_was_put_last
                documents_change_together_or_not_at_all
                of_sixteen_who_change_one_document_one_does
                sixteen_at_once_lose_no_count
                documents_are_listed_by_namespace_and_key
                what_is_due_longest_comes_first
                a_run_is_admitted_with_its_documents_or_not_at_all
                of_many_who_fire_a_slot_one_admits_its_run
                events_are_appended_with_their_documents_or_not_at_all;
            families:
                a_hundred_children_are_admitted_with_their_parent
                whoever_holds_the_parent_lets_go_with_its_children
                a_family_is_refused_as_a_whole
                a_turn_whose_answer_was_lost_is_made_once
                of_many_who_make_a_turn_one_does
                many_families_grow_at_once
                a_worker_that_takes_only_what_asks_for_it_leaves_everything_else
                news_and_messages_are_heard;
            leases:
                one_of_many_takers_wins
                a_taken_run_is_out_of_the_queue
                a_terminal_run_has_no_lease_to_take
                only_leases_in_force_are_renewed;
            ledger:
                a_promise_is_settled_by_the_event_of_its_call
                promises_end_with_the_attempt_or_its_lease
                sixteen_at_once_never_spend_more_than_a_day_has;
            listing:
                filters_hold_together
                pages_follow_each_other
                a_run_is_found_by_what_is_typed;
            namespaces:
                an_idempotency_key_is_one_of_its_namespace
                runs_are_listed_by_namespace
                usage_is_summed_by_namespace
                questions_and_dead_letters_are_listed_by_namespace
                sessions_are_listed_by_namespace;
            odd_text:
                any_text_is_kept_and_found_again
                long_text_is_kept_and_found_again
                what_people_write_is_kept_too;
            placing:
                namespaces_are_served_evenly
                a_run_that_nobody_here_can_take_holds_no_other_up
                a_shared_bound_holds_among_many_claimers
                a_run_beyond_its_bound_holds_no_other_up
                runs_whose_lease_is_over_are_found
                runs_with_a_process_of_their_own_are_found
                a_renewal_says_of_what_something_is_asked
                what_waits_is_counted_by_namespace;
            questions:
                open_questions_are_listed_oldest_first
                live_runs_and_open_questions_are_counted
                of_many_who_write_a_run_at_rest_one_does
                a_run_that_somebody_holds_is_not_at_rest;
            removing:
                a_live_run_is_removed_only_on_purpose
                nothing_of_a_removed_run_is_left
                old_runs_are_removed_in_parts;
            requests:
                requests_wait_in_order_until_they_are_answered
                nothing_is_asked_of_a_run_that_is_over;
            sessions:
                a_session_changes_only_from_what_was_seen
                the_history_of_a_session_comes_from_the_journals_of_its_runs
                a_session_keeps_the_newest_messages
                a_result_counts_until_it_expires
                a_session_keeps_the_newest_results
                what_a_run_did_in_its_session_can_be_undone
                turns_follow_the_order_of_admission
                a_run_that_is_not_to_wait_is_refused
                a_run_that_would_only_wait_is_not_claimed
                a_session_in_use_is_not_removed;
            usage:
                a_replay_from_the_record_uses_nothing
                calls_are_summed_by_whatever_is_asked
                events_that_were_appended_already_are_counted_once
                time_is_counted_when_an_attempt_ends
                what_a_removed_run_used_of_a_day_stays_used
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
