//! What a phone is shown of an order, as top-level JSON fields, and the difference between two such states.
//!
//! Pure. The order's own fields come from `view`, the same that `GET /orders/{no}` answers; here the live values are
//! laid over them.

use actors::api::{LinkState, Live as Values};
use serde_json::{Map, Value, json};
use settlement::order::Order;

use super::limits::SEGMENTS_MAX;
use crate::view::{order_view, percent};

/// Top-level fields by name.
pub(super) type Fields = Map<String, Value>;

/// All fields of an order as they are now.
///
/// Before the bill, energy and amount are the greater of what is known and `floor`, which is what was shown last:
/// an estimate never makes them go down. The bill is shown as it is.
pub(super) fn fields_of(order: &Order, link: LinkState, values: Option<&Values>, floor: Shown) -> (Fields, Shown) {
    let values = values.filter(|_| !is_settled(order));
    let mut fields = match serde_json::to_value(order_view(order, link, values)) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => Fields::new(),
    };
    let known = Shown {
        energy_wh: fields.get("energyWh").and_then(Value::as_i64).unwrap_or(0),
        amount_fen: match (&order.bill, values) {
            (Some(bill), _) => bill.total_fen.0,
            (None, Some(values)) => values.amount.0,
            (None, None) => 0,
        },
    };
    let shown = if is_settled(order) { known } else { known.max_with(floor) };
    fields.extend(live_fields(order, values, shown).map(|(name, value)| (name.to_owned(), value)));
    cut_segments(&mut fields);
    (fields, shown)
}

/// Lays newer live values over the fields of an order that did not change otherwise, and says which fields changed:
/// the same as [`fields_of`] and [`difference`], for a fifth of the cost. `None` when estimates count no more.
pub(super) fn lay_over(fields: &mut Fields, order: &Order, values: &Values, floor: Shown) -> Option<(Fields, Shown)> {
    if is_settled(order) || order.ended_at.is_some() {
        return None;
    }
    let known = Shown { energy_wh: values.energy.max(order.energy_wh).0, amount_fen: values.amount.0 };
    let shown = known.max_with(floor);
    let duration = ("durationS", json!(values.duration_s));
    let mut changed = Fields::new();
    for (name, value) in live_fields(order, Some(values), shown).into_iter().chain([duration]) {
        if fields.get(name) != Some(&value) {
            fields.insert(name.to_owned(), value.clone());
            changed.insert(name.to_owned(), value);
        }
    }
    Some((changed, shown))
}

/// The fields that come from the running session.
fn live_fields(order: &Order, values: Option<&Values>, shown: Shown) -> [(&'static str, Value); 8] {
    let soc = values.and_then(|v| v.soc).or(order.end_soc).or(order.start_soc);
    [
        ("energyWh", json!(shown.energy_wh)),
        ("amountFen", json!(shown.amount_fen)),
        ("powerW", json!(values.and_then(|v| v.power))),
        ("voltageMv", json!(values.and_then(|v| v.voltage))),
        ("currentMa", json!(values.and_then(|v| v.current))),
        ("socPercent", json!(soc.map(percent))),
        ("asOf", json!(values.and_then(|v| v.as_of))),
        ("period", json!(values.and_then(|v| v.period.as_deref()))),
    ]
}

/// The two figures that never go down within an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shown {
    pub(super) energy_wh: i64,
    pub(super) amount_fen: i64,
}

impl Shown {
    fn max_with(self, other: Self) -> Self {
        Self { energy_wh: self.energy_wh.max(other.energy_wh), amount_fen: self.amount_fen.max(other.amount_fen) }
    }

    /// Whether showing this after `before` would make one of the figures go down.
    pub(super) fn is_below(self, before: Self) -> bool {
        self.energy_wh < before.energy_wh || self.amount_fen < before.amount_fen
    }
}

/// Whether the estimates are over: there is a bill, or there will be none.
fn is_settled(order: &Order) -> bool {
    order.bill.is_some() || order.status.is_over()
}

/// A bill over years, from a pile with a wild clock, would not fit into a socket.
fn cut_segments(fields: &mut Fields) {
    let Some(bill) = fields.get_mut("bill").and_then(Value::as_object_mut) else { return };
    let Some(segments) = bill.get_mut("segments").and_then(Value::as_array_mut) else { return };
    if segments.len() > SEGMENTS_MAX {
        let omitted = segments.len();
        segments.clear();
        bill.insert("segmentsOmitted".to_owned(), json!(omitted));
    }
}

/// The fields of `next` that differ from `before`; a field that is gone becomes `null`.
pub(super) fn difference(before: &Fields, next: &Fields) -> Fields {
    let changed = next.iter().filter(|(name, value)| before.get(*name) != Some(*value));
    let gone = before.keys().filter(|name| !next.contains_key(*name));
    changed
        .map(|(name, value)| (name.clone(), value.clone()))
        .chain(gone.map(|name| (name.clone(), Value::Null)))
        .collect()
}

#[cfg(test)]
mod tests {
    use domain::{Fen, MilliVolts, SocTenths, WattHours, Watts};
    use settlement::order::OrderStatus;

    use super::*;
    use crate::live::samples::{bill, order};

    fn values(energy: i64, amount: i64) -> Values {
        Values { energy: WattHours(energy), amount: Fen(amount), ..Values::default() }
    }

    #[test]
    fn an_order_is_shown_with_its_own_fields_and_the_live_ones() {
        let live = Values {
            power: Some(Watts(47_800)),
            voltage: Some(MilliVolts(398_200)),
            soc: Some(SocTenths(415)),
            duration_s: 240,
            ..values(3125, 312)
        };
        let (fields, _) = fields_of(&order("1001"), LinkState::Live, Some(&live), Shown::default());
        let expected = [
            ("orderNo", json!("1001")),
            ("status", json!("CHARGING")),
            ("link", json!("live")),
            ("bill", Value::Null),
            ("energyWh", json!(3125)),
            ("durationS", json!(240)),
            ("amountFen", json!(312)),
            ("powerW", json!(47_800)),
            ("voltageMv", json!(398_200)),
            ("currentMa", Value::Null),
            ("socPercent", json!(41.5)),
        ];
        for (name, value) in expected {
            assert_eq!(fields.get(name), Some(&value), "{name}");
        }
    }

    #[test]
    fn an_estimate_never_makes_energy_or_amount_go_down() {
        let floor = Shown { energy_wh: 500, amount_fen: 50 };
        let (_, shown) = fields_of(&order("1"), LinkState::Live, Some(&values(499, 51)), floor);
        assert_eq!(shown, Shown { energy_wh: 500, amount_fen: 51 });
        assert!(!shown.is_below(floor));
    }

    #[test]
    fn a_bill_is_shown_as_it_is_even_when_it_is_lower() {
        let floor = Shown { energy_wh: 500, amount_fen: 50 };
        let mut billed = order("1");
        billed.status = OrderStatus::Closed;
        billed.energy_wh = WattHours(400);
        billed.bill = Some(bill(400, 40, 1));
        let (fields, shown) = fields_of(&billed, LinkState::Live, Some(&values(500, 50)), floor);
        assert_eq!(shown, Shown { energy_wh: 400, amount_fen: 40 });
        assert!(shown.is_below(floor));
        assert_eq!(fields.get("powerW"), Some(&Value::Null), "no current flows any more");
    }

    #[test]
    fn laying_values_over_is_the_same_as_showing_everything_anew() {
        let order = order("1");
        let (mut laid, mut shown) = fields_of(&order, LinkState::Stale, None, Shown::default());
        for n in [1_i16, 2, 2, 5, 3, 9] {
            let newer = Values {
                power: (n != 5).then_some(Watts(i32::from(n) * 1000)),
                soc: (n > 2).then_some(SocTenths(n * 10)),
                duration_s: n.into(),
                period: Some(if n > 4 { "峰" } else { "平" }.into()),
                ..values(i64::from(n) * 10, n.into())
            };
            let (anew, shown_anew) = fields_of(&order, LinkState::Stale, Some(&newer), shown);
            let changed_anew = difference(&laid, &anew);
            let (changed, shown_laid) = lay_over(&mut laid, &order, &newer, shown).unwrap();
            assert_eq!((&laid, &changed, shown_laid), (&anew, &changed_anew, shown_anew), "{n}");
            shown = shown_laid;
        }
        let mut billed = order;
        billed.bill = Some(bill(1, 1, 1));
        assert_eq!(lay_over(&mut laid, &billed, &values(900, 90), shown), None);
    }

    #[test]
    fn a_difference_has_what_changed_and_nothing_else() {
        let of = |value: Value| value.as_object().unwrap().clone();
        let before = of(json!({"a": 1, "b": {"c": 1, "d": 2}, "e": null, "gone": 5}));
        let next = of(json!({"a": 1, "b": {"c": 1, "d": 3}, "e": null, "new": []}));
        let changed = difference(&before, &next);
        assert_eq!(Value::Object(changed), json!({"b": {"c": 1, "d": 3}, "gone": null, "new": []}));
        assert!(difference(&next, &next).is_empty());
    }

    #[test]
    fn a_bill_over_years_goes_without_its_segments() {
        let mut billed = order("1");
        billed.bill = Some(bill(400, 40, 10_000));
        let (fields, _) = fields_of(&billed, LinkState::Live, None, Shown::default());
        let bill = fields.get("bill").unwrap();
        assert_eq!((&bill["segments"], &bill["segmentsOmitted"]), (&json!([]), &json!(10_000)));
        assert!(serde_json::to_string(&fields).unwrap().len() < 4096);
    }
}
