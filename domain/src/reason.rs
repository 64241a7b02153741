//! Why a charge stopped.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The charger's own account of why the charge ended; a number on the wire [CONTRACT 1.3].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// 1: the driver asked.
    User,
    /// 2: the battery is full.
    Full,
    /// 3: a fault of the pile.
    Fault,
    /// 4: the gun was pulled.
    Unplugged,
    /// 5: stopped at the car or at the pile.
    Local,
    /// 6: a limit of the order was reached.
    LimitReached,
    /// 7: the emergency stop was pressed.
    EmergencyStop,
    /// 8: the pile lost its power.
    PowerLoss,
    /// 9: the operator asked.
    Operator,
    /// 10: the car's battery management system.
    Bms,
    /// 99: none of these.
    Other,
}

impl StopReason {
    /// All reasons, in the order of their codes.
    pub const ALL: [Self; 11] = [
        Self::User,
        Self::Full,
        Self::Fault,
        Self::Unplugged,
        Self::Local,
        Self::LimitReached,
        Self::EmergencyStop,
        Self::PowerLoss,
        Self::Operator,
        Self::Bms,
        Self::Other,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Full => 2,
            Self::Fault => 3,
            Self::Unplugged => 4,
            Self::Local => 5,
            Self::LimitReached => 6,
            Self::EmergencyStop => 7,
            Self::PowerLoss => 8,
            Self::Operator => 9,
            Self::Bms => 10,
            Self::Other => 99,
        }
    }

    /// The reason of a number; `None` for a number that the contract does not name.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// Whether an order that ends so is closed as an exception.
    #[must_use]
    pub const fn is_exception(self) -> bool {
        match self {
            Self::Fault | Self::EmergencyStop | Self::PowerLoss | Self::Bms => true,
            Self::User
            | Self::Full
            | Self::Unplugged
            | Self::Local
            | Self::LimitReached
            | Self::Operator
            | Self::Other => false,
        }
    }
}

impl Serialize for StopReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}

impl<'de> Deserialize<'de> for StopReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = u8::deserialize(deserializer)?;
        Self::from_code(code).ok_or_else(|| D::Error::custom("unknown stop reason"))
    }
}
