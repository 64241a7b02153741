//! A receipt worked out again from its text alone.

use serde_json::Value;

use super::{FORMAT, RULE, RULE_VERSION, Receipt, canonical, money, priced};
use crate::{
    limits::{CLOCK_OFFSET_IGNORED_MAX, ENERGY_DIFF_IGNORED_MAX, ENERGY_DIFF_PERCENT_MAX},
    pricing::{Bill, Segment, fee},
    tariff::Tariff,
};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it holds.
    pub verdict: Verdict,
    /// In words: what was found.
    pub words: String,
}

/// What a check comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was worked out again and is the same.
    Holds,
    /// It is not what the receipt says.
    Fails,
    /// The receipt does not have what it takes to look.
    NotStated,
}

/// Works a receipt out again: one check per thing that can be, in the order from the text to the money. It holds when no
/// check fails.
///
/// # Errors
/// In words, when the text is no receipt of a form this release reads.
pub fn verify(text: &str) -> Result<Vec<Check>, String> {
    // Read as a receipt first: a field that is there twice is refused by it.
    let receipt: Receipt = serde_json::from_str(text).map_err(|error| format!("this is no receipt: {error}"))?;
    if receipt.format != FORMAT {
        return Err(format!("the receipt is of the form \"{}\", this release reads {FORMAT}", receipt.format));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| format!("this is no receipt: {error}"))?;
    let mut checks = vec![hash(&receipt, &value), rule(&receipt)];
    let tariff = receipt.tariff.tariff(&receipt.station_id, &receipt.user_id);
    let tariff = match tariff {
        Ok(tariff) => {
            let (periods, plans) = (tariff.periods.len(), tariff.plans.len());
            let words =
                format!("{periods} periods cover the day in {}, {plans} plans for certain days", tariff.timezone);
            checks.push(holds("tariff", words));
            Some(tariff)
        }
        Err(error) => {
            checks.push(fails("tariff", error.to_string()));
            None
        }
    };
    if let Some(bill) = &receipt.bill {
        checks.push(fees(bill));
        checks.push(corrections(&receipt));
        if let Some(tariff) = &tariff {
            checks.push(segments(&receipt, bill, tariff));
            checks.push(readings(&receipt, bill, tariff));
        }
        checks.push(meter(&receipt, bill));
    }
    checks.push(entries(&receipt));
    Ok(checks)
}

fn holds(name: &'static str, words: String) -> Check {
    Check { name, verdict: Verdict::Holds, words }
}

fn fails(name: &'static str, words: String) -> Check {
    Check { name, verdict: Verdict::Fails, words }
}

fn not_stated(name: &'static str, words: &str) -> Check {
    Check { name, verdict: Verdict::NotStated, words: words.to_owned() }
}

/// Holds with `good` when nothing is at fault, else fails with what is.
fn judged(name: &'static str, good: String, faults: &[String]) -> Check {
    if faults.is_empty() { holds(name, good) } else { fails(name, faults.join("; ")) }
}

fn hash(receipt: &Receipt, value: &Value) -> Check {
    match canonical::hash(value) {
        Ok(found) if found == receipt.hash => holds("hash", format!("the content has the SHA-256 {found}")),
        Ok(found) => fails("hash", format!("the content has the SHA-256 {found}, the receipt says {}", receipt.hash)),
        Err(error) => fails("hash", error.to_string()),
    }
}

fn rule(receipt: &Receipt) -> Check {
    let rule = &receipt.rule;
    if rule.version == RULE_VERSION && rule.text == RULE {
        return holds("rule", format!("version {RULE_VERSION}"));
    }
    fails("rule", format!("the rule of version {} is not the one of version {RULE_VERSION}", rule.version))
}

fn fees(bill: &Bill) -> Check {
    let mut faults = Vec::new();
    for (what, said, found) in [
        ("electricityFen", bill.electricity_fen, fee(&bill.segments, |segment| segment.electricity_e4)),
        ("serviceFen", bill.service_fen, fee(&bill.segments, |segment| segment.service_e4)),
    ] {
        match found {
            Ok(found) if found == said => {}
            Ok(found) => faults.push(format!("{what} is {said}, the segments make {found}")),
            Err(error) => faults.push(format!("{what}: {error}")),
        }
    }
    let parts = [bill.electricity_fen, bill.service_fen, bill.occupancy_fen];
    let total = parts.iter().fold(0_i128, |sum, part| sum.saturating_add(part.0.into()));
    if total != i128::from(bill.total_fen.0) {
        faults.push(format!("totalFen is {}, the fees make {total} fen", bill.total_fen));
    }
    let energy = bill.segments.iter().fold(0_i128, |sum, segment| sum.saturating_add(segment.energy_wh.0.into()));
    if energy != i128::from(bill.energy_wh.0) {
        faults.push(format!("energyWh is {}, the segments make {energy} Wh", bill.energy_wh));
    }
    let good = format!(
        "{} segments of {} make {} electricity + {} service + {} occupancy = {}",
        bill.segments.len(),
        bill.energy_wh,
        bill.electricity_fen,
        bill.service_fen,
        bill.occupancy_fen,
        bill.total_fen
    );
    judged("fees", good, &faults)
}

fn corrections(receipt: &Receipt) -> Check {
    let mut faults = Vec::new();
    for correction in &receipt.corrections {
        let parts = i128::from(correction.electricity_fen.0).saturating_add(correction.service_fen.0.into());
        if parts != i128::from(correction.total_fen.0) {
            faults.push(format!(
                "the correction of {} says {}, its parts make {parts} fen",
                correction.at, correction.total_fen
            ));
        }
    }
    if receipt.corrections.is_empty() {
        return not_stated("corrections", "there is none");
    }
    judged("corrections", format!("{} of them, their parts make their totals", receipt.corrections.len()), &faults)
}

/// The segments have the boundaries and prices of the tariff.
fn segments(receipt: &Receipt, bill: &Bill, tariff: &Tariff) -> Check {
    let mut faults = Vec::new();
    if (&bill.tariff_id, bill.tariff_version) != (&tariff.tariff_id, tariff.version) {
        faults.push(format!(
            "the bill is by tariff {} version {}, the receipt shows {} version {}",
            bill.tariff_id, bill.tariff_version, tariff.tariff_id, tariff.version
        ));
    }
    let outline = |segment: &Segment| {
        let Segment { from, to, label, energy_wh: _, electricity_e4, service_e4 } = segment.clone();
        (from, to, label, electricity_e4, service_e4)
    };
    match priced::outline(bill, tariff, receipt.created_at) {
        Ok(expected) if bill.segments.iter().map(outline).eq(expected.segments.iter().map(outline)) => {}
        Ok(expected) => {
            let differs = bill.segments.iter().zip(&expected.segments).find(|(a, b)| outline(a) != outline(b));
            faults.push(differs.map_or_else(
                || format!("there are {} segments, the tariff makes {}", bill.segments.len(), expected.segments.len()),
                |(said, expected)| format!("{} is not what the tariff makes: {}", line(said), line(expected)),
            ));
        }
        Err(error) => faults.push(error.to_string()),
    }
    let good = format!("each has the times and prices of tariff {} version {}", bill.tariff_id, bill.tariff_version);
    judged("segments", good, &faults)
}

fn line(segment: &Segment) -> String {
    let Segment { from, to, label, energy_wh: _, electricity_e4, service_e4 } = segment;
    format!("{label} {from} to {to} at {electricity_e4} + {service_e4}")
}

/// The readings make the segments, to the Wh.
fn readings(receipt: &Receipt, bill: &Bill, tariff: &Tariff) -> Check {
    let Some(priced) = &receipt.readings else {
        return not_stated(
            "readings",
            "they are no longer stored; the energy of the segments cannot be worked out again",
        );
    };
    let again = match priced.bill(tariff, receipt.created_at) {
        Ok(again) => again,
        Err(error) => return fails("readings", error.to_string()),
    };
    let mut faults = Vec::new();
    if (again.started_at, again.ended_at) != (bill.started_at, bill.ended_at) {
        faults.push(format!(
            "the bill is of {} to {}, the readings are of {} to {}",
            bill.started_at, bill.ended_at, again.started_at, again.ended_at
        ));
    }
    if again.segments != bill.segments {
        let differs = bill.segments.iter().zip(&again.segments).find(|(a, b)| a != b);
        faults.push(differs.map_or_else(
            || format!("there are {} segments, the readings make {}", bill.segments.len(), again.segments.len()),
            |(said, found)| {
                format!(
                    "{} has {}, the readings make {} in {}",
                    line(said),
                    said.energy_wh,
                    found.energy_wh,
                    line(found)
                )
            },
        ));
    }
    let (frames, offset) = (priced.frames.len(), priced.clock_offset_ms);
    if offset != 0 && offset.saturating_abs() <= CLOCK_OFFSET_IGNORED_MAX.0 {
        faults.push(format!("a clock that is off by {offset} ms is not corrected"));
    }
    judged("readings", format!("{frames} frames, clock corrected by {offset} ms, make the same segments"), &faults)
}

/// The bill's energy is what the pile's own register counted, to a percent.
fn meter(receipt: &Receipt, bill: &Bill) -> Check {
    let (Some(start), Some(end)) = (receipt.meter_start_wh, receipt.meter_end_wh) else {
        return not_stated("meter", "the pile's record did not say its register");
    };
    let counted = i128::from(end.0).saturating_sub(start.0.into());
    let differs = counted.saturating_sub(bill.energy_wh.0.into()).saturating_abs();
    let tolerated =
        counted.saturating_mul(ENERGY_DIFF_PERCENT_MAX.into()).div_euclid(100).max(ENERGY_DIFF_IGNORED_MAX.0.into());
    let words = format!("the register counted {counted} Wh from {start} to {end}, billed are {}", bill.energy_wh);
    if counted >= 0 && differs <= tolerated { holds("meter", words) } else { fails("meter", words) }
}

/// The lines of the books make the sums, and the bill.
fn entries(receipt: &Receipt) -> Check {
    let faults = money::faults(receipt);
    let sums = &receipt.sums;
    let good = format!(
        "{} lines balance: {} paid, {} owed, {} given back, {} given up",
        receipt.entries.len(),
        sums.paid_fen,
        sums.debt_fen,
        sums.refunded_fen,
        sums.written_off_fen
    );
    judged("entries", good, &faults)
}
