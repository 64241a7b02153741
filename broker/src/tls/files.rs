//! Certificate files → what rustls wants. Every fault names the file and what to do.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use parking_lot::RwLock;
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};

use super::{
    TlsFiles,
    name::{Serial, not_after, read_revoked},
    verifier::PileVerifier,
};

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {cause}; check its path and that the hub may read it", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no usable {what}: {cause}; give a PEM file", path.display())]
    NotPem {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Why not.
        cause: String,
    },
    /// Certificate and key do not belong together, or their kind is not supported.
    #[error("{} and {} cannot be used together: {cause}; give the key that the certificate was made for", cert.display(), key.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        cause: String,
    },
    /// A line of the list of revoked serial numbers is none.
    #[error("line {line} of {} is no serial number; write it in hexadecimal digits", path.display())]
    NotSerial {
        /// The list.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
}

/// Serial numbers that no longer count, shared by every configuration in use.
pub(crate) type Denied = Arc<RwLock<HashSet<Serial>>>;

/// How a file looked when it was read: a change of it is noticed by these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp(Option<(SystemTime, u64)>);

impl TlsFiles {
    /// How the files of the certificates look.
    pub(crate) fn stamps(&self) -> Vec<Stamp> {
        [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()]
            .into_iter()
            .flatten()
            .map(|path| stamp(path))
            .collect()
    }

    /// How the list of revoked ones looks.
    pub(crate) fn revoked_stamp(&self) -> Stamp {
        self.revoked.as_deref().map_or(Stamp(None), stamp)
    }

    /// The configuration for new connections, and when its certificate ends, in seconds since 1970.
    pub(crate) fn read(&self, denied: &Denied) -> Result<(Arc<ServerConfig>, i64), TlsError> {
        let chain = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&bytes(&self.key)?)
            .map_err(|error| not_pem(&self.key, "private key", error))?;
        let ends = chain.first().and_then(|cert| not_after(cert)).unwrap_or(i64::MAX);
        // ring's own order of suites begins with those of TLS 1.3 and, for 1.2, with ECDSA.
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| self.mismatch(&error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for root in certificates(path)? {
                    roots.add(root).map_err(|error| not_pem(path, "authority", error))?;
                }
                // Who shows no certificate may still show a secret.
                let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| not_pem(path, "authority", error))?;
                builder.with_client_cert_verifier(Arc::new(PileVerifier::new(inner, Arc::clone(denied))))
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| self.mismatch(&error))?;
        // A resumed session shows no certificate, so a revoked or expired one would go on being good.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok((Arc::new(config), ends))
    }

    /// The revoked serial numbers; none when there is no such file, if that `may` be: a list that disappears must not
    /// make anybody good again.
    pub(crate) fn read_revoked(&self, may_be_missing: bool) -> Result<HashSet<Serial>, TlsError> {
        let Some(path) = &self.revoked else { return Ok(HashSet::new()) };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if may_be_missing && error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
            Err(cause) => return Err(TlsError::Unreadable { path: path.clone(), cause }),
        };
        let serials = read_revoked(&text).map_err(|line| TlsError::NotSerial { path: path.clone(), line })?;
        Ok(serials.into_iter().collect())
    }

    fn mismatch(&self, error: &tokio_rustls::rustls::Error) -> TlsError {
        TlsError::Mismatch { cert: self.cert.clone(), key: self.key.clone(), cause: error.to_string() }
    }
}

fn stamp(path: &Path) -> Stamp {
    Stamp(fs::metadata(path).ok().and_then(|meta| Some((meta.modified().ok()?, meta.len()))))
}

fn bytes(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|cause| TlsError::Unreadable { path: path.to_owned(), cause })
}

fn not_pem(path: &Path, what: &'static str, cause: impl ToString) -> TlsError {
    TlsError::NotPem { path: path.to_owned(), what, cause: cause.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(path)?).collect();
    match found {
        Ok(found) if found.is_empty() => Err(not_pem(path, "certificate", "no CERTIFICATE section")),
        found => found.map_err(|error| not_pem(path, "certificate", error)),
    }
}
