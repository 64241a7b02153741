//! Bodies of packets → borrowed values. What the standard forbids is an error: the connection is closed.

use std::str;

use super::framer::Raw;
use crate::limits::FILTERS_PER_PACKET_MAX;

/// The packet breaks a rule of MQTT 3.1.1; says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// A packet a client may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    Connect(Connect<'a>),
    Publish(Publish<'a>),
    PubAck(u16),
    Subscribe { packet_id: u16, filters: Vec<(&'a str, u8)> },
    Unsubscribe { packet_id: u16, filters: Vec<&'a str> },
    PingReq,
    Disconnect,
}

/// CONNECT, as far as its protocol version lets us read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Connect<'a> {
    /// Not MQTT 3.1.1 [MQTT-3.1.2-2].
    OtherProtocol,
    /// MQTT 3.1.1.
    V4(Login<'a>),
}

/// A secret on its way to be looked at: never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Password<'a>(pub(crate) &'a [u8]);

impl std::fmt::Debug for Password<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

/// What a client says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) username: Option<&'a str>,
    pub(crate) password: Option<Password<'a>>,
    /// Topic of the will. Its message is of no use: a will is told as an event of the link.
    pub(crate) will_topic: Option<&'a str>,
    /// Seconds; 0 = none.
    pub(crate) keep_alive_s: u16,
    pub(crate) clean_session: bool,
}

/// PUBLISH, its payload perhaps cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    pub(crate) topic: &'a str,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// 0 for QoS 0.
    pub(crate) packet_id: u16,
    /// The payload, or its start when the packet was cut.
    pub(crate) payload: &'a [u8],
    /// Length of the whole payload.
    pub(crate) payload_len: usize,
}

impl<'a> Packet<'a> {
    /// How much work it makes: one, and one for each filter.
    pub(crate) fn units(&self) -> u32 {
        let filters = match self {
            Self::Subscribe { filters, .. } => filters.len(),
            Self::Unsubscribe { filters, .. } => filters.len(),
            Self::Connect(_) | Self::Publish(_) | Self::PubAck(_) | Self::PingReq | Self::Disconnect => 0,
        };
        u32::try_from(filters).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Reads one packet.
    pub(crate) fn read(raw: Raw<'a>) -> Result<Self, Malformed> {
        let flags = raw.first & 0x0f;
        let mut body = Body(raw.body);
        let packet = match (raw.first >> 4, flags) {
            (1, 0) => Self::Connect(body.connect()?),
            (3, _) => return Ok(Self::Publish(body.publish(flags, raw.len)?)),
            (4, 0) => Self::PubAck(body.packet_id()?),
            (8, 2) => Self::Subscribe { packet_id: body.packet_id()?, filters: body.subscriptions()? },
            (10, 2) => Self::Unsubscribe { packet_id: body.packet_id()?, filters: body.filters()? },
            (12, 0) => Self::PingReq,
            (14, 0) => Self::Disconnect,
            (5..=7, _) => return Err(Malformed("a packet of QoS 2, which is not offered")),
            (2 | 9 | 11 | 13, _) => return Err(Malformed("a packet that only servers send")),
            (1 | 4 | 8 | 10 | 12 | 14, _) => return Err(Malformed("reserved flags")),
            _ => return Err(Malformed("a reserved packet type")),
        };
        if body.0.is_empty() || matches!(packet, Self::Connect(Connect::OtherProtocol)) {
            Ok(packet)
        } else {
            Err(Malformed("bytes after the end"))
        }
    }
}

/// What is left of a body.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn u8(&mut self) -> Result<u8, Malformed> {
        let (&byte, rest) = self.0.split_first().ok_or(Malformed("too short"))?;
        self.0 = rest;
        Ok(byte)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Malformed("too short"))?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    fn packet_id(&mut self) -> Result<u16, Malformed> {
        match self.u16()? {
            0 => Err(Malformed("packet id 0")),
            id => Ok(id),
        }
    }

    fn binary(&mut self) -> Result<&'a [u8], Malformed> {
        let len = usize::from(self.u16()?);
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Malformed("too short"))?;
        self.0 = rest;
        Ok(bytes)
    }

    /// [MQTT-1.5.3-1], [MQTT-1.5.3-2]
    fn text(&mut self) -> Result<&'a str, Malformed> {
        let text = str::from_utf8(self.binary()?).map_err(|_| Malformed("not UTF-8"))?;
        if text.as_bytes().contains(&0) { Err(Malformed("a NUL character")) } else { Ok(text) }
    }

    fn connect(&mut self) -> Result<Connect<'a>, Malformed> {
        if self.binary()? != b"MQTT" || self.u8()? != 4 {
            return Ok(Connect::OtherProtocol);
        }
        let flags = self.u8()?;
        let has = |bit: u8| flags & bit != 0;
        let (will, will_qos) = (has(0x04), (flags >> 3) & 3);
        if has(0x01) || will_qos == 3 || (!will && flags & 0x38 != 0) || (has(0x40) && !has(0x80)) {
            return Err(Malformed("impossible connect flags"));
        }
        let keep_alive_s = self.u16()?;
        let client_id = self.text()?;
        let will_topic = if will { Some(self.text()?) } else { None };
        if will {
            self.binary()?;
        }
        let username = if has(0x80) { Some(self.text()?) } else { None };
        let password = if has(0x40) { Some(Password(self.binary()?)) } else { None };
        Ok(Connect::V4(Login { client_id, username, password, will_topic, keep_alive_s, clean_session: has(0x02) }))
    }

    fn publish(&mut self, flags: u8, len: usize) -> Result<Publish<'a>, Malformed> {
        let kept = self.0.len();
        let qos = (flags >> 1) & 3;
        if qos == 3 {
            return Err(Malformed("QoS 3"));
        }
        let topic = self.text()?;
        let packet_id = if qos == 0 { 0 } else { self.packet_id()? };
        let payload_len = len - (kept - self.0.len());
        Ok(Publish { topic, qos, retain: flags & 1 != 0, packet_id, payload: self.0, payload_len })
    }

    fn subscriptions(&mut self) -> Result<Vec<(&'a str, u8)>, Malformed> {
        self.list(|body| {
            let filter = body.text()?;
            match body.u8()? {
                qos @ 0..=2 => Ok((filter, qos)),
                _ => Err(Malformed("a reserved QoS")),
            }
        })
    }

    fn filters(&mut self) -> Result<Vec<&'a str>, Malformed> {
        self.list(Self::text)
    }

    /// At least one [MQTT-3.8.3-3], [MQTT-3.10.3-2], and no more than is reasonable.
    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        let mut all = Vec::with_capacity(2);
        while !self.0.is_empty() {
            if all.len() == FILTERS_PER_PACKET_MAX {
                return Err(Malformed("too many filters"));
            }
            all.push(one(self)?);
        }
        if all.is_empty() { Err(Malformed("no filter")) } else { Ok(all) }
    }
}

#[cfg(test)]
mod tests;
