//! The suite that every store must pass: one list of cases, run on a [`Harness`].
//!
//! A store's test binary says `taskflow_store::conformance!(MyHarness);` and gets one `#[tokio::test]`
//! per case. A new case is a `pub async fn` in one of the rooms and one word in the list below.

pub mod harness;
pub mod stage;
pub mod tasks;

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
                a_list_filters_by_status_and_priority
                counts_equal_the_lists
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
                a_delete_answers_done_then_not_found
                a_delete_of_another_version_is_stale
                a_delete_takes_the_history_along
                everything_acknowledged_is_there_after_reopening
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
