//! A pile's certificate is good when its authority signed it, it is within its dates, and its serial number was not
//! revoked. The first two are rustls' business; each fault gets the alert the standard names for it.

use std::sync::Arc;

use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use super::{files::Denied, name::PileCert};

/// See the module.
#[derive(Debug)]
pub(crate) struct PileVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    denied: Denied,
}

impl PileVerifier {
    pub(crate) fn new(inner: Arc<dyn ClientCertVerifier>, denied: Denied) -> Self {
        Self { inner, denied }
    }
}

impl ClientCertVerifier for PileVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        let cert = PileCert::read(end_entity).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if self.denied.read().contains(&cert.serial) {
            return Err(Error::InvalidCertificate(CertificateError::Revoked));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The label under which a handshake that failed is counted.
pub(crate) fn why(error: &std::io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(fault)) => why_certificate(fault),
        Some(Error::AlertReceived(_)) => "peer_refused",
        Some(Error::PeerIncompatible(_)) => "incompatible",
        Some(_) => "not_tls",
        None => "closed",
    }
}

/// Whether that label is a certificate's fault, which the audit trail should know.
pub(crate) fn is_of_certificate(why: &str) -> bool {
    why.starts_with("certificate_")
}

#[allow(clippy::wildcard_enum_match_arm, reason = "a list that is rustls' own and grows with it")]
const fn why_certificate(fault: &CertificateError) -> &'static str {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "certificate_expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "certificate_not_yet_valid",
        CertificateError::Revoked => "certificate_revoked",
        CertificateError::UnknownIssuer => "certificate_foreign",
        _ => "certificate_bad",
    }
}
