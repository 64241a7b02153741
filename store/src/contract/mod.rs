//! The contract test-suite: what every storage engine must do, engine by engine the same.
//!
//! An engine's tests implement [`Engine`] and write [`crate::contract_tests!`]; each case becomes one test. A case
//! gets an empty store of its own, may close and reopen it, and panics when the contract is broken. Knows nothing of
//! any engine.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::missing_panics_doc,
    reason = "a test-suite: failing loudly is its job"
)]

mod facts;
pub mod money_accounts;
pub mod money_conditions;
pub mod money_finance;
pub mod money_lists;
pub mod money_model;
pub mod money_secrets;
pub mod random;
pub mod telemetry;
pub mod telemetry_model;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use domain::AckToken;
use parking_lot::Mutex;

use crate::{money::Money, telemetry::Telemetry};

/// Called with the tokens of rows that became durable.
pub type OnStored = Box<dyn Fn(&mut Vec<AckToken>) + Send>;

/// One store of an engine under test: a place that is empty at first and keeps what was written into it.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Opens the store in that place, the first time empty, later with what it held. All handles of the time before
    /// have been dropped.
    async fn open(&self, on_stored: OnStored) -> (Arc<dyn Money>, Arc<dyn Telemetry>);
}

/// An open store and the tokens it gave back.
pub struct Store {
    /// The money port.
    pub money: Arc<dyn Money>,
    /// The telemetry port.
    pub telemetry: Arc<dyn Telemetry>,
    /// What the listener got, in order.
    pub stored: Arc<Mutex<Vec<AckToken>>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens an engine's store.
    pub async fn open(engine: &dyn Engine) -> Self {
        let stored = Arc::new(Mutex::new(Vec::new()));
        let tokens = Arc::clone(&stored);
        let (money, telemetry) = engine.open(Box::new(move |new| tokens.lock().append(new))).await;
        Self { money, telemetry, stored }
    }

    /// Closes it and opens it again.
    pub async fn reopen(self, engine: &dyn Engine) -> Self {
        drop(self);
        Self::open(engine).await
    }
}

/// One test per case of the contract; the argument makes an [`Engine`] with an empty store.
///
/// The tests use `#[tokio::test]`; the crate that writes this needs tokio with `rt` and `macros`.
#[macro_export]
macro_rules! contract_tests {
    ($engine:expr) => {
        $crate::contract_tests! { @cases $engine;
            money_conditions: a_commit_is_there_after_reopening;
            money_conditions: a_new_order_must_be_new;
            money_conditions: an_order_changes_only_from_the_revision_before;
            money_conditions: a_failed_condition_applies_nothing_of_its_commit;
            money_conditions: writes_of_one_commit_build_on_each_other;
            money_conditions: forms_within_one_commit_have_no_gaps;
            money_conditions: one_of_many_racing_changes_wins;
            money_conditions: an_idempotency_key_belongs_to_caller_and_path;
            money_conditions: the_first_record_of_an_order_stands_and_others_are_kept_beside_it;
            money_conditions: a_payment_changes_only_from_the_expected_state;
            money_conditions: a_published_tariff_is_never_replaced;
            money_conditions: pile_numbers_are_given_once_and_a_taken_code_refuses_all;
            money_conditions: an_integration_is_made_once_and_can_be_removed;
            money_secrets: a_change_of_a_secret_is_there_after_reopening_until_it_is_over;
            money_secrets: a_second_change_needs_the_name_of_the_first;
            money_secrets: what_is_said_of_a_change_that_is_over_changes_nothing;
            money_accounts: an_operation_is_done_once_and_answers_its_first_result;
            money_accounts: an_account_changes_only_from_its_version;
            money_accounts: holds_and_debts_are_what_the_last_operation_said;
            money_accounts: an_operation_that_contradicts_itself_is_refused;
            money_accounts: entries_are_listed_newest_first_without_gaps;
            money_accounts: the_blacklist_names_its_reason;
            money_accounts: what_is_given_up_under_way_or_of_nobody_known_is_kept;
            money_finance: a_case_goes_from_revision_to_revision;
            money_finance: cases_are_found_by_state_by_what_they_are_about_and_by_when_they_are_due;
            money_finance: events_for_other_systems_are_kept_once_and_in_order;
            money_finance: the_audit_trail_is_a_chain;
            money_finance: what_finance_reads_by_time_is_complete;
            money_finance: payments_are_due_when_their_channel_is_to_be_asked;
            money_lists: history_keeps_its_order_and_repeats_add_nothing;
            money_lists: orders_are_listed_newest_first_by_user_and_by_pile;
            money_lists: open_orders_are_those_that_are_not_over;
            money_lists: commands_are_open_until_answered;
            money_lists: alarms_are_listed_by_state_and_time;
            money_lists: an_event_is_seen_once_per_pile;
            money_lists: stations_and_pile_states_are_replaced;
            money_lists: the_audit_trail_is_listed_newest_first;
            money_lists: a_cursor_from_elsewhere_is_refused;
            money_model: random_operations_agree_with_a_model_and_survive_reopening;
            telemetry: tokens_come_back_in_order_when_everything_before_is_durable;
            telemetry: samples_come_back_whole_by_receive_time;
            telemetry: the_readings_of_an_order_are_the_first_received_of_each_number;
            telemetry: late_readings_survive_every_reopening;
            telemetry: quarantined_frames_are_numbered_listed_and_marked_once;
            telemetry_model: random_samples_agree_with_a_model_across_reopenings;
        }
    };
    (@cases $engine:expr; $($group:ident: $case:ident;)+) => {
        $(#[::tokio::test]
        async fn $case() {
            let engine = $engine;
            $crate::contract::$group::$case(&engine).await;
        })+
    };
}
