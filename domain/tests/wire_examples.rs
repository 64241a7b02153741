//! Every example of CONTRACT 1, read and written as it stands there.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use domain::{
    CommandId, ConnectorId, DeciCelsius, EventId, MilliAmps, MilliVolts, OrderNo, PileCode, SocTenths, StopReason,
    Timestamp, WattHours, Watts,
    command::{Command, CommandKind, LockPosition, PileSecret},
    wire::{
        AckResult, ChargingStatus, CommandAck, ConnectorReport, EventKind, Finished, Heartbeat, Meter, PileEvent,
        RecordAck, RecordAckResult, ReportedStatus, UpFrame, UpTopic, encode_command, encode_record_ack, parse,
        parse_command, parse_record_ack, print,
    },
};
use serde_json::{Value, json};

const NO: &str = "1763690000000000017";

fn up(topic: UpTopic, payload: &str) -> UpFrame {
    parse(topic, "P0001", payload.as_bytes()).unwrap()
}

fn pile() -> PileCode {
    PileCode::parse("P0001").unwrap()
}

fn order() -> OrderNo {
    OrderNo::parse(NO).unwrap()
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms).unwrap()
}

fn value(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).unwrap()
}

#[test]
fn rule_1_1_a_heartbeat_is_understood() {
    let payload = r#"{"pileCode":"P0001","status":1,"voltage":220.1,"current":0,"power":0,"temperature":31.5,"timestamp":1763690000000,
 "seq":12,"connectors":[{"connectorId":1,"status":1,"plugged":true,"locked":true}],"firmware":"1.4.2"}"#;
    let frame = up(UpTopic::Heartbeat, payload);
    assert_eq!(
        frame,
        UpFrame::Heartbeat(Heartbeat {
            status: ReportedStatus::Idle,
            voltage: Some(MilliVolts(220_100)),
            current: Some(MilliAmps(0)),
            power: Some(Watts(0)),
            temperature: Some(DeciCelsius(315)),
            timestamp: at(1_763_690_000_000),
            seq: Some(12),
            connectors: vec![ConnectorReport {
                connector: ConnectorId(1),
                status: Some(ReportedStatus::Idle),
                plugged: Some(true),
                locked: Some(true),
            }],
            firmware: Some("1.4.2".to_owned()),
        })
    );
    assert_eq!(value(&print(&frame, &pile())), value(payload.as_bytes()));
}

#[test]
fn rule_1_1_timestamp_and_status_are_enough_and_what_is_not_said_is_unknown() {
    let bare = UpFrame::Heartbeat(Heartbeat {
        status: ReportedStatus::Unavailable,
        voltage: None,
        current: None,
        power: None,
        temperature: None,
        timestamp: at(5),
        seq: None,
        connectors: Vec::new(),
        firmware: None,
    });
    assert_eq!(up(UpTopic::Heartbeat, r#"{"status":4,"timestamp":5}"#), bare);
    let nulls = r#"{"status":4,"timestamp":5,"pileCode":null,"voltage":null,"current":null,"power":null,
        "temperature":null,"seq":null,"connectors":null,"firmware":null}"#;
    assert_eq!(up(UpTopic::Heartbeat, nulls), bare);
    let unknown_plug = r#"{"status":4,"timestamp":5,"connectors":[{"connectorId":2,"plugged":null}]}"#;
    let UpFrame::Heartbeat(heartbeat) = up(UpTopic::Heartbeat, unknown_plug) else { panic!("no heartbeat") };
    let unknown = ConnectorReport { connector: ConnectorId(2), status: None, plugged: None, locked: None };
    assert_eq!(heartbeat.connectors, [unknown]);
}

#[test]
fn rule_1_2_a_status_frame_is_understood() {
    let payload = format!(
        r#"{{"orderNo":"{NO}","connectorId":1,"seq":7,"voltage":398.2,"current":120.0,"currentPower":47.8,"totalPower":3.125,
 "totalTime":240,"soc":41.5,"timestamp":1763690240000}}"#
    );
    assert_eq!(
        up(UpTopic::Status, &payload),
        UpFrame::Status(ChargingStatus {
            order_no: order(),
            connector: Some(ConnectorId(1)),
            seq: 7,
            voltage: Some(MilliVolts(398_200)),
            current: Some(MilliAmps(120_000)),
            power: Some(Watts(47_800)),
            energy: WattHours(3_125),
            total_time_s: Some(240),
            soc: Some(SocTenths(415)),
            timestamp: at(1_763_690_240_000),
        })
    );
}

#[test]
fn rule_1_2_order_seq_energy_and_time_are_enough() {
    let payload = format!(r#"{{"orderNo":"{NO}","seq":1,"totalPower":0,"timestamp":1763690240000}}"#);
    let UpFrame::Status(status) = up(UpTopic::Status, &payload) else { panic!("no status") };
    assert_eq!((status.seq, status.energy, status.connector, status.soc), (1, WattHours(0), None, None));
}

#[test]
fn rule_1_3_a_finished_record_is_understood() {
    let payload = format!(
        r#"{{"orderNo":"{NO}","connectorId":1,"seq":31,"totalPower":12.480,"totalTime":1800,"startSoc":38.0,"endSoc":62.5,"stopReason":2,
 "startTime":1763690000000,"endTime":1763691800000,"meterStart":10021.310,"meterEnd":10033.790,"faultCode":null,"timestamp":1763691801000}}"#
    );
    assert_eq!(
        up(UpTopic::Finished, &payload),
        UpFrame::Finished(Finished {
            order_no: order(),
            connector: Some(ConnectorId(1)),
            seq: Some(31),
            energy: WattHours(12_480),
            total_time_s: Some(1800),
            start_soc: Some(SocTenths(380)),
            end_soc: Some(SocTenths(625)),
            stop_reason: StopReason::Full,
            start_time: Some(at(1_763_690_000_000)),
            end_time: at(1_763_691_800_000),
            meter_start: Some(WattHours(10_021_310)),
            meter_end: Some(WattHours(10_033_790)),
            fault_code: None,
            timestamp: Some(at(1_763_691_801_000)),
        })
    );
}

#[test]
fn rule_1_3_the_timestamp_stands_in_for_a_missing_end_time() {
    for end_time in ["", r#""endTime":null,"#] {
        let payload =
            format!(r#"{{"orderNo":"{NO}","totalPower":1,"stopReason":1,{end_time}"timestamp":1763691801000}}"#);
        let UpFrame::Finished(finished) = up(UpTopic::Finished, &payload) else { panic!("no record") };
        assert_eq!(finished.end_time, at(1_763_691_801_000));
    }
}

#[test]
fn rule_1_3_every_stop_reason_of_the_contract_is_understood() {
    for (code, reason) in (1..=10).chain([99]).zip(StopReason::ALL) {
        let payload = format!(r#"{{"orderNo":"{NO}","totalPower":1,"stopReason":{code},"endTime":1}}"#);
        let UpFrame::Finished(finished) = up(UpTopic::Finished, &payload) else { panic!("no record") };
        assert_eq!(finished.stop_reason, reason);
    }
}

#[test]
fn rule_1_4_a_command_ack_is_understood() {
    let payload = format!(
        r#"{{"commandId":"c-1","orderNo":"{NO}","result":"rejected","code":"E7","message":"no car","timestamp":7}}"#
    );
    let ack = CommandAck {
        command_id: CommandId::parse("c-1").unwrap(),
        order_no: Some(order()),
        result: AckResult::Rejected,
        code: Some("E7".to_owned()),
        message: Some("no car".to_owned()),
        timestamp: Some(at(7)),
    };
    assert_eq!(up(UpTopic::CommandAck, &payload), UpFrame::CommandAck(ack.clone()));
    let bare =
        CommandAck { order_no: None, result: AckResult::Accepted, code: None, message: None, timestamp: None, ..ack };
    for payload in [
        r#"{"commandId":"c-1","result":"accepted"}"#,
        r#"{"commandId":"c-1","result":"accepted","orderNo":"","code":"","message":null}"#,
    ] {
        assert_eq!(up(UpTopic::CommandAck, payload), UpFrame::CommandAck(bare.clone()));
    }
}

#[test]
fn rule_1_5_an_event_is_understood() {
    let payload =
        r#"{"eventId":"e 1","type":"fault","connectorId":1,"faultCode":"E106","detail":"过温","timestamp":9}"#;
    assert_eq!(
        up(UpTopic::Event, payload),
        UpFrame::Event(PileEvent {
            event_id: EventId::parse("e 1").unwrap(),
            kind: EventKind::Fault,
            connector: ConnectorId(1),
            fault_code: Some("E106".to_owned()),
            detail: Some("过温".to_owned()),
            timestamp: at(9),
        })
    );
}

#[test]
fn rule_1_5_every_kind_of_event_is_understood_and_concerns_the_pile_when_no_connector_is_said() {
    let words = ["fault", "faultCleared", "plugged", "unplugged", "groundLock", "barrier", "boot"];
    for (word, kind) in words.into_iter().zip(EventKind::ALL) {
        let payload = format!(r#"{{"eventId":"e1","type":"{word}","timestamp":9}}"#);
        let UpFrame::Event(event) = up(UpTopic::Event, &payload) else { panic!("no event") };
        assert_eq!((event.kind, event.connector), (kind, ConnectorId::PILE));
    }
}

#[test]
fn rule_1_5_a_meter_reading_is_understood() {
    assert_eq!(
        up(UpTopic::Meter, r#"{"connectorId":1,"meter":10033.790,"timestamp":9}"#),
        UpFrame::Meter(Meter { connector: ConnectorId(1), meter: WattHours(10_033_790), timestamp: at(9) })
    );
}

#[test]
fn rule_1_numbers_may_come_in_quotes_and_times_as_rfc_3339() {
    let plain = up(
        UpTopic::Status,
        &format!(
            r#"{{"orderNo":"{NO}","connectorId":1,"seq":7,"totalPower":3.125,"soc":41.5,"timestamp":1763690240000}}"#
        ),
    );
    for time in
        ["\"1763690240000\"", "\"2025-11-21T01:57:20Z\"", "\"2025-11-21T09:57:20.000+08:00\"", "1763690240000.9"]
    {
        let payload = format!(
            r#"{{"orderNo":"{NO}","connectorId":"1","seq":"7","totalPower":"3125e-3","soc":"41.5","timestamp":{time}}}"#
        );
        assert_eq!(up(UpTopic::Status, &payload), plain, "{time}");
    }
}

#[test]
fn rule_1_kwh_become_wh_on_the_text_half_up_beyond_three_places() {
    for (text, wh) in [
        ("0.0004", 0),
        ("0.0005", 1),
        ("0.00049999999999999999999999", 0),
        ("1.0005", 1_001),
        ("2.6745", 2_675),
        ("1.0004999999999999999", 1_000),
        ("1.25e2", 125_000),
        ("12.480", 12_480),
        ("-0", 0),
        ("-0.000", 0),
        ("1000000", 1_000_000_000),
    ] {
        for json in [text.to_owned(), format!("\"{text}\"")] {
            let payload = format!(r#"{{"orderNo":"{NO}","seq":1,"totalPower":{json},"timestamp":1}}"#);
            let UpFrame::Status(status) = up(UpTopic::Status, &payload) else { panic!("no status") };
            assert_eq!(status.energy, WattHours(wh), "{json}");
        }
    }
}

#[test]
fn rule_1_unknown_fields_are_ignored_whatever_is_in_them() {
    let payload = r#"{"status":1,"x":{"status":[9,{"y":null}]},"x":1e999,"timestamp":5,"":"\ud800"}"#;
    let UpFrame::Heartbeat(heartbeat) = up(UpTopic::Heartbeat, payload) else { panic!("no heartbeat") };
    assert_eq!(heartbeat.status, ReportedStatus::Idle);
}

#[test]
fn rule_1_escaped_keys_and_texts_mean_what_they_say() {
    let payload = r#"{"\u0073tatus":1,"timestamp":"\u0035","firmware":"v\u00e9\n\"1\"","pileCode":"P\u0030001"}"#;
    let UpFrame::Heartbeat(heartbeat) = up(UpTopic::Heartbeat, payload) else { panic!("no heartbeat") };
    assert_eq!(heartbeat.firmware.as_deref(), Some("vé\n\"1\""));
    assert_eq!(heartbeat.timestamp, at(5));
}

#[test]
fn rule_1_7_a_start_command_is_written_as_the_contract_shows_it() {
    let command = Command {
        command_id: CommandId::parse("c1").unwrap(),
        kind: CommandKind::StartCharging {
            connector: ConnectorId(1),
            order_no: order(),
            max_power: Some(Watts(60_000)),
            max_time_s: Some(7200),
            max_energy: Some(WattHours(50_000)),
        },
        expires_at: Some(at(1_763_690_060_000)),
    };
    let payload = encode_command(&command, &pile(), at(1));
    assert_eq!(
        String::from_utf8(payload).unwrap(),
        format!(
            r#"{{"commandId":"c1","type":"startCharging","pileCode":"P0001","connectorId":1,"orderNo":"{NO}","maxPower":60,"maxTime":7200,"maxEnergy":50,"expiresAt":1763690060000}}"#
        )
    );
}

#[test]
fn rule_1_7_every_command_is_written_with_its_fields_and_read_back() {
    let now = at(1_763_690_000_001);
    let one = ConnectorId(1);
    let start = |max_power, max_time_s, max_energy| CommandKind::StartCharging {
        connector: one,
        order_no: order(),
        max_power,
        max_time_s,
        max_energy,
    };
    let table = [
        (start(None, None, None), json!({"type":"startCharging","connectorId":1,"orderNo":NO})),
        (
            start(Some(Watts(6_600)), None, Some(WattHours(7_001))),
            json!({"type":"startCharging","connectorId":1,"orderNo":NO,"maxPower":6.6,"maxEnergy":7.001}),
        ),
        (
            CommandKind::StopCharging { connector: one, order_no: order(), stop_reason: StopReason::User },
            json!({"type":"stopCharging","connectorId":1,"orderNo":NO,"stopReason":1}),
        ),
        (CommandKind::Reboot, json!({"type":"reboot"})),
        (CommandKind::UnlockConnector { connector: one }, json!({"type":"unlockConnector","connectorId":1})),
        (
            CommandKind::GroundLock { connector: one, position: LockPosition::Up },
            json!({"type":"groundLock","connectorId":1,"position":"up"}),
        ),
        (
            CommandKind::GroundLock { connector: one, position: LockPosition::Down },
            json!({"type":"groundLock","connectorId":1,"position":"down"}),
        ),
        (CommandKind::SyncTime, json!({"type":"syncTime","time":1_763_690_000_001_i64})),
        (CommandKind::SetHeartbeatInterval { seconds: 15 }, json!({"type":"setHeartbeatInterval","seconds":15})),
        (CommandKind::SetSecret { secret: PileSecret("0aF".to_owned()) }, json!({"type":"setSecret","secret":"0aF"})),
    ];
    for (kind, mut expected) in table {
        let command = Command { command_id: CommandId::parse("c1").unwrap(), kind, expires_at: None };
        let payload = encode_command(&command, &pile(), now);
        expected["commandId"] = json!("c1");
        expected["pileCode"] = json!("P0001");
        assert_eq!(value(&payload), expected);
        let frame = parse_command(&payload).unwrap();
        assert_eq!(frame.time, (command.kind == CommandKind::SyncTime).then_some(now));
        assert_eq!((frame.pile, frame.command), (pile(), command));
    }
}

#[test]
fn rule_1_8_a_record_ack_is_written_as_the_contract_shows_it_and_read_back() {
    for result in RecordAckResult::ALL {
        let payload = encode_record_ack(NO, Some(31), result, at(1_763_691_801_500));
        let expected =
            format!(r#"{{"orderNo":"{NO}","seq":31,"result":"{}","timestamp":1763691801500}}"#, result.as_str());
        assert_eq!(String::from_utf8(payload.clone()).unwrap(), expected);
        let ack = RecordAck { order_no: NO.to_owned(), seq: Some(31), result, timestamp: at(1_763_691_801_500) };
        assert_eq!(parse_record_ack(&payload), Ok(ack));
    }
    assert_eq!(RecordAckResult::ALL.map(RecordAckResult::as_str), ["stored", "duplicate", "quarantined"]);
    let unnumbered = encode_record_ack("odd \"name\"", None, RecordAckResult::Quarantined, at(1));
    let ack = parse_record_ack(&unnumbered).unwrap();
    assert_eq!((ack.order_no.as_str(), ack.seq), ("odd \"name\"", None));
}
