//! A CONNECT is read as the standard says, and examined only when its claim can be true.

use domain::PileCode;

use super::reference::{field, text, up_topic};
use crate::{
    conn::machine::{Action, Machine},
    mqtt::{
        framer::Raw,
        read::{Connect, Login, Packet},
        write::ConnectCode,
    },
};

/// The input is the body of a CONNECT.
///
/// # Panics
/// When it is read otherwise than the reference reads it, or a claim goes on that cannot be true.
pub fn connect(input: &[u8]) {
    let raw = Raw { first: 0x10, body: input, len: input.len() };
    let expected = reference(input);
    let Ok(packet) = Packet::read(raw) else {
        assert_eq!(expected, None, "refused, and the standard allows it");
        return;
    };
    let Packet::Connect(read) = &packet else { panic!("a CONNECT was read as {packet:?}") };
    let read = match read {
        Connect::OtherProtocol => Said::OtherProtocol,
        Connect::V4(login) => Said::V4(said(login)),
    };
    assert_eq!(Some(read), expected);
    judge(packet, expected);
}

/// What a CONNECT says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said<'a> {
    OtherProtocol,
    V4(Fields<'a>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fields<'a> {
    client_id: &'a str,
    username: Option<&'a str>,
    password: Option<&'a [u8]>,
    will_topic: Option<&'a str>,
    keep_alive_s: u16,
    clean_session: bool,
}

fn said<'a>(login: &Login<'a>) -> Fields<'a> {
    Fields {
        client_id: login.client_id,
        username: login.username,
        password: login.password.map(|password| password.0),
        will_topic: login.will_topic,
        keep_alive_s: login.keep_alive_s,
        clean_session: login.clean_session,
    }
}

/// [MQTT-3.1] line by line; `None` where the connection must be closed.
fn reference(body: &[u8]) -> Option<Said<'_>> {
    let (name, rest) = field(body)?;
    if name != b"MQTT" {
        return Some(Said::OtherProtocol);
    }
    let (&level, rest) = rest.split_first()?;
    if level != 4 {
        return Some(Said::OtherProtocol);
    }
    let (&flags, rest) = rest.split_first()?;
    let bits = format!("{flags:08b}");
    let bit = |n: usize| bits.as_bytes().get(7 - n) == Some(&b'1');
    let (has_username, has_password, has_will) = (bit(7), bit(6), bit(2));
    let says_of_will = bit(5) || bit(4) || bit(3);
    let is_qos_3 = bit(4) && bit(3);
    if bit(0) || is_qos_3 || (says_of_will && !has_will) || (has_password && !has_username) {
        return None;
    }
    let (keep_alive, rest) = rest.split_at_checked(2)?;
    let keep_alive_s = keep_alive.iter().fold(0, |sum, byte| sum * 256 + u16::from(*byte));
    let (client_id, mut rest) = text(rest)?;
    let mut will_topic = None;
    if has_will {
        let (topic, after) = text(rest)?;
        will_topic = Some(topic);
        rest = field(after)?.1;
    }
    let mut username = None;
    if has_username {
        let (name, after) = text(rest)?;
        (username, rest) = (Some(name), after);
    }
    let mut password = None;
    if has_password {
        let (secret, after) = field(rest)?;
        (password, rest) = (Some(secret), after);
    }
    let clean_session = bit(1);
    let fields = Fields { client_id, username, password, will_topic, keep_alive_s, clean_session };
    rest.is_empty().then_some(Said::V4(fields))
}

/// What a stranger's CONNECT leads to.
fn judge(packet: Packet<'_>, expected: Option<Said<'_>>) {
    let mut told = 0;
    let action = Machine::default().handle(packet, |_| told += 1);
    let Some(Said::V4(fields)) = expected else {
        assert_eq!(action, Action::Refuse(ConnectCode::UnacceptableProtocol));
        return;
    };
    let claims_right =
        fields.username.is_none_or(|name| name == fields.client_id) && PileCode::parse(fields.client_id).is_ok();
    let is_own_will =
        fields.will_topic.is_none_or(|topic| up_topic(topic).is_some_and(|(whose, _)| whose == fields.client_id));
    if let Action::Examine(claim) = &action {
        assert!(claims_right && fields.client_id == claim.code, "{claim:?}");
        assert_eq!(
            (fields.password, fields.clean_session),
            (claim.password.map(|password| password.0), claim.clean_session)
        );
        assert!(is_own_will, "a will on a foreign topic is a promise nobody may make: {claim:?}");
        assert_eq!((claim.keep_alive_s, claim.has_will), (fields.keep_alive_s, fields.will_topic.is_some()));
        assert_eq!(told, 0);
    } else {
        assert!(matches!(action, Action::Refuse(code) if code != ConnectCode::Accepted), "{action:?}");
    }
    if claims_right && !is_own_will {
        assert_eq!((action, told), (Action::Refuse(ConnectCode::NotAuthorized), 1), "a foreign will is told");
    }
}
