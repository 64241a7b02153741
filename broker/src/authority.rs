//! A small certificate authority for a first installation: one self-signed root, the gate's certificate, and one per
//! pile. All keys are ECDSA on P-256, the cheapest to verify.
//!
//! Makes PEM texts and keeps nothing: whoever calls decides where keys are kept.

use std::time::Duration;

use domain::{PileCode, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SerialNumber, date_time_ymd,
};

use crate::tls::PileCert;

/// Bytes of a serial number: random, so that nobody has to count.
const SERIAL_LEN: usize = 16;

/// Why a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Keys or names that cannot be used.
    #[error("no certificate can be made: {0}")]
    Rcgen(#[from] rcgen::Error),
    /// No random bytes can be had from the system.
    #[error("the system gives no random bytes: {0}")]
    NoRandomness(#[from] getrandom::Error),
    /// The certificate is not one.
    #[error("the certificate cannot be read; give a PEM file that holds one")]
    NotReadable,
}

/// A certificate with its private key, both PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub cert_pem: String,
    /// Its private key, PKCS #8.
    pub key_pem: String,
    /// Its serial number in hexadecimal digits: what a list of revoked ones names.
    pub serial: String,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("serial", &self.serial).finish_non_exhaustive()
    }
}

/// From when until when a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub from: Timestamp,
    /// Not after.
    pub until: Timestamp,
}

/// See the module.
#[derive(Debug)]
pub struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// A new authority, and its own certificate and key to keep.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn create(name: &str, validity: Validity) -> Result<(Self, Issued), AuthorityError> {
        let (mut params, serial) = params(name, validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let cert_pem = params.self_signed(&key)?.pem();
        let issued = Issued { cert_pem, key_pem: key.serialize_pem(), serial };
        Ok((Self(Issuer::new(params, key)), issued))
    }

    /// An authority that was kept.
    ///
    /// # Errors
    /// [`AuthorityError`] when certificate or key cannot be read.
    pub fn open(cert_pem: &str, key_pem: &str) -> Result<Self, AuthorityError> {
        Ok(Self(Issuer::from_ca_cert_pem(cert_pem, KeyPair::from_pem(key_pem)?)?))
    }

    /// A certificate for the gate, good for these host names and addresses.
    ///
    /// # Errors
    /// [`AuthorityError`], also for a host that is neither a name nor an address.
    pub fn issue_gate(&self, hosts: &[String], validity: Validity) -> Result<Issued, AuthorityError> {
        let name = hosts.first().map_or("pilehub", String::as_str);
        let (mut params, serial) = params(name, validity)?;
        params.subject_alt_names = CertificateParams::new(hosts)?.subject_alt_names;
        self.sign(params, serial, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a pile: its CN is the pile's code [CONTRACT 1].
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn issue_pile(&self, code: &PileCode, validity: Validity) -> Result<Issued, AuthorityError> {
        let (params, serial) = params(code.as_str(), validity)?;
        self.sign(params, serial, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        serial: String,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<Issued, AuthorityError> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let cert_pem = params.signed_by(&key, &self.0)?.pem();
        Ok(Issued { cert_pem, key_pem: key.serialize_pem(), serial })
    }
}

/// The CN and the serial number of a certificate.
///
/// # Errors
/// [`AuthorityError::NotReadable`].
pub fn name_and_serial(cert_pem: &str) -> Result<(String, String), AuthorityError> {
    use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
    let der = CertificateDer::from_pem_slice(cert_pem.as_bytes()).map_err(|_| AuthorityError::NotReadable)?;
    let cert = PileCert::read(&der).ok_or(AuthorityError::NotReadable)?;
    Ok((cert.common_name, cert.serial.to_string()))
}

fn params(name: &str, validity: Validity) -> Result<(CertificateParams, String), AuthorityError> {
    let mut serial = [0_u8; SERIAL_LEN];
    getrandom::fill(&mut serial)?;
    // A serial number is positive and keeps its length: the first bit is not set, the first byte is not zero.
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let at = |time: Timestamp| {
        date_time_ymd(1970, 1, 1) + Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or_default())
    };
    params.not_before = at(validity.from);
    params.not_after = at(validity.until);
    Ok((params, serial.iter().map(|byte| format!("{byte:02x}")).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validity() -> Validity {
        let at = |s: i64| Timestamp::from_millis(s * 1000).unwrap();
        Validity { from: at(1_763_000_000), until: at(1_863_000_000) }
    }

    #[test]
    fn an_authority_that_was_kept_signs_like_the_one_that_was_made() {
        let (made, kept) = Authority::create("Test CA", validity()).unwrap();
        let opened = Authority::open(&kept.cert_pem, &kept.key_pem).unwrap();
        let code = PileCode::parse("P0001").unwrap();
        for authority in [made, opened] {
            let issued = authority.issue_pile(&code, validity()).unwrap();
            assert_eq!(name_and_serial(&issued.cert_pem).unwrap(), ("P0001".to_owned(), issued.serial));
            assert!(issued.key_pem.contains("PRIVATE KEY"));
        }
        assert!(Authority::open("nonsense", &kept.key_pem).is_err());
        assert!(name_and_serial("nonsense").is_err());
    }

    #[test]
    fn no_key_is_printed() {
        let (_, kept) = Authority::create("Test CA", validity()).unwrap();
        assert!(!format!("{kept:?}").contains("PRIVATE"));
    }
}
