//! The pile machine, driven by hand: time moves only when a test says so.

use domain::{
    CommandId, SocTenths,
    command::CommandKind,
    wire::{AckResult, Finished, UpFrame},
};

use super::*;

const GUN: ConnectorId = ConnectorId(1);

struct Bench {
    pile: Pile,
    now: Timestamp,
    sent: Vec<UpFrame>,
    over: Vec<ChargeTruth>,
    disconnects: usize,
}

impl Bench {
    fn new(change: impl FnOnce(&mut PileConfig)) -> Self {
        let mut config = PileConfig::dc(PileCode::parse("P0001").unwrap(), Watts(60_000), 1);
        change(&mut config);
        let now = Timestamp::from_millis(1_763_690_000_000).unwrap();
        let mut bench = Self { pile: Pile::new(config, now), now, sent: Vec::new(), over: Vec::new(), disconnects: 0 };
        bench.tell(Event::Connected);
        bench
    }

    fn charging(change: impl FnOnce(&mut PileConfig)) -> Self {
        let mut bench = Self::new(change);
        bench.plug();
        bench.command("c1", start("1001"));
        bench.run_for(1_000);
        assert!(bench.pile.running(GUN).is_some());
        bench
    }

    fn plug(&mut self) {
        let car = Car { battery_wh: 60_000, soc: SocTenths(300), max_power: Watts(120_000) };
        self.tell(Event::Plug { connector: GUN, car });
    }

    fn tell(&mut self, event: Event) {
        self.pile.handle_event(event, self.now);
        self.drain();
    }

    fn command(&mut self, id: &str, kind: CommandKind) {
        let command = Command { command_id: CommandId::parse(id).unwrap(), kind, expires_at: None };
        self.tell(Event::Command(command));
    }

    /// Every publish is acknowledged at once, no record is.
    fn drain(&mut self) {
        while let Some(effect) = self.pile.poll_effect() {
            match effect {
                Effect::Publish(out) => {
                    self.sent.push(out.frame);
                    self.pile.handle_event(Event::Puback { tag: out.tag }, self.now);
                }
                Effect::Disconnect => {
                    self.disconnects += 1;
                    self.pile.handle_event(Event::Disconnected, self.now);
                }
                Effect::Over(truth) => self.over.push(*truth),
            }
        }
    }

    fn run_for(&mut self, ms: i64) {
        let end = self.now.plus(Millis(ms));
        while let Some(next) = self.pile.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.pile.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn stop(&mut self) {
        self.command("stop", stop("1001"));
        self.run_for(0);
    }

    fn record_ack(&mut self, answer: RecordAckResult) {
        self.tell(Event::RecordAck { order_no: OrderNo::parse("1001").unwrap(), answer });
    }

    fn records(&self) -> Vec<&Finished> {
        self.sent.iter().filter_map(|frame| if let UpFrame::Finished(f) = frame { Some(f) } else { None }).collect()
    }

    fn status_seqs(&self) -> Vec<u32> {
        self.sent.iter().filter_map(|frame| if let UpFrame::Status(s) = frame { Some(s.seq) } else { None }).collect()
    }

    fn answers(&self) -> Vec<AckResult> {
        let acks = self.sent.iter().filter_map(|f| if let UpFrame::CommandAck(a) = f { Some(a.result) } else { None });
        acks.collect()
    }
}

fn start(order_no: &str) -> CommandKind {
    CommandKind::StartCharging {
        connector: GUN,
        order_no: OrderNo::parse(order_no).unwrap(),
        max_power: None,
        max_time_s: None,
        max_energy: None,
    }
}

fn stop(order_no: &str) -> CommandKind {
    let order_no = OrderNo::parse(order_no).unwrap();
    CommandKind::StopCharging { connector: GUN, order_no, stop_reason: StopReason::User }
}

#[test]
fn a_charge_runs_from_the_command_to_the_record() {
    let mut bench = Bench::charging(|_| {});
    bench.run_for(60_000);
    bench.stop();
    let status = bench.status_seqs();
    assert_eq!(status, (1..=u32::try_from(status.len()).unwrap()).collect::<Vec<_>>());
    let record = bench.records()[0].clone();
    assert_eq!(usize::try_from(record.seq.unwrap()).unwrap(), status.len() + 1);
    assert_eq!(record.stop_reason, StopReason::User);
    // 15 s of ramp to 60 kW, 45.7 s of plateau: about 887 Wh.
    assert!((870..=900).contains(&record.energy.0), "{}", record.energy);
    assert_eq!(record.meter_end.unwrap().0 - record.meter_start.unwrap().0, record.energy.0);
    assert_eq!(record.end_time, bench.now);
}

#[test]
fn a_start_is_refused_with_a_reason_where_it_cannot_be() {
    let mut bench = Bench::new(|_| {});
    bench.command("c1", start("1001"));
    assert_eq!(bench.answers(), [AckResult::Rejected], "no car");
    bench.plug();
    bench.tell(Event::Fault { connector: GUN, code: "E106".to_owned() });
    bench.command("c2", start("1001"));
    assert_eq!(bench.answers().last(), Some(&AckResult::Rejected), "faulted");
    bench.tell(Event::ClearFault { connector: GUN });
    bench.command("c3", start("1001"));
    assert_eq!(bench.answers().last(), Some(&AckResult::Accepted));
    bench.command("c4", start("1002"));
    assert_eq!(bench.answers().last(), Some(&AckResult::Rejected), "busy");
}

#[test]
fn a_command_that_is_sent_again_is_answered_again_and_done_once() {
    let mut bench = Bench::charging(|_| {});
    bench.stop();
    bench.command("c1", start("1001"));
    bench.run_for(5_000);
    assert_eq!(bench.answers(), [AckResult::Accepted; 3]);
    assert!(bench.pile.running(GUN).is_none(), "the repeat of the start must not start again");
}

#[test]
fn the_record_is_sent_again_until_any_answer_comes() {
    for answer in RecordAckResult::ALL {
        let mut bench = Bench::charging(|_| {});
        bench.stop();
        bench.run_for(25_000);
        assert_eq!(bench.records().len(), 3);
        bench.record_ack(answer);
        bench.run_for(60_000);
        assert_eq!(bench.records().len(), 3);
        assert_eq!(bench.over[0].answers, [answer]);
        assert!(bench.pile.is_quiet());
    }
}

#[test]
fn frames_of_a_dark_stretch_are_sent_later_in_order_with_their_own_times() {
    let mut bench = Bench::charging(|_| {});
    bench.tell(Event::GoDark { until: bench.now.plus(Millis(60_000)) });
    let before = bench.status_seqs().len();
    bench.run_for(59_000);
    assert_eq!(bench.status_seqs().len(), before, "nothing is sent in the dark");
    assert!(!bench.pile.wants_connection(bench.now));
    bench.run_for(1_000);
    assert!(bench.pile.wants_connection(bench.now));
    bench.tell(Event::Connected);
    let seqs = bench.status_seqs();
    assert!(seqs.len() > before + 10 && seqs.is_sorted());
    let times: Vec<_> =
        bench.sent.iter().filter_map(|f| if let UpFrame::Status(s) = f { Some(s.timestamp) } else { None }).collect();
    assert!(times.is_sorted() && times.windows(2).all(|pair| pair[1].since(pair[0]).0 <= 5_000));
}

#[test]
fn a_fault_ends_the_charge_with_its_code() {
    let mut bench = Bench::charging(|_| {});
    bench.run_for(20_000);
    bench.tell(Event::Fault { connector: GUN, code: "E101".to_owned() });
    let record = bench.records()[0];
    assert_eq!((record.stop_reason, record.fault_code.as_deref()), (StopReason::Fault, Some("E101")));
}

#[test]
fn a_cap_and_a_full_battery_end_the_charge_at_their_moment() {
    let mut bench = Bench::new(|_| {});
    bench.plug();
    let mut capped = start("1001");
    if let CommandKind::StartCharging { max_energy, .. } = &mut capped {
        *max_energy = Some(WattHours(2_000));
    }
    bench.command("c1", capped);
    bench.run_for(600_000);
    let record = bench.records()[0];
    assert_eq!(record.stop_reason, StopReason::LimitReached);
    // One second at 60 kW is 17 Wh: the pile may be so much late.
    assert!((2_000..2_020).contains(&record.energy.0), "{}", record.energy);

    let mut bench = Bench::charging(|_| {});
    bench.run_for(3 * 3_600_000);
    let record = bench.records()[0];
    assert_eq!((record.stop_reason, record.end_soc), (StopReason::Full, Some(SocTenths(1000))));
    assert!((41_900..=42_100).contains(&record.energy.0), "70 % of 60 kWh, not {}", record.energy);
}

#[test]
fn a_clock_offset_is_in_every_time_the_pile_says() {
    let mut bench = Bench::charging(|config| config.clock_offset = Millis(600_000));
    let began = bench.now;
    bench.stop();
    let record = bench.records()[0];
    assert!(record.start_time.unwrap() > began.plus(Millis(590_000)));
    assert_eq!(record.end_time, bench.now.plus(Millis(600_000)));
}

#[test]
fn a_reboot_ends_the_charge_goes_away_and_comes_back() {
    let mut bench = Bench::charging(|_| {});
    bench.command("r1", CommandKind::Reboot);
    assert_eq!(bench.disconnects, 1);
    assert_eq!(bench.answers().len(), 2, "the answer is out before the connection goes");
    assert!(!bench.pile.wants_connection(bench.now));
    bench.run_for(4_000);
    assert!(bench.pile.wants_connection(bench.now));
    bench.tell(Event::Connected);
    assert_eq!(bench.records()[0].stop_reason, StopReason::PowerLoss);
}

#[test]
fn mischief_is_noted_in_the_truth() {
    let mut bench = Bench::charging(|config| config.mischief_per_mille = 1_000);
    bench.run_for(120_000);
    bench.stop();
    let sent_before_record = bench.status_seqs();
    bench.record_ack(RecordAckResult::Stored);
    bench.record_ack(RecordAckResult::Quarantined);
    let truth = &bench.over[0];
    let fates = |fate| truth.readings.iter().filter(|r| r.fate == fate).map(|r| r.seq).collect::<Vec<_>>();
    assert_eq!(fates(truth::Fate::Counts), sent_before_record);
    assert_eq!(fates(truth::Fate::Late).len(), 2);
    assert_eq!(fates(truth::Fate::Lost), [truth.mischief.lose_status.unwrap()]);
    assert_eq!(truth.answers_to_conflict, [RecordAckResult::Quarantined]);
    assert_eq!(truth.record.as_ref().unwrap().start_time, None);
    assert!(truth.readings.windows(2).any(|pair| pair[1].energy < pair[0].energy));
    assert_ne!(bench.records()[0].energy, bench.records()[1].energy, "the second record conflicts with the first");
}
