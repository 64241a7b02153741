//! What becomes of a payment when its channel speaks of it, and when the channel is asked next.
//!
//! A channel may say a thing twice, late, or in another order than it happened: money that is there counts, whatever was
//! said before. Knows nothing of signatures or of how a channel is reached.

use domain::{Fen, Millis, Timestamp};

use crate::limits::QUERY_WAITS;

/// Where a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentPhase {
    /// Asked for.
    Pending,
    /// Paid and credited.
    Success,
    /// The channel said no.
    Failed,
    /// Nobody paid in time.
    Closed,
}

/// What is known of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownPayment<'a> {
    /// Where it is.
    pub phase: PaymentPhase,
    /// What was asked for.
    pub amount: Fen,
    /// The channel's name for what was credited.
    pub transaction: Option<&'a str>,
}

/// What a channel says of a payment; its words are authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelWord<'a> {
    /// Money came.
    Paid {
        /// The channel's name for it.
        transaction: &'a str,
        /// How much.
        amount: Fen,
    },
    /// Nobody has paid yet.
    NotPaid,
    /// It came to nothing.
    Failed,
    /// It can be paid no more.
    Closed,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Credit it.
    Credit,
    /// Credited before: nothing to do.
    Repeated,
    /// Money came a second time for one payment: it goes back.
    Duplicate,
    /// Another sum than was asked for: nothing is credited, a person must look.
    WrongAmount,
    /// Note that it came to nothing.
    Fail,
    /// Note that it can be paid no more.
    Close,
    /// Nothing to do.
    Nothing,
}

/// Judges a channel's word. Money that is there is credited even after the payment failed or was closed.
#[must_use]
pub fn judge(known: &KnownPayment<'_>, word: &ChannelWord<'_>) -> Verdict {
    match (word, known.phase) {
        (ChannelWord::Paid { amount, .. }, _) if *amount != known.amount => Verdict::WrongAmount,
        (ChannelWord::Paid { .. }, PaymentPhase::Pending | PaymentPhase::Failed | PaymentPhase::Closed) => {
            Verdict::Credit
        }
        (ChannelWord::Paid { transaction, .. }, PaymentPhase::Success) => match known.transaction {
            Some(credited) if credited != *transaction => Verdict::Duplicate,
            Some(_) | None => Verdict::Repeated,
        },
        (ChannelWord::Failed, PaymentPhase::Pending) => Verdict::Fail,
        (ChannelWord::Closed, PaymentPhase::Pending) => Verdict::Close,
        (ChannelWord::NotPaid, PaymentPhase::Pending)
        | (
            ChannelWord::NotPaid | ChannelWord::Failed | ChannelWord::Closed,
            PaymentPhase::Success | PaymentPhase::Failed | PaymentPhase::Closed,
        ) => Verdict::Nothing,
    }
}

/// What to do with a payment that the channel says nobody has paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterQuery {
    /// Ask again then.
    AskAt(Timestamp),
    /// Its time is over.
    Close,
}

/// After the `queries`-th answer (from 1) that nobody has paid: the pauses grow, and the last question is asked when the
/// payment's time is over.
#[must_use]
pub fn after_query(queries: u32, now: Timestamp, expires_at: Timestamp) -> AfterQuery {
    if now >= expires_at {
        return AfterQuery::Close;
    }
    AfterQuery::AskAt(now.plus(query_wait(queries)).min(expires_at))
}

/// How long to wait after the `asked`-th question (0: before the first).
#[must_use]
pub fn query_wait(asked: u32) -> Millis {
    let index = usize::try_from(asked).unwrap_or(usize::MAX);
    QUERY_WAITS.get(index).or(QUERY_WAITS.last()).copied().unwrap_or(Millis::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_channel_has_its_consequence_in_every_phase() {
        use PaymentPhase::{Closed, Failed, Pending, Success};
        let paid = ChannelWord::Paid { transaction: "T1", amount: Fen(100) };
        let other = ChannelWord::Paid { transaction: "T2", amount: Fen(100) };
        let wrong = ChannelWord::Paid { transaction: "T1", amount: Fen(101) };
        let (no, failed, closed) = (ChannelWord::NotPaid, ChannelWord::Failed, ChannelWord::Closed);
        for (word, on_pending, on_success, on_failed, on_closed) in [
            (paid, Verdict::Credit, Verdict::Repeated, Verdict::Credit, Verdict::Credit),
            (other, Verdict::Credit, Verdict::Duplicate, Verdict::Credit, Verdict::Credit),
            (wrong, Verdict::WrongAmount, Verdict::WrongAmount, Verdict::WrongAmount, Verdict::WrongAmount),
            (no, Verdict::Nothing, Verdict::Nothing, Verdict::Nothing, Verdict::Nothing),
            (failed, Verdict::Fail, Verdict::Nothing, Verdict::Nothing, Verdict::Nothing),
            (closed, Verdict::Close, Verdict::Nothing, Verdict::Nothing, Verdict::Nothing),
        ] {
            for (phase, expected) in
                [(Pending, on_pending), (Success, on_success), (Failed, on_failed), (Closed, on_closed)]
            {
                let transaction = (phase == Success).then_some("T1");
                let known = KnownPayment { phase, amount: Fen(100), transaction };
                assert_eq!(judge(&known, &word), expected, "{word:?} of one that is {phase:?}");
            }
        }
    }

    #[test]
    fn pauses_between_questions_grow_and_the_last_is_asked_when_time_is_over() {
        let at = |s: i64| Timestamp::from_millis(1_763_690_000_000 + s * 1000).unwrap();
        let mut asked_at = vec![query_wait(0).as_secs()];
        for queries in 1.. {
            match after_query(queries, at(asked_at[asked_at.len() - 1]), at(20_000)) {
                AfterQuery::AskAt(then) => asked_at.push(then.since(at(0)).as_secs()),
                AfterQuery::Close => break,
            }
        }
        assert_eq!(asked_at, [5, 20, 80, 380, 2_180, 9_380, 16_580, 20_000]);
    }
}
