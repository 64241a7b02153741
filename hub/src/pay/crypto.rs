//! The keys of payment channels: files in, signatures and opened boxes out. Knows no channel.

use std::{io, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    aead,
    rand::SystemRandom,
    signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey},
};
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer, pem::PemObject};

/// Bytes of WeChat's APIv3 key.
pub(crate) const BOX_KEY_LEN: usize = 32;
/// Tags of the DER that a public key is wrapped in.
const DER_SEQUENCE: u8 = 0x30;
const DER_BIT_STRING: u8 = 0x03;

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PayKeyError {
    #[error("{setting} = \"{path}\": {cause}; name a readable file")]
    File { setting: &'static str, path: String, cause: io::Error },
    #[error("{setting} = \"{path}\" holds no {wanted}")]
    Unreadable { setting: &'static str, path: String, wanted: &'static str },
    #[error("payment.wechat.platform_keys: \"{0}\" is not SERIAL=PATH")]
    NoSerial(String),
}

/// Somebody's public RSA key.
#[derive(Debug)]
pub(crate) struct PublicKey(UnparsedPublicKey<Vec<u8>>);

impl PublicKey {
    /// From a PEM file with a `PUBLIC KEY`.
    pub(crate) fn open(setting: &'static str, path: &str) -> Result<Self, PayKeyError> {
        let wanted = "RSA public key in PEM (\"BEGIN PUBLIC KEY\"); of a certificate: openssl x509 -pubkey -noout";
        let unreadable = || PayKeyError::Unreadable { setting, path: path.to_owned(), wanted };
        let text = read(setting, path)?;
        let der = SubjectPublicKeyInfoDer::from_pem_slice(&text).map_err(|_| unreadable())?;
        let key = rsa_key_of(der.as_ref()).ok_or_else(unreadable)?;
        Ok(Self(UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.to_vec())))
    }

    /// Whether a signature in base64 is this key's over these bytes.
    pub(crate) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        STANDARD.decode(signature).is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}

/// The RSA key inside a `SubjectPublicKeyInfo`: SEQUENCE { algorithm, BIT STRING { 0, key } }.
fn rsa_key_of(spki: &[u8]) -> Option<&[u8]> {
    let (inside, _) = der_value(spki, DER_SEQUENCE)?;
    let (_, after_algorithm) = der_value(inside, DER_SEQUENCE)?;
    let (bits, _) = der_value(after_algorithm, DER_BIT_STRING)?;
    match bits.split_first() {
        Some((0, key)) => Some(key),
        Some(_) | None => None,
    }
}

/// The value of the first element, which must have this tag, and what follows it.
fn der_value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x0f))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// Our own private RSA key.
pub(crate) struct PrivateKey(RsaKeyPair);

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey").finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// From a PEM file with a `PRIVATE KEY` or an `RSA PRIVATE KEY`.
    pub(crate) fn open(setting: &'static str, path: &str) -> Result<Self, PayKeyError> {
        let wanted = "RSA private key of at least 2048 bits in PEM";
        let unreadable = || PayKeyError::Unreadable { setting, path: path.to_owned(), wanted };
        let text = read(setting, path)?;
        let key = match PrivateKeyDer::from_pem_slice(&text).map_err(|_| unreadable())? {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(unreadable()),
        };
        key.map(Self).map_err(|_| unreadable())
    }

    /// Signature in base64; `None` when the system has no random numbers.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<String> {
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
        Some(STANDARD.encode(signature))
    }
}

/// The key of boxes that only we can open: AES-256-GCM.
pub(crate) struct BoxKey(aead::LessSafeKey);

impl std::fmt::Debug for BoxKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoxKey").finish_non_exhaustive()
    }
}

impl BoxKey {
    /// From a file that holds the 32 characters and nothing else but spaces around them.
    pub(crate) fn open(setting: &'static str, path: &str) -> Result<Self, PayKeyError> {
        let wanted = "key of 32 characters";
        let unreadable = || PayKeyError::Unreadable { setting, path: path.to_owned(), wanted };
        Self::new(read(setting, path)?.trim_ascii()).ok_or_else(unreadable)
    }

    fn new(key: &[u8]) -> Option<Self> {
        let key = aead::UnboundKey::new(&aead::AES_256_GCM, key).ok()?;
        Some(Self(aead::LessSafeKey::new(key)))
    }

    /// What is in a box; `None` when it was made with another key or changed on the way.
    pub(crate) fn unseal(&self, nonce: &str, associated: &str, ciphertext: &str) -> Option<Vec<u8>> {
        let mut bytes = STANDARD.decode(ciphertext).ok()?;
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce.as_bytes()).ok()?;
        let plain = self.0.open_in_place(nonce, aead::Aad::from(associated.as_bytes()), &mut bytes).ok()?;
        Some(plain.to_vec())
    }
}

fn read(setting: &'static str, path: &str) -> Result<Vec<u8>, PayKeyError> {
    std::fs::read(Path::new(path)).map_err(|cause| PayKeyError::File { setting, path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_none_is_refused_with_its_setting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        let path = path.to_str().unwrap();
        let missing = PublicKey::open("payment.alipay.alipay_keys", path).unwrap_err().to_string();
        assert!(missing.contains("payment.alipay.alipay_keys") && missing.contains(path), "{missing}");
        for junk in ["", "hello", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            std::fs::write(path, junk).unwrap();
            assert!(PublicKey::open("x", path).is_err() && PrivateKey::open("x", path).is_err());
            assert!(BoxKey::open("x", path).is_err());
        }
        std::fs::write(path, format!("{}\n", "k".repeat(BOX_KEY_LEN))).unwrap();
        assert!(BoxKey::open("x", path).is_ok());
    }

    #[test]
    fn a_box_opens_only_as_it_was_closed() {
        let key = BoxKey::new(&[7; BOX_KEY_LEN]).unwrap();
        let mut bytes = b"money".to_vec();
        let nonce = aead::Nonce::try_assume_unique_for_key(b"twelve bytes").unwrap();
        key.0.seal_in_place_append_tag(nonce, aead::Aad::from(b"transaction"), &mut bytes).unwrap();
        let sealed = STANDARD.encode(&bytes);
        assert_eq!(key.unseal("twelve bytes", "transaction", &sealed).as_deref(), Some(b"money".as_slice()));
        assert_eq!(key.unseal("twelve bytes", "refund", &sealed), None);
        assert_eq!(key.unseal("twelve bytez", "transaction", &sealed), None);
        assert_eq!(key.unseal("short", "transaction", &sealed), None);
        assert_eq!(BoxKey::new(&[8; BOX_KEY_LEN]).unwrap().unseal("twelve bytes", "transaction", &sealed), None);
    }

    #[test]
    fn lengths_of_der_beyond_the_bytes_are_no_key() {
        for junk in [&b""[..], b"\x30", b"\x30\x81", b"\x30\x05\x30\x00", b"\x30\x84\x00\x00\x00\x01\x00"] {
            assert_eq!(rsa_key_of(junk), None);
        }
        assert_eq!(rsa_key_of(b"\x30\x08\x30\x00\x03\x81\x03\x00\x01\x02\x00"), Some(&b"\x01\x02"[..]));
    }
}
