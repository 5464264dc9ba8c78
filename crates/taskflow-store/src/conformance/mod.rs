//! The suite that every store must pass: one list of cases, run on a [`Harness`].
//!
//! A store's test binary says `taskflow_store::conformance!(MyHarness);` and gets one `#[tokio::test]`
//! per case. A new case is a `pub async fn` in one of the rooms and one word in the list below.

pub mod bulk;
pub mod changes;
pub mod claims;
pub mod dependencies;
pub mod edits;
pub mod gates;
pub mod harness;
pub mod idempotency;
pub mod isolation;
pub mod lists;
pub mod queues;
pub mod races;
pub mod random;
pub mod retention;
pub mod search;
pub mod serve;
pub mod sessions;
pub mod stage;
pub mod stats;
pub mod tasks;
pub mod time;
pub mod unique;
pub mod work;
pub mod workers;

pub use harness::Harness;

/// Expands to one `#[tokio::test]` per case, in a module per room. `$harness` is an expression that
/// gives a [`Harness`]; it is evaluated for each case.
#[macro_export]
macro_rules! conformance {
    ($harness:expr) => {
        $crate::conformance! {
            @rooms $harness;
            tasks {
                a_new_task_gets_the_next_id_and_is_pending
                a_task_keeps_every_field_as_it_was_given
                a_run_at_in_the_past_means_now
                a_batch_is_answered_in_order_with_rising_ids
                an_empty_batch_gets_no_answers
                reading_answers_in_the_order_of_the_ids_with_none_for_the_unknown
                a_payload_of_a_mebibyte_comes_back_exact
                json_text_is_never_rewritten
                text_of_every_script_comes_back_exact
                instants_keep_their_microseconds
                ids_are_never_used_again_after_a_delete
                a_list_is_newest_first_in_pages
                a_list_goes_on_where_a_page_ended
                a_list_filters_by_status_and_priority
                counts_equal_the_lists
                a_delete_answers_done_then_not_found
                a_delete_of_another_version_is_stale
                a_delete_takes_the_history_along
                everything_acknowledged_is_there_after_reopening
                health_tells_the_schema
            }
            changes {
                a_task_s_life_is_told_in_order_as_it_stands_after_each_commit
                what_was_committed_before_somebody_watched_is_not_told
                every_way_back_to_waiting_is_told_as_a_retry
                edits_and_deletes_are_told
                tasks_that_wait_for_others_are_told_after_them
                what_is_refused_is_not_told
                what_one_commit_does_is_told_in_its_order
                a_large_batch_is_told_whole
                changes_of_queues_and_workers_are_told
                each_change_names_its_tenant
            }
            serve {
                a_waiting_claim_gets_the_task_that_is_stored_for_it
                the_rest_of_a_batch_is_ready_for_others
                what_stood_in_line_before_goes_first
                a_paused_queue_gives_nothing_to_a_waiting_claim
                a_waiting_claim_gets_its_own_tenant_s_tasks
                a_refused_task_is_refused_with_a_waiting_claim_too
            }
            bulk {
                all_of_a_batch_are_stored_in_order
                one_that_is_refused_takes_the_others_with_it
                a_refused_batch_leaves_its_neighbours_alone
                of_a_thousand_equal_keys_one_is_taken
            }
            lists {
                a_list_over_very_many_lanes_is_whole
                a_list_filters_by_queue_and_kind
                a_list_by_tag_follows_births_edits_and_deletes
                a_list_by_reason_follows_the_time
                a_list_by_reason_is_right_when_very_many_were_put_off
                a_list_of_what_was_created_after_an_instant_trusts_no_order
                a_walk_finds_every_task_that_stays_exactly_once
                random_filters_list_what_the_model_lists
                failures_are_told_with_their_errors
                failures_are_listed_newest_first_in_pages
                another_tenant_s_tasks_are_in_no_list
            }
            edits {
                an_edit_changes_the_given_fields_only
                an_edit_clears_what_is_set_to_none
                an_edit_that_changes_nothing_leaves_the_version
                an_edit_of_fields_and_status_raises_the_version_twice
                an_edit_of_an_unknown_task_is_answered
                an_edit_of_another_version_is_stale
                an_edit_of_a_pinned_field_is_refused
                an_edit_may_repeat_what_is_pinned
                an_illegal_move_changes_nothing_not_even_fields
                edits_see_the_edits_before_them_in_the_batch
                a_person_can_take_finish_and_retry_a_task
                an_edit_of_run_at_moves_a_pending_task_only
                a_retry_may_wait_until_the_edit_s_run_at
                an_edited_deadline_binds_the_running_attempt
                max_attempts_cannot_fall_below_what_is_used
                a_rerun_takes_only_what_has_ended
                a_retry_keeps_all_that_was_given
            }
            claims {
                a_claim_hands_out_a_lease
                a_claim_takes_priority_then_run_at_then_id
                a_place_in_line_counts_those_that_are_claimed_before
                a_claim_gives_at_most_as_many_as_it_has_tokens
                a_claim_without_tokens_takes_nothing
                a_claim_looks_at_its_queues_only
                a_claim_takes_its_kinds_only
                a_manual_task_is_never_handed_out
                a_task_is_handed_out_from_its_run_at_on
                a_task_is_never_handed_out_twice
                a_claim_may_set_the_length_of_its_leases
            }
            work {
                a_completed_attempt_leaves_its_result
                a_failed_attempt_waits_as_the_policy_says
                a_failure_may_name_its_own_delay
                an_error_text_is_kept_whatever_it_holds
                a_failure_for_good_ends_the_task
                attempts_used_up_end_the_task
                snooze_release_and_interruption_do_not_count
                the_same_finish_twice_gets_the_same_answer
                a_different_finish_afterwards_has_lost_the_lease
                a_stale_lease_cannot_finish_or_extend_a_task
                a_wrong_token_changes_nothing
                work_on_an_unknown_task_is_answered
                a_cancelled_attempt_is_told_so
                a_deleted_task_fences_its_worker
                a_task_that_was_deleted_sinks_none_of_its_batch
                a_heartbeat_extends_the_lease_and_keeps_what_it_says
                a_heartbeat_never_goes_beyond_the_hard_end
                a_sync_finishes_extends_and_claims_in_this_order
                a_sync_answers_every_item_in_order
                an_empty_sync_answers_nothing
                ready_tells_what_may_be_claimed
                leases_hold_after_reopening
            }
            time {
                a_lease_without_heartbeat_is_rescued
                heartbeats_hold_a_lease_for_as_long_as_they_come
                a_worker_s_name_keeps_no_lease_alive
                an_attempt_that_ran_too_long_timed_out
                a_deadline_ends_running_and_waiting_tasks
                a_task_not_started_in_time_is_cancelled
                a_task_past_its_time_is_ended_instead_of_handed_out
                expiry_goes_in_order_and_stops_at_its_limit
                many_long_leases_do_not_hide_a_short_one
                a_person_s_work_never_expires
                the_history_tells_every_attempt
                the_history_keeps_the_newest_attempts
                a_completed_attempt_stays_in_the_history_through_a_retry
                a_retried_task_gets_all_its_attempts_again
                due_tells_each_queue_and_kind_once_and_what_comes_next
            }
            dependencies {
                a_task_waits_for_each_parent_that_has_not_completed
                a_parent_named_twice_counts_once
                a_child_whose_time_ends_with_its_parent_s_is_cancelled_with_it
                a_task_cannot_wait_for_what_is_not_there_or_lost
                items_of_a_batch_may_wait_for_earlier_ones
                a_task_becomes_ready_when_its_last_parent_completes
                a_freed_task_still_waits_for_its_run_at
                a_sync_hands_out_what_its_finish_freed
                a_parent_that_is_tried_again_keeps_its_children_waiting
                a_lost_parent_cancels_its_children
                losses_go_down_to_the_last_descendant
                the_nearest_lost_parent_is_the_reason
                a_child_that_has_ended_is_left_alone
                a_retried_child_waits_for_nobody
                a_task_that_a_person_starts_waits_for_nobody
                a_retried_parent_blocks_later_children_only
                a_task_that_others_wait_for_cannot_be_deleted
                tasks_still_wait_after_reopening
            }
            unique {
                return_answers_the_task_that_holds_the_key
                reject_names_the_task_that_holds_the_key
                replace_cancels_a_pending_holder
                replace_is_refused_while_the_holder_runs
                dependants_of_a_replaced_task_are_lost
                a_task_cannot_replace_what_it_waits_for
                parents_are_checked_before_the_key
                items_of_a_batch_meet_each_other_s_keys
                an_ended_or_deleted_task_gives_its_key_free
                the_end_of_an_older_holder_frees_nobody_s_key
                a_task_never_meets_its_own_key
                a_retry_cannot_take_a_key_that_another_holds
                a_key_is_unique_in_its_queue_only
                of_many_creates_at_once_one_gets_the_key
                keys_are_held_after_reopening
            }
            queues {
                a_queue_that_nobody_set_has_the_usual_settings
                queues_are_read_by_their_names
                settings_come_back_as_they_were_set
                a_change_of_a_queue_s_other_version_is_stale
                queues_are_listed_by_name_in_pages
                a_paused_queue_hands_nothing_out_until_it_is_resumed
                what_comes_due_in_a_paused_queue_waits_there
                a_queue_never_has_more_leases_than_its_limit
                a_sync_may_take_the_room_that_its_finish_made
                a_full_key_holds_up_nobody_else
                the_order_holds_behind_full_keys
                a_rate_lets_so_many_start_in_its_span
                one_start_in_so_many_is_the_oldest_task_s
                the_end_of_a_lease_tells_of_what_waits_for_the_limit
                tenants_set_their_own_queues
                the_number_of_queues_with_settings_is_bounded
            }
            gates {
                a_late_or_repeated_end_makes_no_room
                a_release_makes_room_under_a_limit
                a_concurrency_key_is_data_whatever_it_holds
            }
            races {
                a_finish_and_a_sweep_that_meet_leave_one_outcome
                a_finish_and_a_delete_that_meet_leave_nothing
                batches_that_share_keys_at_once_make_each_task_once
                of_all_who_want_a_key_at_once_one_gets_it
                a_key_has_one_holder_while_its_holder_is_rescued
            }
            isolation {
                another_tenant_s_tasks_cannot_be_read
                tenants_share_the_sequence_of_ids
                another_tenant_s_tasks_cannot_be_edited_or_deleted
                another_tenant_s_work_cannot_be_touched
                each_tenant_claims_its_own_tasks
                a_task_cannot_wait_for_another_tenant_s_task
                tenants_do_not_share_unique_keys
                expiry_and_what_is_due_go_over_all_tenants
            }
            workers {
                calls_of_workers_are_noted
                a_later_call_wins_and_an_earlier_one_adds_what_was_missing
                another_process_of_the_same_name_begins_anew
                workers_are_listed_by_their_last_call_in_pages
                what_a_worker_holds_is_read_from_its_leases
                a_heartbeat_is_answered_with_its_holder
                a_drain_is_bound_to_the_process_that_called_last
                a_drain_may_name_the_process
                drained_workers_that_are_long_gone_are_not_told
                a_release_takes_all_that_a_worker_holds_step_by_step
                a_release_leaves_what_was_claimed_since
                workers_that_are_gone_are_forgotten_unless_they_hold_something
                another_tenant_s_workers_are_out_of_reach
}

            idempotency {
                the_same_key_gets_the_first_answer_again
                what_is_done_for_a_key_is_like_everything_else
                of_many_at_once_with_one_key_one_is_done
                keys_do_not_hinder_each_other
                a_refused_act_hinders_no_other_key
                a_key_is_for_one_request
                keys_are_a_tenant_s_own
                a_key_lasts_a_day
                old_keys_are_forgotten_in_steps
                a_refused_act_leaves_no_key
                an_act_without_a_kept_answer_is_undone
                changes_are_done_once_for_their_key
                work_is_handed_out_once_for_its_key
                what_becomes_ready_is_told
                keys_last_after_reopening
                an_answer_alone_may_be_kept
            }
            random {
                random_commands_match_the_model
            }
            retention {
                ended_tasks_are_removed_when_their_time_is_over
                what_is_kept_for_ever_stays
                each_status_has_its_own_period
                a_queue_may_say_otherwise
                a_queue_may_have_a_period_where_the_others_keep_everything
                the_oldest_go_first_and_a_step_stops_at_its_limit
                heavy_tasks_are_removed_a_few_at_a_time
                steps_go_on_until_nothing_is_left
                a_removed_task_takes_its_history_along
                counts_stay_exact_while_tasks_are_removed
                ids_are_never_used_again_after_a_removal
                a_retried_task_is_not_removed
                a_parent_goes_when_its_children_wait_no_more
                tasks_of_every_tenant_are_removed
                of_many_removals_at_once_each_task_goes_with_one
            }
            search {
                a_search_finds_parts_of_titles_and_descriptions
                a_search_follows_edits_births_and_deletes
                a_search_goes_with_other_filters
                a_page_of_a_search_ends_early_and_goes_on
                sketches_are_made_in_steps
            }
            sessions {
                a_session_is_read_as_it_was_opened_until_it_is_closed
                a_session_that_is_opened_twice_is_one
                a_later_visit_is_kept_and_an_earlier_one_is_not
                a_session_that_is_gone_does_not_come_back_by_a_visit
                sessions_are_there_after_reopening
                the_session_seen_longest_ago_makes_room_for_another
                of_many_that_are_opened_at_once_no_more_than_the_limit_stay
                sessions_that_are_over_are_forgotten_in_steps
                another_tenant_s_sessions_are_out_of_reach
            }
            stats {
                an_empty_store_has_nothing_to_tell
                an_overview_counts_by_queue_and_by_kind
                an_overview_follows_every_change
                an_overview_may_be_narrowed
                an_overview_goes_on_after_a_name
                a_series_counts_what_happens_minute_by_minute
                a_series_tells_failed_attempts_from_failed_tasks
                a_series_counts_what_people_and_time_do
                a_series_tells_how_long_tasks_waited_and_ran
                a_series_of_one_queue_tells_nothing_of_another
                a_series_goes_from_minute_to_minute
                tallies_sum_the_minutes_of_each_queue
                a_series_forgets_what_was_undone
                a_series_is_there_after_reopening
                the_oldest_ready_task_of_each_queue_is_told
                the_oldest_ready_task_follows_claims_and_edits
                leases_that_nobody_rescued_are_counted
                each_tenant_has_its_own_statistics
            }
        }
    };
    (@rooms $harness:expr; $($room:ident { $($case:ident)* })*) => {
        $(mod $room {
            use super::*;

            $(#[tokio::test]
            async fn $case() {
                $crate::conformance::$room::$case(&$harness).await;
            })*
        })*
    };
}
