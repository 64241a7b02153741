//! The wire under arbitrary frames and arbitrary bytes. A failing case is printed with its input and its seed is kept.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use domain::{
    CommandId, ConnectorId, DeciCelsius, EventId, MilliAmps, MilliVolts, OrderNo, PileCode, SocTenths, StopReason,
    Timestamp, WattHours, Watts,
    command::{Command, CommandKind, LockPosition, PileSecret},
    limits::{CONNECTORS_MAX, ENERGY_WH_MAX, METER_WH_MAX, TEXT_LEN_MAX},
    wire::{
        AckResult, ChargingStatus, CommandAck, ConnectorReport, EventKind, Finished, Heartbeat, Meter, PileEvent,
        RecordName, ReportedStatus, UpFrame, UpTopic, encode_command, parse, parse_command, parse_record_ack, print,
    },
};
use proptest::{option::of, prelude::*, sample::select};

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![(Timestamp::MIN.as_millis()..=Timestamp::MAX.as_millis()), (1_700_000_000_000..1_900_000_000_000_i64),]
        .prop_map(|ms| Timestamp::from_millis(ms).unwrap())
}

/// Texts that a frame keeps as they are: not empty, not cut. Control characters, quotes and emoji included.
fn words() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 1..40).prop_map(|chars| {
        let mut text: String = chars.into_iter().collect();
        text.truncate(text.floor_char_boundary(TEXT_LEN_MAX));
        text
    })
}

fn pile() -> impl Strategy<Value = PileCode> {
    "[A-Za-z0-9_-]{1,32}".prop_map(|text| PileCode::parse(&text).unwrap())
}

fn order_no() -> impl Strategy<Value = OrderNo> {
    "[A-Za-z0-9]{1,32}".prop_map(|text| OrderNo::parse(&text).unwrap())
}

fn command_id() -> impl Strategy<Value = CommandId> {
    "[A-Za-z0-9_-]{1,64}".prop_map(|text| CommandId::parse(&text).unwrap())
}

fn connector() -> impl Strategy<Value = ConnectorId> {
    (0..=CONNECTORS_MAX).prop_map(ConnectorId)
}

fn reported() -> impl Strategy<Value = ReportedStatus> {
    use ReportedStatus::{Charging, Fault, Idle, Unavailable};
    select(vec![Idle, Charging, Fault, Unavailable])
}

fn energy() -> impl Strategy<Value = WattHours> {
    (0..=ENERGY_WH_MAX).prop_map(WattHours)
}

fn register() -> impl Strategy<Value = WattHours> {
    (0..=METER_WH_MAX).prop_map(WattHours)
}

fn soc() -> impl Strategy<Value = SocTenths> {
    (0..=1000_i16).prop_map(SocTenths)
}

fn seq() -> impl Strategy<Value = u32> {
    1..=u32::MAX
}

fn volts() -> impl Strategy<Value = MilliVolts> {
    any::<i32>().prop_map(MilliVolts)
}

fn amps() -> impl Strategy<Value = MilliAmps> {
    any::<i32>().prop_map(MilliAmps)
}

fn watts() -> impl Strategy<Value = Watts> {
    any::<i32>().prop_map(Watts)
}

prop_compose! {
    fn report()(connector in connector(), status in of(reported()), plugged in of(any::<bool>()), locked in of(any::<bool>()))
        -> ConnectorReport {
        ConnectorReport { connector, status, plugged, locked }
    }
}

prop_compose! {
    fn heartbeat()(
        status in reported(), voltage in of(volts()), current in of(amps()), power in of(watts()),
        temperature in of(any::<i16>().prop_map(DeciCelsius)), timestamp in time(),
        seq in of(0..=u64::try_from(i64::MAX).unwrap()),
        connectors in proptest::collection::vec(report(), 0..5), firmware in of(words()),
    ) -> UpFrame {
        UpFrame::Heartbeat(Heartbeat { status, voltage, current, power, temperature, timestamp, seq, connectors, firmware })
    }
}

prop_compose! {
    fn status()(
        order_no in order_no(), connector in of(connector()), seq in seq(), voltage in of(volts()), current in of(amps()),
        power in of(watts()), energy in energy(), total_time_s in of(any::<u32>()), soc in of(soc()), timestamp in time(),
    ) -> UpFrame {
        UpFrame::Status(ChargingStatus {
            order_no, connector, seq, voltage, current, power, energy, total_time_s, soc, timestamp,
        })
    }
}

prop_compose! {
    fn finished()(
        (order_no, connector, seq, energy, total_time_s) in (order_no(), of(connector()), of(seq()), energy(), of(any::<u32>())),
        (start_soc, end_soc, stop_reason) in (of(soc()), of(soc()), select(StopReason::ALL.to_vec())),
        (start_time, end_time, timestamp) in (of(time()), time(), of(time())),
        (meter_start, meter_end, fault_code) in (of(register()), of(register()), of(words())),
    ) -> UpFrame {
        UpFrame::Finished(Finished {
            order_no, connector, seq, energy, total_time_s, start_soc, end_soc, stop_reason, start_time, end_time,
            meter_start, meter_end, fault_code, timestamp,
        })
    }
}

prop_compose! {
    fn ack()(
        command_id in command_id(), order_no in of(order_no()),
        result in select(vec![AckResult::Accepted, AckResult::Rejected]),
        code in of(words()), message in of(words()), timestamp in of(time()),
    ) -> UpFrame {
        UpFrame::CommandAck(CommandAck { command_id, order_no, result, code, message, timestamp })
    }
}

prop_compose! {
    fn event()(
        event_id in "[ -~]{1,64}", kind in select(EventKind::ALL.to_vec()), connector in connector(),
        fault_code in of(words()), detail in of(words()), timestamp in time(),
    ) -> UpFrame {
        let event_id = EventId::parse(&event_id).unwrap();
        UpFrame::Event(PileEvent { event_id, kind, connector, fault_code, detail, timestamp })
    }
}

prop_compose! {
    fn meter()(connector in connector(), meter in register(), timestamp in time()) -> UpFrame {
        UpFrame::Meter(Meter { connector, meter, timestamp })
    }
}

fn frame() -> impl Strategy<Value = UpFrame> {
    prop_oneof![heartbeat(), status(), finished(), ack(), event(), meter()]
}

fn topic_of(frame: &UpFrame) -> UpTopic {
    match frame {
        UpFrame::Heartbeat(_) => UpTopic::Heartbeat,
        UpFrame::Status(_) => UpTopic::Status,
        UpFrame::Finished(_) => UpTopic::Finished,
        UpFrame::CommandAck(_) => UpTopic::CommandAck,
        UpFrame::Event(_) => UpTopic::Event,
        UpFrame::Meter(_) => UpTopic::Meter,
    }
}

fn kind() -> impl Strategy<Value = CommandKind> {
    prop_oneof![
        (connector(), order_no(), of(watts()), of(any::<u32>()), of(energy())).prop_map(
            |(connector, order_no, max_power, max_time_s, max_energy)| CommandKind::StartCharging {
                connector,
                order_no,
                max_power,
                max_time_s,
                max_energy
            }
        ),
        (connector(), order_no(), select(StopReason::ALL.to_vec())).prop_map(|(connector, order_no, stop_reason)| {
            CommandKind::StopCharging { connector, order_no, stop_reason }
        }),
        Just(CommandKind::Reboot),
        connector().prop_map(|connector| CommandKind::UnlockConnector { connector }),
        (connector(), select(vec![LockPosition::Up, LockPosition::Down]))
            .prop_map(|(connector, position)| CommandKind::GroundLock { connector, position }),
        Just(CommandKind::SyncTime),
        any::<u32>().prop_map(|seconds| CommandKind::SetHeartbeatInterval { seconds }),
        "[0-9a-f]{64}".prop_map(|secret| CommandKind::SetSecret { secret: PileSecret(secret) }),
    ]
}

/// Objects with the contract's keys and values of all sorts: nearly frames, and sometimes frames.
fn nearly_a_frame() -> impl Strategy<Value = String> {
    let keys = vec![
        "pileCode",
        "status",
        "voltage",
        "power",
        "temperature",
        "timestamp",
        "seq",
        "connectors",
        "firmware",
        "orderNo",
        "connectorId",
        "totalPower",
        "totalTime",
        "soc",
        "stopReason",
        "endTime",
        "commandId",
        "result",
        "eventId",
        "type",
        "meter",
        "detail",
        "extra",
    ];
    let values = vec![
        "1",
        "2",
        "0",
        "-1",
        "1.5",
        "1e3",
        "1e-3",
        "-0.0",
        "1e9999999999",
        "\"1\"",
        "\"1.5\"",
        "\"NaN\"",
        "NaN",
        "null",
        "true",
        "\"\"",
        "\"P1\"",
        "\"accepted\"",
        "\"fault\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "[]",
        "{}",
        "[{}]",
        "[{\"connectorId\":1}]",
        "\"2025-11-21T01:57:20Z\"",
        "1763690240000",
        "[[[[",
        "\"",
    ];
    proptest::collection::vec((select(keys), select(values)), 0..12).prop_map(|fields| {
        let fields: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    })
}

/// Reads a payload on every topic; whatever is understood must say the same when it is printed and read again.
fn read_everywhere(payload: &[u8]) {
    let code = PileCode::parse("P1").unwrap();
    for topic in UpTopic::ALL {
        if let Ok(frame) = parse(topic, "P1", payload) {
            assert_eq!(topic_of(&frame), topic);
            assert_eq!(parse(topic, "P1", &print(&frame, &code)), Ok(frame));
        }
    }
    let _ = parse_command(payload);
    let _ = parse_record_ack(payload);
    let _ = RecordName::find(payload);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_printed_frame_reads_back_as_itself(frame in frame(), pile in pile()) {
        let payload = print(&frame, &pile);
        prop_assert_eq!(parse(topic_of(&frame), pile.as_str(), &payload), Ok(frame));
    }

    #[test]
    fn an_encoded_command_reads_back_as_itself(
        command_id in command_id(), kind in kind(), expires_at in of(time()), pile in pile(), now in time(),
    ) {
        let command = Command { command_id, kind, expires_at };
        let read = parse_command(&encode_command(&command, &pile, now)).unwrap();
        prop_assert_eq!(read.command, command);
        prop_assert_eq!(read.pile, pile);
    }

    #[test]
    fn any_bytes_are_read_without_panic(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_everywhere(&payload);
    }

    #[test]
    fn nearly_frames_are_read_without_panic(payload in nearly_a_frame()) {
        read_everywhere(payload.as_bytes());
    }

    #[test]
    fn damaged_frames_are_read_without_panic(
        frame in frame(), pile in pile(), damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(), cut in any::<bool>(),
    ) {
        let mut payload = print(&frame, &pile);
        for (at, byte) in damage {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        if cut {
            payload.truncate(end.index(payload.len()));
        }
        read_everywhere(&payload);
        let _ = parse(topic_of(&frame), pile.as_str(), &payload);
    }

    #[test]
    fn any_topic_and_filter_is_read_without_panic(text in ".{0,40}", code in "[A-Za-z0-9_-]{1,8}") {
        let _ = UpTopic::parse(&text);
        for text in [text.clone(), format!("pile/{text}"), format!("pile/{code}/{text}")] {
            let known = UpTopic::parse(&text).ok().map(|(pile, topic)| format!("pile/{pile}/{topic}"));
            prop_assert!(known.is_none_or(|whole| whole == text));
        }
    }
}
