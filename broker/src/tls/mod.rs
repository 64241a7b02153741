//! TLS in front of the gate: certificates read and read again, handshakes away from the hot thread, chargers known by
//! their certificate.
//!
//! ```text
//! accept ─▶ room? ─▶ handshake (5 s, own threads) ─▶ hop ─▶ hot thread: Gate::enter, like any other connection
//! ```
//!
//! Knows sockets and certificates; what a pile may do is none of its business.

mod door;
mod files;
mod hop;
mod keeper;
mod name;
mod verifier;

use std::path::PathBuf;

pub(crate) use self::{door::listen, name::PileCert};
pub use self::{files::TlsError, keeper::Tls};

/// Where the certificates are. All of them are PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The gate's certificate, followed by those that lead to its authority.
    pub cert: PathBuf,
    /// Its private key: PKCS #8, SEC 1 or PKCS #1.
    pub key: PathBuf,
    /// The authority of the piles' certificates; without one, piles show a secret.
    pub client_ca: Option<PathBuf>,
    /// Serial numbers that no longer count, one in hexadecimal per line, `#` for remarks; need not exist.
    pub revoked: Option<PathBuf>,
}
