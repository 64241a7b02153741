//! What a phone may expect of its WebSocket, message by message [CONTRACT 4]. Pure: text in, findings out.

use domain::WattHours;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::api::Order;

/// What the phone is to do about a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// The order, whole.
    Snap,
    /// What changed; `energy` when it did.
    Delta {
        /// New value of `energyWh`.
        energy: Option<WattHours>,
    },
    /// To be answered with a pong of the same number.
    Ping(i64),
    /// The order is over.
    End(Box<Order>),
}

/// Follows one order over any number of sockets.
#[derive(Debug, Clone, Default)]
pub struct Checker {
    epoch: Option<String>,
    seq: i64,
    /// The order as the phone shows it.
    shown: Map<String, Value>,
    highest_energy: i64,
    highest_amount: i64,
    resuming: bool,
    /// Deltas seen.
    pub deltas: u64,
    /// Snaps seen.
    pub snaps: u64,
    /// Whether a socket was resumed with deltas only.
    pub resumed: u64,
    /// What the hub did wrong.
    pub findings: Vec<String>,
}

#[derive(Deserialize)]
struct Message {
    t: String,
    epoch: Option<String>,
    seq: Option<i64>,
    n: Option<i64>,
    d: Option<Map<String, Value>>,
}

impl Checker {
    /// Where to resume: epoch and the last number seen.
    #[must_use]
    pub fn position(&self) -> Option<(&str, i64)> {
        self.epoch.as_deref().map(|epoch| (epoch, self.seq))
    }

    /// The socket is cut; the next one resumes from [`Self::position`].
    pub const fn cut(&mut self) {
        self.resuming = true;
    }

    /// Whether the phone shows a bill.
    #[must_use]
    pub fn shows_bill(&self) -> bool {
        self.shown.get("bill").is_some_and(|bill| !bill.is_null())
    }

    /// Takes a text message. `None` when it makes no sense, which is a finding.
    pub fn hear(&mut self, text: &str) -> Option<Heard> {
        let message: Message = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(error) => return self.wrong(format!("unreadable message ({error}): {}", cut(text))),
        };
        match message.t.as_str() {
            "snap" => self.snap(message, text),
            "delta" => self.delta(message, text),
            "ping" => message.n.map(Heard::Ping).or_else(|| self.wrong(format!("ping without n: {}", cut(text)))),
            "end" => self.end(message, text),
            // A kind that this version does not know: the contract may grow.
            _ => None,
        }
    }

    fn snap(&mut self, message: Message, text: &str) -> Option<Heard> {
        let (Some(epoch), Some(seq), Some(order)) = (message.epoch, message.seq, message.d) else {
            return self.wrong(format!("snap without epoch, seq or d: {}", cut(text)));
        };
        if self.epoch.as_deref() == Some(epoch.as_str()) {
            if seq < self.seq {
                self.findings.push(format!("snap {seq} after {} in the same epoch", self.seq));
            }
        } else {
            (self.highest_energy, self.highest_amount) = (0, 0);
        }
        (self.epoch, self.seq, self.shown, self.resuming) = (Some(epoch), seq, order, false);
        self.snaps = self.snaps.saturating_add(1);
        self.monotone();
        Some(Heard::Snap)
    }

    fn delta(&mut self, message: Message, text: &str) -> Option<Heard> {
        let (Some(seq), Some(changed)) = (message.seq, message.d) else {
            return self.wrong(format!("delta without seq or d: {}", cut(text)));
        };
        if self.epoch.is_none() {
            return self.wrong(format!("delta {seq} before any snap"));
        }
        if seq != self.seq.saturating_add(1) {
            self.findings.push(format!("delta {seq} after {}: a gap or a repeat", self.seq));
        }
        if self.resuming {
            self.resumed = self.resumed.saturating_add(1);
            self.resuming = false;
        }
        self.seq = seq;
        self.deltas = self.deltas.saturating_add(1);
        let energy = changed.get("energyWh").and_then(Value::as_i64).map(WattHours);
        self.shown.extend(changed);
        self.monotone();
        Some(Heard::Delta { energy })
    }

    fn end(&mut self, message: Message, text: &str) -> Option<Heard> {
        let Some(order) = message.d else { return self.wrong(format!("end without d: {}", cut(text))) };
        self.shown.extend(order.clone());
        match serde_json::from_value(Value::Object(order)) {
            Ok(order) => Some(Heard::End(Box::new(order))),
            Err(error) => self.wrong(format!("end without a whole order ({error}): {}", cut(text))),
        }
    }

    /// Energy and amount never go down within an epoch.
    fn monotone(&mut self) {
        let shown = |name: &str| self.shown.get(name).and_then(Value::as_i64);
        let (energy, amount) = (shown("energyWh"), shown("amountFen"));
        for (name, now, highest) in
            [("energyWh", energy, &mut self.highest_energy), ("amountFen", amount, &mut self.highest_amount)]
        {
            let Some(now) = now else { continue };
            if now < *highest {
                self.findings.push(format!("{name} went down from {highest} to {now} at seq {}", self.seq));
            }
            *highest = now.max(*highest);
        }
    }

    fn wrong<T>(&mut self, finding: String) -> Option<T> {
        self.findings.push(finding);
        None
    }
}

fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNAP: &str = r#"{"t":"snap","epoch":"e1","seq":5,"hb":15000,"d":{"energyWh":100,"amountFen":10}}"#;

    fn hear(texts: &[&str]) -> Checker {
        let mut checker = Checker::default();
        for text in texts {
            checker.hear(text);
        }
        checker
    }

    #[test]
    fn a_hub_that_keeps_the_contract_is_not_blamed() {
        let checker = hear(&[
            SNAP,
            r#"{"t":"delta","seq":6,"d":{"energyWh":120}}"#,
            r#"{"t":"delta","seq":7,"d":{"powerW":6000}}"#,
            r#"{"t":"ping","n":7}"#,
            r#"{"t":"something new"}"#,
        ]);
        assert_eq!(checker.findings, Vec::<String>::new());
        assert_eq!(checker.position(), Some(("e1", 7)));
    }

    #[test]
    fn every_breach_is_found() {
        let table = [
            ("gap", r#"{"t":"delta","seq":7,"d":{}}"#),
            ("repeat", r#"{"t":"delta","seq":5,"d":{}}"#),
            ("energy down", r#"{"t":"delta","seq":6,"d":{"energyWh":99}}"#),
            ("amount down", r#"{"t":"snap","epoch":"e1","seq":6,"d":{"energyWh":100,"amountFen":9}}"#),
            ("older snap", r#"{"t":"snap","epoch":"e1","seq":4,"d":{}}"#),
            ("no seq", r#"{"t":"delta","d":{}}"#),
            ("no order", r#"{"t":"end","seq":6,"d":{"status":"CLOSED"}}"#),
            ("no JSON", "hello"),
        ];
        for (why, text) in table {
            assert_eq!(hear(&[SNAP, text]).findings.len(), 1, "{why}");
        }
    }

    #[test]
    fn another_epoch_may_begin_lower() {
        let checker = hear(&[SNAP, r#"{"t":"snap","epoch":"e2","seq":0,"d":{"energyWh":1,"amountFen":0}}"#]);
        assert_eq!(checker.findings, Vec::<String>::new());
    }
}
