//! The names of all settings, and the nearest one to a name that does not exist.

use toml::{Table, Value};

/// `section.key` and its value, for every leaf of a table.
pub(super) fn leaves(table: &Table) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    walk("", table, &mut found);
    found
}

fn walk<'a>(prefix: &str, table: &'a Table, found: &mut Vec<(String, &'a Value)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if let Value::Table(inner) = value {
            walk(&key, inner, found);
        } else {
            found.push((key, value));
        }
    }
}

/// The existing name that looks most like `wrong`.
pub(super) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |name: &str| strsim::jaro_winkler(wrong, name);
    known.map(|name| (likeness(name), name)).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_key() {
        let known = ["http.listen", "mqtt.listen", "mqtt.tls_listen", "auth.jwt_key", "money.hold_over_fen"];
        for (wrong, right) in [
            ("http.listne", "http.listen"),
            ("auth.jwtkey", "auth.jwt_key"),
            ("money.hold_fen", "money.hold_over_fen"),
            ("mqtt.tlslisten", "mqtt.tls_listen"),
        ] {
            assert_eq!(nearest(wrong, known.into_iter()), Some(right), "{wrong}");
        }
    }
}
