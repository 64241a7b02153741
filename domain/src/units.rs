//! Quantities as integers with their unit in the name; nothing here is a float.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $repr:ty, $unit:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $repr);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);

            /// Sum, or `None` past the range of the type.
            #[must_use]
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// Difference, or `None` past the range of the type.
            #[must_use]
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(difference) => Some(Self(difference)),
                    None => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{} ", $unit), self.0)
            }
        }
    };
}

quantity!(
    /// Money: 0.01 yuan.
    Fen, i64, "fen"
);
quantity!(
    /// Energy: 0.001 kWh.
    WattHours, i64, "Wh"
);
quantity!(
    /// Price: 0.0001 yuan per kWh.
    PriceE4, i64, "e4"
);
quantity!(
    /// Power.
    Watts, i32, "W"
);
quantity!(
    /// Voltage.
    MilliVolts, i32, "mV"
);
quantity!(
    /// Current.
    MilliAmps, i32, "mA"
);
quantity!(
    /// Temperature: 0.1 °C.
    DeciCelsius, i16, "d°C"
);
quantity!(
    /// State of charge of the car's battery: 0.1 %, 0..=1000.
    SocTenths, i16, "‰"
);
