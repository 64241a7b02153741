//! What a packet of a charger means: who may do what, and in which order.
//!
//! ```text
//! Stranger ──CONNECT──▶ (claim examined outside) ──admit──▶ Known ──DISCONNECT──▶ closed
//!     │ anything else            │ refuse                     │ what is not its own, or no MQTT 3.1.1
//!     └──▶ closed                └──▶ closed                  └──▶ closed
//! ```
//!
//! Pure: packets in, actions out. It knows the pile's own code and nothing else of the world: no socket, no clock, no
//! secret.

use domain::{
    PileCode,
    wire::{DownTopic, UpTopic},
};

use crate::{
    acl,
    limits::INTEGRATION_CLIENT_ID_LEN_MAX,
    mqtt::{
        read::{Connect, Login, Packet, Password, Publish},
        write::ConnectCode,
    },
    readers::PREFIX,
    sink::DownCause,
};

/// What is to be done about a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action<'a> {
    /// Find out whether it is who it claims to be; then [`Machine::admit`], or refuse.
    Examine(Claim<'a>),
    /// Find out whether it is the integration it claims to be; then [`Machine::admit_reader`], or refuse.
    ExamineReader(ReaderClaim<'a>),
    /// Answer an integration's SUBSCRIBE.
    Read { packet_id: u16, filters: Vec<&'a str> },
    /// Answer an integration's UNSUBSCRIBE.
    Unread { packet_id: u16, filters: Vec<&'a str> },
    /// Answer with this code and close.
    Refuse(ConnectCode),
    /// Pass on a frame.
    Frame(Frame<'a>),
    /// Answer a SUBSCRIBE: for each filter the topic it stands for and the wished QoS, or `None` when forbidden.
    Subscribe { packet_id: u16, wishes: Vec<Option<(DownTopic, u8)>> },
    /// Answer an UNSUBSCRIBE.
    Unsubscribe { packet_id: u16, topics: Vec<DownTopic> },
    /// It has the message with this packet id.
    Acknowledged(u16),
    /// Answer a PINGREQ.
    Pong,
    /// Close.
    Close(DownCause),
}

/// Who a connection claims to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim<'a> {
    pub(crate) code: &'a str,
    /// None is needed by who has shown a certificate.
    pub(crate) password: Option<Password<'a>>,
    /// Seconds; 0 = none.
    pub(crate) keep_alive_s: u16,
    pub(crate) has_will: bool,
    /// What it subscribed to, and what is sent meanwhile, is to be forgotten when it goes.
    pub(crate) clean_session: bool,
}

/// Which integration a connection claims to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReaderClaim<'a> {
    pub(crate) username: &'a str,
    pub(crate) password: Option<Password<'a>>,
    /// Seconds; 0 = none.
    pub(crate) keep_alive_s: u16,
}

/// A frame on one of the pile's own topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) topic: UpTopic,
    /// For QoS 1.
    pub(crate) packet_id: Option<u16>,
    /// It asked to be kept for subscribers to come, which nobody here does: quarantined for that reason.
    pub(crate) retain: bool,
    pub(crate) payload: &'a [u8],
    pub(crate) payload_len: usize,
}

/// Something a pile must not do; counted and audited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forbidden<'a> {
    Publish(&'a str),
    Subscribe(&'a str),
    Will(&'a str),
    /// On its own topic, but with QoS 2, which is not offered.
    QosTwo(&'a str),
}

impl<'a> Forbidden<'a> {
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Publish(_) => "publish",
            Self::Subscribe(_) => "subscribe",
            Self::Will(_) => "will",
            Self::QosTwo(_) => "qos_2",
        }
    }

    pub(crate) const fn topic(self) -> &'a str {
        match self {
            Self::Publish(topic) | Self::Subscribe(topic) | Self::Will(topic) | Self::QosTwo(topic) => topic,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    known_as: Option<PileCode>,
    /// It is an integration, which reads and does nothing else.
    reads: bool,
}

impl Machine {
    /// The claim was right.
    pub(crate) fn admit(&mut self, code: PileCode) {
        self.known_as = Some(code);
    }

    /// The claim of an integration was right.
    pub(crate) fn admit_reader(&mut self) {
        self.reads = true;
    }

    /// What to do about a packet; `forbidden` hears of each attempt at what is not allowed.
    pub(crate) fn handle<'a>(&self, packet: Packet<'a>, mut forbidden: impl FnMut(Forbidden<'a>)) -> Action<'a> {
        if self.reads {
            return read(packet, forbidden);
        }
        let Some(code) = self.known_as.as_ref().map(PileCode::as_str) else {
            return match packet {
                Packet::Connect(Connect::OtherProtocol) => Action::Refuse(ConnectCode::UnacceptableProtocol),
                Packet::Connect(Connect::V4(login)) => claim(&login, forbidden),
                Packet::Publish(_)
                | Packet::PubAck(_)
                | Packet::Subscribe { .. }
                | Packet::Unsubscribe { .. }
                | Packet::PingReq
                | Packet::Disconnect => Action::Close(DownCause::Protocol),
            };
        };
        match packet {
            Packet::Connect(_) => Action::Close(DownCause::Protocol),
            Packet::Publish(publish) => frame(&publish, code, forbidden),
            Packet::PubAck(packet_id) => Action::Acknowledged(packet_id),
            Packet::Subscribe { packet_id, filters } => {
                let wish = |(filter, qos): (&'a str, u8)| {
                    let topic = acl::subscribe(code, filter);
                    if topic.is_none() {
                        forbidden(Forbidden::Subscribe(filter));
                    }
                    topic.map(|topic| (topic, qos))
                };
                Action::Subscribe { packet_id, wishes: filters.into_iter().map(wish).collect() }
            }
            Packet::Unsubscribe { packet_id, filters } => {
                let topics = filters.into_iter().filter_map(|filter| acl::subscribe(code, filter)).collect();
                Action::Unsubscribe { packet_id, topics }
            }
            Packet::PingReq => Action::Pong,
            Packet::Disconnect => Action::Close(DownCause::Disconnect),
        }
    }
}

/// What an integration may do: subscribe and go.
fn read<'a>(packet: Packet<'a>, mut forbidden: impl FnMut(Forbidden<'a>)) -> Action<'a> {
    let names = |filters: Vec<(&'a str, u8)>| filters.into_iter().map(|(filter, _qos)| filter).collect();
    match packet {
        Packet::Publish(publish) => {
            forbidden(Forbidden::Publish(publish.topic));
            Action::Close(DownCause::Forbidden)
        }
        Packet::Subscribe { packet_id, filters } => Action::Read { packet_id, filters: names(filters) },
        Packet::Unsubscribe { packet_id, filters } => Action::Unread { packet_id, filters },
        Packet::PingReq => Action::Pong,
        Packet::Disconnect => Action::Close(DownCause::Disconnect),
        // Nothing is sent to it that it could acknowledge.
        Packet::Connect(_) | Packet::PubAck(_) => Action::Close(DownCause::Protocol),
    }
}

/// An integration: the client id is its own affair. It publishes nothing, so it has no will either.
fn reader_claim<'a>(login: &Login<'a>, username: &'a str, mut forbidden: impl FnMut(Forbidden<'a>)) -> Action<'a> {
    if !(1..=INTEGRATION_CLIENT_ID_LEN_MAX).contains(&login.client_id.chars().count()) {
        return Action::Refuse(ConnectCode::IdentifierRejected);
    }
    if let Some(topic) = login.will_topic {
        forbidden(Forbidden::Will(topic));
        return Action::Refuse(ConnectCode::NotAuthorized);
    }
    Action::ExamineReader(ReaderClaim { username, password: login.password, keep_alive_s: login.keep_alive_s })
}

/// Client id = username = pile code [CONTRACT 1]. A will is a promise to publish, so it obeys the same rule.
fn claim<'a>(login: &Login<'a>, mut forbidden: impl FnMut(Forbidden<'a>)) -> Action<'a> {
    if let Some(username) = login.username.filter(|username| username.starts_with(PREFIX)) {
        return reader_claim(login, username, forbidden);
    }
    if PileCode::parse(login.client_id).is_err() {
        return Action::Refuse(ConnectCode::IdentifierRejected);
    }
    if login.username.is_some_and(|username| username != login.client_id) {
        return Action::Refuse(ConnectCode::NotAuthorized);
    }
    if let Some(topic) = login.will_topic
        && acl::publish(login.client_id, topic).is_none()
    {
        forbidden(Forbidden::Will(topic));
        return Action::Refuse(ConnectCode::NotAuthorized);
    }
    Action::Examine(Claim {
        code: login.client_id,
        password: login.username.and(login.password),
        keep_alive_s: login.keep_alive_s,
        has_will: login.will_topic.is_some(),
        clean_session: login.clean_session,
    })
}

fn frame<'a>(publish: &Publish<'a>, code: &str, mut forbidden: impl FnMut(Forbidden<'a>)) -> Action<'a> {
    let Some(topic) = acl::publish(code, publish.topic) else {
        forbidden(Forbidden::Publish(publish.topic));
        return Action::Close(DownCause::Forbidden);
    };
    if publish.qos > 1 {
        forbidden(Forbidden::QosTwo(publish.topic));
        return Action::Close(DownCause::QosTwo);
    }
    Action::Frame(Frame {
        topic,
        packet_id: (publish.qos == 1).then_some(publish.packet_id),
        retain: publish.retain,
        payload: publish.payload,
        payload_len: publish.payload_len,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Login<'static> {
        Login {
            client_id: "P1",
            username: Some("P1"),
            password: Some(Password(b"s")),
            will_topic: None,
            keep_alive_s: 30,
            clean_session: true,
        }
    }

    fn known() -> Machine {
        let mut machine = Machine::default();
        machine.admit(PileCode::parse("P1").unwrap());
        machine
    }

    fn publish(topic: &str, qos: u8) -> Packet<'_> {
        let packet_id = if qos == 0 { 0 } else { 9 };
        Packet::Publish(Publish { topic, qos, retain: false, packet_id, payload: b"{}", payload_len: 2 })
    }

    /// The action, and what was forbidden on the way.
    fn handled<'a>(machine: &Machine, packet: Packet<'a>) -> (Action<'a>, Vec<&'static str>) {
        let mut seen = Vec::new();
        let action = machine.handle(packet, |forbidden| seen.push(forbidden.what()));
        (action, seen)
    }

    #[test]
    fn a_claim_is_examined_only_when_it_can_be_true() {
        let refuse = Action::Refuse;
        let claim = |password, has_will| {
            Action::Examine(Claim { code: "P1", password, keep_alive_s: 30, has_will, clean_session: true })
        };
        let cases: [(Login<'_>, Action<'_>, &[&str]); 9] = [
            (Login { client_id: "", ..login() }, refuse(ConnectCode::IdentifierRejected), &[]),
            (Login { client_id: "a/b", ..login() }, refuse(ConnectCode::IdentifierRejected), &[]),
            (Login { client_id: "桩", ..login() }, refuse(ConnectCode::IdentifierRejected), &[]),
            (Login { username: None, ..login() }, claim(None, false), &[]),
            (Login { password: None, ..login() }, claim(None, false), &[]),
            (Login { username: Some("P2"), ..login() }, refuse(ConnectCode::NotAuthorized), &[]),
            (Login { will_topic: Some("pile/P2/event"), ..login() }, refuse(ConnectCode::NotAuthorized), &["will"]),
            (Login { will_topic: Some("pile/P1/command"), ..login() }, refuse(ConnectCode::NotAuthorized), &["will"]),
            (Login { will_topic: Some("pile/P1/event"), ..login() }, claim(Some(Password(b"s")), true), &[]),
        ];
        for (login, action, forbidden) in cases {
            let packet = Packet::Connect(Connect::V4(login.clone()));
            assert_eq!(handled(&Machine::default(), packet), (action, forbidden.to_vec()), "{login:?}");
        }
        let other = Packet::Connect(Connect::OtherProtocol);
        assert_eq!(handled(&Machine::default(), other).0, refuse(ConnectCode::UnacceptableProtocol));
    }

    #[test]
    fn a_stranger_may_only_connect_and_nobody_may_connect_twice() {
        for packet in [
            publish("pile/P1/heartbeat", 0),
            Packet::PubAck(1),
            Packet::Subscribe { packet_id: 1, filters: vec![("pile/P1/command", 1)] },
            Packet::Unsubscribe { packet_id: 1, filters: vec!["pile/P1/command"] },
            Packet::PingReq,
            Packet::Disconnect,
        ] {
            assert_eq!(handled(&Machine::default(), packet).0, Action::Close(DownCause::Protocol));
        }
        for again in [Connect::OtherProtocol, Connect::V4(login())] {
            assert_eq!(handled(&known(), Packet::Connect(again)).0, Action::Close(DownCause::Protocol));
        }
    }

    #[test]
    fn a_pile_publishes_on_its_own_up_topics_only() {
        for topic in UpTopic::ALL {
            let text = topic.topic(&PileCode::parse("P1").unwrap());
            for qos in 0..=1 {
                let packet_id = (qos == 1).then_some(9);
                let frame = Frame { topic, packet_id, retain: false, payload: b"{}", payload_len: 2 };
                assert_eq!(handled(&known(), publish(&text, qos)), (Action::Frame(frame), vec![]));
            }
            assert_eq!(handled(&known(), publish(&text, 2)), (Action::Close(DownCause::QosTwo), vec!["qos_2"]));
        }
        for topic in
            ["pile/P2/heartbeat", "pile/P1/command", "pile/P1/record/ack", "pile/P1/x", "$SYS/x", "", "pile/+/event"]
        {
            let expected = (Action::Close(DownCause::Forbidden), vec!["publish"]);
            assert_eq!(handled(&known(), publish(topic, 1)), expected, "{topic}");
        }
    }

    #[test]
    fn a_pile_subscribes_to_its_own_down_topics_only() {
        let filters = vec![("pile/P1/command", 2), ("pile/P2/command", 1), ("#", 0), ("pile/P1/record/ack", 0)];
        let wishes = vec![Some((DownTopic::Command, 2)), None, None, Some((DownTopic::RecordAck, 0))];
        assert_eq!(
            handled(&known(), Packet::Subscribe { packet_id: 3, filters }),
            (Action::Subscribe { packet_id: 3, wishes }, vec!["subscribe", "subscribe"])
        );
        let filters = vec!["pile/P1/command", "pile/P2/command"];
        assert_eq!(
            handled(&known(), Packet::Unsubscribe { packet_id: 4, filters }),
            (Action::Unsubscribe { packet_id: 4, topics: vec![DownTopic::Command] }, vec![])
        );
    }

    #[test]
    fn the_rest_is_answered_or_noted() {
        assert_eq!(handled(&known(), Packet::PingReq).0, Action::Pong);
        assert_eq!(handled(&known(), Packet::PubAck(5)).0, Action::Acknowledged(5));
        assert_eq!(handled(&known(), Packet::Disconnect).0, Action::Close(DownCause::Disconnect));
    }

    #[test]
    fn an_integration_reads_and_does_nothing_else() {
        let integration = Login { client_id: "any", username: Some("integration:x"), ..login() };
        let claim = ReaderClaim { username: "integration:x", password: Some(Password(b"s")), keep_alive_s: 30 };
        let connect = |login| Packet::Connect(Connect::V4(login));
        let stranger = Machine::default();
        assert_eq!(handled(&stranger, connect(integration.clone())), (Action::ExamineReader(claim), vec![]));
        for topic in ["pile/any/event", "pile/x/event"] {
            let packet = connect(Login { will_topic: Some(topic), ..integration.clone() });
            assert_eq!(handled(&stranger, packet), (Action::Refuse(ConnectCode::NotAuthorized), vec!["will"]));
        }
        let mut reader = Machine::default();
        reader.admit_reader();
        for qos in 0..=2 {
            let expected = (Action::Close(DownCause::Forbidden), vec!["publish"]);
            assert_eq!(handled(&reader, publish("pile/x/event", qos)), expected);
        }
        let read = Action::Read { packet_id: 3, filters: vec!["pile/+/#"] };
        let packet = Packet::Subscribe { packet_id: 3, filters: vec![("pile/+/#", 1)] };
        assert_eq!(handled(&reader, packet), (read, vec![]));
        let packet = Packet::Unsubscribe { packet_id: 4, filters: vec!["pile/+/#"] };
        assert_eq!(handled(&reader, packet).0, Action::Unread { packet_id: 4, filters: vec!["pile/+/#"] });
        assert_eq!(handled(&reader, Packet::PingReq).0, Action::Pong);
        assert_eq!(handled(&reader, Packet::Disconnect).0, Action::Close(DownCause::Disconnect));
        for packet in [connect(integration), connect(login()), Packet::PubAck(1)] {
            assert_eq!(handled(&reader, packet).0, Action::Close(DownCause::Protocol));
        }
    }
}
