//! `report.html`: one self-contained page with the verdict, the figures and a small drawing of the percentiles.

use std::fmt::Write as _;

use super::summary::{Summary, Verdict};
use crate::client::probes::Percentiles;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
color:#1b2430;background:#fff}h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse}\
td,th{padding:.25rem .8rem;text-align:right;border-bottom:1px solid #8884}th:first-child,td:first-child{text-align:left}\
pre{white-space:pre-wrap;background:#8881;padding:1rem;border-radius:.4rem}.good{color:#0a7d36}.wrong{color:#c62828}\
.interrupted{color:#a15c00}@media(prefers-color-scheme:dark){body{color:#e3e8ee;background:#12161b}\
.good{color:#4ccb7a}.wrong{color:#ff7b72}.interrupted{color:#e0a040}}";

/// The page.
#[must_use]
pub fn html(summary: &Summary) -> String {
    let mut page = String::with_capacity(16 * 1024);
    // Writing into a String cannot fail.
    let _ = write_page(&mut page, summary);
    page
}

fn write_page(page: &mut String, s: &Summary) -> std::fmt::Result {
    let (class, verdict) = match s.verdict {
        Verdict::Good => ("good", "good: every bill, account and message is as it must be"),
        Verdict::Wrong => ("wrong", "wrong: the hub broke the contract"),
        Verdict::Interrupted => ("interrupted", "interrupted: nothing is proved"),
    };
    write!(page, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Load test: {class}</title>")?;
    write!(page, "<meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style>")?;
    write!(page, "<h1>Load test: <span class=\"{class}\">{verdict}</span></h1>")?;
    write!(page, "<p>{} · seed {} · {} ms</p>", s.started_at, s.seed, s.elapsed_ms)?;
    let rows = [
        ("pile → phone", s.latency.pile_to_phone),
        ("publish → PUBACK", s.latency.puback),
        ("stop → bill on the phone", s.latency.stop_to_bill),
    ];
    write!(page, "<h2>Latency (ms)</h2><table><tr><th><th>count<th>p50<th>p90<th>p99<th>p99.9<th>max</tr>")?;
    for (name, p) in rows {
        write!(page, "<tr><td>{name}<td>{}", p.count)?;
        for micros in [p.p50_us, p.p90_us, p.p99_us, p.p999_us, p.max_us] {
            write!(page, "<td>{}", millis(micros))?;
        }
        write!(page, "</tr>")?;
    }
    write!(page, "</table>")?;
    for (name, p) in rows {
        write_bars(page, name, p)?;
    }
    write_facts(page, s)?;
    if !s.differences.is_empty() {
        write!(page, "<h2 class=\"wrong\">{} sessions with differences</h2>", s.sessions_wrong)?;
    }
    for story in &s.differences {
        write!(page, "<pre>{}</pre>", escape(&story.lines().join("\n")))?;
    }
    Ok(())
}

fn write_facts(page: &mut String, s: &Summary) -> std::fmt::Result {
    let facts: [(&str, i128); 18] = [
        ("piles", whole(s.load.piles)),
        ("sessions", whole(s.load.sessions)),
        ("phones", whole(s.load.phones)),
        ("duration, s", i128::from(s.load.duration_s)),
        ("status frame every, ms", i128::from(s.load.status_every_ms)),
        ("orders", whole(s.counts.orders)),
        ("bills", whole(s.counts.bills)),
        ("frames published", i128::from(s.counts.frames_published)),
        ("MQTT connections opened", i128::from(s.counts.connects)),
        ("MQTT connections broken", i128::from(s.counts.connections_broken)),
        ("deltas on phones", i128::from(s.counts.deltas)),
        ("phone sockets", i128::from(s.counts.sockets)),
        ("phone sockets resumed", i128::from(s.counts.sockets_resumed)),
        ("paid in, fen", i128::from(s.money.topped_up)),
        ("available, fen", i128::from(s.money.available)),
        ("frozen, fen", i128::from(s.money.frozen)),
        ("paid for charges, fen", i128::from(s.money.paid)),
        ("owed, fen", i128::from(s.money.debt)),
    ];
    write!(page, "<h2>Facts</h2><table>")?;
    for (name, value) in facts {
        write!(page, "<tr><td>{name}<td>{value}</tr>")?;
    }
    write!(page, "</table>")
}

fn whole(n: usize) -> i128 {
    i128::try_from(n).unwrap_or(i128::MAX)
}

/// Horizontal bars on a logarithmic scale from 1 µs to 100 s.
fn write_bars(page: &mut String, name: &str, p: Percentiles) -> std::fmt::Result {
    write!(page, "<svg role=\"img\" aria-label=\"{name}\" width=\"640\" height=\"112\" font-size=\"12\">")?;
    write!(page, "<g fill=\"currentColor\"><text x=\"0\" y=\"12\">{name}</text>")?;
    let bars = [("p50", p.p50_us), ("p90", p.p90_us), ("p99", p.p99_us), ("p99.9", p.p999_us), ("max", p.max_us)];
    for (row, (label, micros)) in (0_u32..).zip(bars) {
        let y = row.saturating_mul(18).saturating_add(22);
        // Eighteen pixels per doubling: 27 doublings are 100 s and fit.
        let width = micros.max(1).ilog2().saturating_mul(18);
        let end = width.saturating_add(56);
        write!(page, "<text x=\"0\" y=\"{}\">{label}</text>", y.saturating_add(11))?;
        write!(page, "<rect x=\"48\" y=\"{y}\" width=\"{width}\" height=\"13\" fill=\"#3b82f6\"/>")?;
        write!(page, "<text x=\"{end}\" y=\"{}\">{} ms</text>", y.saturating_add(11), millis(micros))?;
    }
    write!(page, "</g></svg>")
}

/// Microseconds as milliseconds with two decimals.
#[must_use]
pub fn millis(micros: u64) -> String {
    format!("{}.{:02}", micros / 1000, micros % 1000 / 10)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hub_says_cannot_become_markup() {
        assert_eq!(escape("<b>&"), "&lt;b&gt;&amp;");
    }

    #[test]
    fn microseconds_are_shown_as_milliseconds() {
        assert_eq!([millis(0), millis(999), millis(1_500), millis(12_345_678)], ["0.00", "0.99", "1.50", "12345.67"]);
    }
}
