//! Who may do what, tried: every call of the API with every role, against the page that tells people.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::{Hub, token};

const ROLES: [&str; 7] = ["driver", "service", "ops", "finance", "risk", "admin", "auditor"];

/// The page of the roles: each call with the roles that have a tick.
fn page() -> BTreeMap<String, Vec<&'static str>> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/roles.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let right = |row: &str| {
        let (call, cells) = row.split_once("` |").unwrap();
        let ticks = cells.split('|').take(ROLES.len()).map(|cell| cell.trim() == "✓");
        (call.to_owned(), ROLES.into_iter().zip(ticks).filter_map(|(role, tick)| tick.then_some(role)).collect())
    };
    rows.map(right).collect()
}

#[test]
fn every_call_takes_exactly_the_roles_of_the_page() {
    let hub = Hub::start_with(&[("limits.http_requests_per_address_per_s_max", "0")]);
    let page = page();
    let document = hub.call("GET", "/api/openapi.json", &[], b"").expect(200);
    let mut tried = 0;
    for (path, calls) in document["paths"].as_object().unwrap() {
        for (method, described) in calls.as_object().unwrap() {
            let method = method.to_uppercase();
            let call = format!("{method} {}", path.strip_prefix("/api/v1").unwrap());
            let allowed = page.get(&call).unwrap_or_else(|| panic!("{call} is not in docs/roles.md"));
            let said: Vec<&str> =
                described["x-roles"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
            assert_eq!(said, *allowed, "{call}: x-roles");
            if allowed.is_empty() {
                continue;
            }
            let address = filled(path);
            hub.call(&method, &address, &[], b"").refused(401, "UNAUTHENTICATED");
            for role in ROLES {
                let bearer = format!("Bearer {}", token(role, "somebody"));
                let reply = hub.call(&method, &address, &[("authorization", &bearer)], b"");
                let refused = reply.status == 403 && reply.text().contains("may not do this");
                assert_eq!(!refused, allowed.contains(&role), "{call} as {role}: {}", reply.text());
                if refused {
                    let body = reply.refused(403, "FORBIDDEN");
                    let names: Vec<&str> = allowed.clone();
                    assert!(names.iter().all(|name| body["detail"].as_str().unwrap().contains(name)), "{body}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "{tried}");
    assert_eq!(page.len(), document["paths"].as_object().unwrap().values().map(calls_of).sum::<usize>());
}

fn calls_of(path: &Value) -> usize {
    path.as_object().unwrap().len()
}

/// The path with something in every hole.
fn filled(path: &str) -> String {
    let mut address = String::new();
    for part in path.split_inclusive(['{', '}']) {
        match part.strip_suffix('}') {
            Some(_) => address.push('1'),
            None => address.push_str(part.trim_end_matches('{')),
        }
    }
    address
}
