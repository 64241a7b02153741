//! What is not understood, with the reason and the field that an operator will read [CONTRACT 1.6].
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use domain::{
    limits::{CONNECTORS_MAX, PAYLOAD_LEN_MAX, TEXT_LEN_MAX},
    wire::{
        FrameError,
        Reason::{
            self, BadConnector, ForeignPile, MalformedJson, MissingField, OutOfRange, Oversize, UnknownOrder, WrongType,
        },
        UpFrame,
        UpTopic::{self, CommandAck, Event, Finished, Heartbeat, Meter, Status},
        parse, parse_command, parse_record_ack,
    },
};
use serde_json::{Value, json};

/// A frame of each kind with every field, all of them right.
fn good(topic: UpTopic) -> Value {
    match topic {
        Heartbeat => json!({"pileCode":"P1","status":1,"voltage":220.1,"current":0,"power":0,"temperature":31.5,
            "timestamp":1_763_690_000_000_i64,"seq":12,"firmware":"1.4.2",
            "connectors":[{"connectorId":1,"status":1,"plugged":true,"locked":true}]}),
        Status => json!({"orderNo":"1","connectorId":1,"seq":7,"voltage":398.2,"current":120.0,"currentPower":47.8,
            "totalPower":3.125,"totalTime":240,"soc":41.5,"timestamp":1_763_690_240_000_i64}),
        Finished => json!({"orderNo":"1","connectorId":1,"seq":31,"totalPower":12.48,"totalTime":1800,"startSoc":38,
            "endSoc":62.5,"stopReason":2,"startTime":1,"endTime":2,"meterStart":1,"meterEnd":2,"faultCode":"E1","timestamp":3}),
        CommandAck => {
            json!({"commandId":"c","orderNo":"1","result":"accepted","code":"0","message":"ok","timestamp":1})
        }
        Event => json!({"eventId":"e","type":"fault","connectorId":1,"faultCode":"E106","detail":"d","timestamp":1}),
        Meter => json!({"connectorId":1,"meter":10033.79,"timestamp":1}),
    }
}

fn refused(topic: UpTopic, payload: &[u8]) -> FrameError {
    parse(topic, "P1", payload).unwrap_err()
}

/// `frame` as text with one field set to a value that need not be JSON.
fn with(topic: UpTopic, field: &str, raw: &str) -> String {
    let mut frame = good(topic);
    match field.strip_prefix("connectors.") {
        Some(inner) => frame["connectors"][0][inner] = json!("@@"),
        None => frame[field] = json!("@@"),
    }
    frame.to_string().replace("\"@@\"", raw)
}

#[test]
fn the_good_frames_of_this_file_are_good() {
    for topic in UpTopic::ALL {
        parse(topic, "P1", good(topic).to_string().as_bytes()).unwrap();
    }
}

#[test]
fn a_required_field_that_is_absent_or_null_is_named() {
    let table: [(UpTopic, &[&str]); 6] = [
        (Heartbeat, &["timestamp", "status"]),
        (Status, &["orderNo", "seq", "totalPower", "timestamp"]),
        (Finished, &["orderNo", "totalPower", "stopReason"]),
        (CommandAck, &["commandId", "result"]),
        (Event, &["eventId", "type", "timestamp"]),
        (Meter, &["connectorId", "meter", "timestamp"]),
    ];
    for (topic, required) in table {
        let all: Vec<String> = good(topic).as_object().unwrap().keys().cloned().collect();
        for field in &all {
            let mut absent = good(topic);
            absent.as_object_mut().unwrap().remove(field);
            let mut null = good(topic);
            null[field.as_str()] = Value::Null;
            for frame in [absent, null] {
                let outcome = parse(topic, "P1", frame.to_string().as_bytes());
                if required.contains(&field.as_str()) {
                    let error = outcome.unwrap_err();
                    assert_eq!(
                        (error.reason, error.field),
                        (MissingField, required.iter().copied().find(|r| r == field))
                    );
                } else {
                    assert!(outcome.is_ok(), "{topic} without {field}: {outcome:?}");
                }
            }
        }
    }
    let neither = refused(Finished, br#"{"orderNo":"1","totalPower":1,"stopReason":1,"endTime":null}"#);
    assert_eq!((neither.reason, neither.field), (MissingField, Some("endTime")));
    let no_id = refused(Heartbeat, br#"{"status":1,"timestamp":1,"connectors":[{"plugged":true}]}"#);
    assert_eq!((no_id.reason, no_id.field), (MissingField, Some("connectors.connectorId")));
}

/// Values of one field, as they stand in the JSON, and the reason they are all refused for.
type Row = (UpTopic, &'static str, Reason, &'static [&'static str]);

fn all_refused(rows: &[Row]) {
    for (topic, field, reason, values) in rows {
        for raw in *values {
            let error = refused(*topic, with(*topic, field, raw).as_bytes());
            assert_eq!((error.reason, error.field), (*reason, Some(*field)), "{topic} {field} {raw}: {error}");
            assert!(error.detail.starts_with(&format!("{field} is {raw}: ")), "{error}");
        }
    }
}

#[test]
fn a_bad_decimal_is_refused_with_field_value_and_reason() {
    all_refused(&[
        (Status, "totalPower", OutOfRange, &["-0.001", "-0.0001", "-1e-400", "\"-3\"", "-1"]),
        (
            Status,
            "totalPower",
            OutOfRange,
            &["1000000.001", "1e400", "1e99999999999999999999", "999999999999999999999"],
        ),
        (
            Status,
            "totalPower",
            WrongType,
            &["\"NaN\"", "\"Infinity\"", "\"-inf\"", "\"\"", "\" 1\"", "\"1 \"", "\"1,5\""],
        ),
        (
            Status,
            "totalPower",
            WrongType,
            &["\"0x10\"", "\"+1\"", "\"1.\"", "\".5\"", "\"1e\"", "\"--1\"", "\"1e1.5\"", "\"١\""],
        ),
        (Status, "totalPower", WrongType, &["true", "[]", "[3.125]", "{}"]),
        (Status, "voltage", OutOfRange, &["1e9", "-2147483.649"]),
        (Status, "voltage", WrongType, &["\"NaN\"", "false"]),
        (Status, "current", OutOfRange, &["-1e9"]),
        (Status, "current", WrongType, &["{}"]),
        (Status, "currentPower", OutOfRange, &["3e6"]),
        (Status, "currentPower", WrongType, &["\"a lot\""]),
        (Status, "soc", OutOfRange, &["-0.1", "100.1", "255"]),
        (Status, "soc", WrongType, &["\"full\""]),
        (Heartbeat, "temperature", OutOfRange, &["4000"]),
        (Heartbeat, "temperature", WrongType, &["\"warm\""]),
        (Heartbeat, "power", WrongType, &["\"NaN\""]),
        (Finished, "totalPower", OutOfRange, &["-1"]),
        (Finished, "totalPower", WrongType, &["\"12,5\""]),
        (Finished, "meterStart", OutOfRange, &["-1"]),
        (Finished, "meterEnd", OutOfRange, &["1e10"]),
        (Finished, "startSoc", OutOfRange, &["-1"]),
        (Finished, "endSoc", OutOfRange, &["101"]),
        (Meter, "meter", OutOfRange, &["-0.5"]),
        (Meter, "meter", WrongType, &["\"NaN\""]),
    ]);
}

#[test]
fn a_bad_whole_number_is_refused_with_field_value_and_reason() {
    all_refused(&[
        (Status, "seq", OutOfRange, &["0", "-1", "4294967296"]),
        (Status, "seq", WrongType, &["1.5", "\"first\""]),
        (Status, "totalTime", OutOfRange, &["-1", "4294967296"]),
        (Status, "totalTime", WrongType, &["\"4 min\""]),
        (Status, "connectorId", BadConnector, &["-1", "65", "300"]),
        (Status, "connectorId", WrongType, &["1.5"]),
        (Heartbeat, "status", OutOfRange, &["0", "5", "-1"]),
        (Heartbeat, "status", WrongType, &["1.5", "\"idle\""]),
        (Heartbeat, "seq", OutOfRange, &["-1"]),
        (Heartbeat, "seq", WrongType, &["1.2"]),
        (Heartbeat, "connectors.connectorId", BadConnector, &["65"]),
        (Heartbeat, "connectors.connectorId", WrongType, &["\"left\""]),
        (Heartbeat, "connectors.status", OutOfRange, &["9"]),
        (Finished, "stopReason", OutOfRange, &["0", "11", "98", "256"]),
        (Finished, "stopReason", WrongType, &["\"user\""]),
        (Event, "connectorId", BadConnector, &["65"]),
        (Meter, "connectorId", WrongType, &["\"1a\""]),
    ]);
}

#[test]
fn a_bad_time_is_refused_with_field_value_and_reason() {
    all_refused(&[
        (Status, "timestamp", WrongType, &["\"yesterday\"", "\"\"", "true", "\"2025-13-01T00:00:00Z\""]),
        (Status, "timestamp", WrongType, &["\"2025-11-21T01:57:20\""]),
        (Status, "timestamp", OutOfRange, &["1e300", "9223372036854775807"]),
        (Finished, "startTime", WrongType, &["\"now\""]),
        (Finished, "endTime", WrongType, &["\"now\"", "[]"]),
    ]);
}

#[test]
fn a_bad_text_or_flag_is_refused_with_field_value_and_reason() {
    all_refused(&[
        (Status, "orderNo", WrongType, &["1", "[\"1\"]"]),
        (Status, "orderNo", UnknownOrder, &["\"\"", "\"a-b\""]),
        (Heartbeat, "firmware", WrongType, &["1.4"]),
        (Heartbeat, "firmware", MalformedJson, &["\"\\ud800\""]),
        (Heartbeat, "connectors", WrongType, &["{}", "1", "[1]", "[[1,1,true,true]]", "[null]"]),
        (Heartbeat, "connectors.plugged", WrongType, &["1", "\"true\""]),
        (Heartbeat, "connectors.locked", WrongType, &["\"\""]),
        (Finished, "faultCode", WrongType, &["106"]),
        (CommandAck, "commandId", WrongType, &["7"]),
        (CommandAck, "commandId", OutOfRange, &["\"\"", "\"a b\""]),
        (CommandAck, "result", WrongType, &["true"]),
        (CommandAck, "result", OutOfRange, &["\"ok\"", "\"Accepted\""]),
        (CommandAck, "orderNo", WrongType, &["7"]),
        (CommandAck, "orderNo", UnknownOrder, &["\"no!\""]),
        (Event, "type", WrongType, &["1"]),
        (Event, "type", OutOfRange, &["\"explosion\""]),
        (Event, "eventId", WrongType, &["1"]),
        (Event, "eventId", OutOfRange, &["\"\"", "\"a\\u0007\""]),
    ]);
}

#[test]
fn what_is_no_json_object_is_refused() {
    let whole = good(Status).to_string();
    for payload in ["", " ", "{", "{]", "not json", "{\"seq\":1,}", "{} {}", "{'seq':1}", "\u{feff}{}", "{\"a\":1}x"] {
        assert_eq!(refused(Status, payload.as_bytes()).reason, MalformedJson, "{payload}");
    }
    for end in 0..whole.len() {
        assert_eq!(refused(Status, &whole.as_bytes()[..end]).reason, MalformedJson, "cut at {end}");
    }
    for payload in ["null", "1", "\"x\"", "true", "[]", "[\"1\",1,7,1,1,1,1,1,1,1,1]"] {
        for topic in UpTopic::ALL {
            assert_eq!(refused(topic, payload.as_bytes()).reason, WrongType, "{payload}");
        }
    }
    for payload in [&b"\xff"[..], b"{\"x\":\"\xff\"}", b"\x00"] {
        assert_eq!(refused(Status, payload).reason, MalformedJson);
    }
}

#[test]
fn bare_nan_and_infinity_are_no_json_and_the_place_is_shown() {
    for word in ["NaN", "Infinity", "-Infinity", "nan"] {
        let error = refused(Status, with(Status, "totalPower", word).as_bytes());
        assert_eq!(error.reason, MalformedJson);
        assert!(error.detail.contains(&format!("\"totalPower\":{word}")), "{error}");
    }
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    let twice = refused(Status, br#"{"orderNo":"1","seq":1,"totalPower":1,"totalPower":2,"timestamp":1}"#);
    assert_eq!(twice.reason, MalformedJson);
    assert!(twice.detail.contains("totalPower"), "{twice}");
    let inner = refused(Heartbeat, br#"{"status":1,"timestamp":1,"connectors":[{"connectorId":1,"connectorId":2}]}"#);
    assert_eq!((inner.reason, inner.field), (WrongType, Some("connectors")));
}

#[test]
fn a_payload_over_the_limit_is_refused_before_it_is_read() {
    let mut payload = good(Heartbeat).to_string().into_bytes();
    payload.resize(PAYLOAD_LEN_MAX, b' ');
    parse(Heartbeat, "P1", &payload).unwrap();
    payload.push(b' ');
    assert_eq!(refused(Heartbeat, &payload).reason, Oversize);
}

#[test]
fn a_frame_that_names_another_pile_is_refused_on_every_topic() {
    for topic in UpTopic::ALL {
        let mut frame = good(topic);
        frame["pileCode"] = json!("P2");
        let error = refused(topic, frame.to_string().as_bytes());
        assert_eq!((error.reason, error.field), (ForeignPile, Some("pileCode")));
        for own in [json!("P1"), Value::Null] {
            frame["pileCode"] = own;
            parse(topic, "P1", frame.to_string().as_bytes()).unwrap();
        }
        for wrong in [json!(1), json!(["P1"])] {
            frame["pileCode"] = wrong;
            assert_eq!(refused(topic, frame.to_string().as_bytes()).reason, WrongType);
        }
    }
}

#[test]
fn more_connectors_than_a_pile_can_have_are_refused() {
    let report = |n: u8| -> Vec<Value> { (0..n).map(|_| json!({"connectorId":1})).collect() };
    let mut frame = good(Heartbeat);
    frame["connectors"] = json!(report(CONNECTORS_MAX));
    parse(Heartbeat, "P1", frame.to_string().as_bytes()).unwrap();
    frame["connectors"] = json!(report(CONNECTORS_MAX + 1));
    let error = refused(Heartbeat, frame.to_string().as_bytes());
    assert_eq!((error.reason, error.field), (OutOfRange, Some("connectors")));
}

#[test]
fn odd_times_powers_and_currents_are_believed() {
    for (topic, field, raw) in [
        (Status, "timestamp", "0"),
        (Status, "timestamp", "-1"),
        (Status, "timestamp", "\"9999-01-01T00:00:00Z\""),
        (Finished, "endTime", "1"),
        (Status, "currentPower", "999999"),
        (Status, "currentPower", "-5"),
        (Status, "current", "-12.5"),
        (Status, "totalPower", "999999.999"),
        (Status, "totalTime", "0.5"),
        (Heartbeat, "temperature", "-40.25"),
        (Heartbeat, "connectors.connectorId", "0"),
    ] {
        parse(topic, "P1", with(topic, field, raw).as_bytes()).unwrap();
    }
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let long = "桩".repeat(TEXT_LEN_MAX);
    let Ok(UpFrame::Event(event)) = parse(Event, "P1", with(Event, "detail", &format!("\"{long}\"")).as_bytes()) else {
        panic!("no event")
    };
    assert_eq!(event.detail.unwrap(), "桩".repeat(TEXT_LEN_MAX / 3));
}

#[test]
fn deep_nesting_costs_no_stack() {
    let depth = PAYLOAD_LEN_MAX / 2 - 400;
    let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    parse(Heartbeat, "P1", with(Heartbeat, "extra", &nested).as_bytes()).unwrap();
    for field in ["status", "connectors", "firmware", "pileCode"] {
        let error = refused(Heartbeat, with(Heartbeat, field, &nested).as_bytes());
        assert_eq!((error.reason, error.field), (WrongType, Some(field)), "{error}");
    }
    assert_eq!(refused(Heartbeat, "[".repeat(PAYLOAD_LEN_MAX).as_bytes()).reason, WrongType);
}

#[test]
fn errors_stay_short_whatever_the_frame_says() {
    let long = "x".repeat(PAYLOAD_LEN_MAX - 400);
    for (field, raw) in [
        ("status", format!("\"{long}\"")),
        ("connectors", format!("[\"{long}\"]")),
        ("pileCode", format!("\"{long}\"")),
        ("firmware", long.clone()),
        ("firmware", format!("\"\\u{long}\"")),
    ] {
        let error = refused(Heartbeat, with(Heartbeat, field, &raw).as_bytes());
        assert!(error.detail.chars().count() <= 257, "{error}");
    }
    let text = refused(Heartbeat, format!("\"{long}\"").as_bytes());
    assert!(text.detail.chars().count() <= 257, "{text}");
}

#[test]
fn reasons_have_stable_codes() {
    assert_eq!(
        Reason::ALL.map(Reason::as_str),
        [
            "MALFORMED_JSON",
            "MISSING_FIELD",
            "WRONG_TYPE",
            "OUT_OF_RANGE",
            "OVERSIZE",
            "UNKNOWN_TOPIC",
            "FOREIGN_PILE",
            "BAD_CONNECTOR",
            "UNKNOWN_ORDER",
            "FOREIGN_ORDER",
            "CONFLICTING_RECORD",
            "RETAINED",
        ]
    );
    let unknown = UpTopic::parse("pile/P1/selfie").unwrap_err();
    assert_eq!(
        FrameError::from(unknown).to_string(),
        "UNKNOWN_TOPIC: \"pile/P1/selfie\" is no topic that a pile may publish on"
    );
}

#[test]
fn a_pile_refuses_commands_and_answers_it_does_not_know() {
    for payload in [
        r#"{"commandId":"c","type":"selfDestruct","pileCode":"P1"}"#,
        r#"{"commandId":"c","type":"startCharging","pileCode":"P1","connectorId":1}"#,
        r#"{"commandId":"c","type":"groundLock","pileCode":"P1","connectorId":1,"position":"left"}"#,
        r#"{"type":"reboot","pileCode":"P1"}"#,
        r#"{"commandId":"c","type":"reboot"}"#,
    ] {
        parse_command(payload.as_bytes()).unwrap_err();
    }
    parse_record_ack(br#"{"orderNo":"1","seq":1,"result":"lost","timestamp":1}"#).unwrap_err();
    parse_record_ack(br#"{"orderNo":"1","seq":1,"result":"stored"}"#).unwrap_err();
}
