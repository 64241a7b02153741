//! The certificates in use. They are read again when a file changes; connections that exist stay as they are, except
//! those whose certificate was revoked.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use super::{
    TlsFiles,
    files::{Denied, Stamp, TlsError},
};

/// See the module. Clones are the same.
#[derive(Debug, Clone)]
pub struct Tls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: TlsFiles,
    /// And when its certificate ends, in seconds since 1970.
    config: RwLock<(Arc<ServerConfig>, i64)>,
    denied: Denied,
    /// How the files looked when they were read last, whatever came of it.
    seen: Mutex<(Vec<Stamp>, Stamp)>,
}

/// What [`Tls::look`] found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// When the certificate that was read ends, in seconds since 1970.
    pub(crate) certificate: Option<Result<i64, TlsError>>,
    /// The list of revoked ones was read.
    pub(crate) revoked: Option<Result<usize, TlsError>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`], which names the file.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let seen = (files.stamps(), files.revoked_stamp());
        let denied = Denied::new(RwLock::new(files.read_revoked(true)?));
        let config = files.read(&denied)?;
        Ok(Self(Arc::new(Inner { files, config: RwLock::new(config), denied, seen: Mutex::new(seen) })))
    }

    /// For one handshake.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.config.read().0))
    }

    /// When the certificate ends, in seconds since 1970.
    #[must_use]
    pub fn ends(&self) -> i64 {
        self.0.config.read().1
    }

    /// Reads again what has changed. Files that cannot be used change nothing; they are read again when they change
    /// again. Reads files: not on the hot thread.
    pub(crate) fn look(&self) -> Found {
        let Inner { files, config, denied, seen } = &*self.0;
        let mut seen = seen.lock();
        let mut found = Found::default();
        let (stamps, revoked_stamp) = (files.stamps(), files.revoked_stamp());
        if seen.1 != revoked_stamp {
            seen.1 = revoked_stamp;
            let may_be_missing = denied.read().is_empty();
            found.revoked = Some(files.read_revoked(may_be_missing).map(|serials| {
                let len = serials.len();
                *denied.write() = serials;
                len
            }));
        }
        if seen.0 != stamps {
            seen.0 = stamps;
            found.certificate = Some(files.read(denied).map(|(fresh, ends)| {
                *config.write() = (fresh, ends);
                ends
            }));
        }
        found
    }

    /// The revoked serial numbers, as they are at any time.
    pub(crate) fn denied(&self) -> Denied {
        Denied::clone(&self.0.denied)
    }
}
