//! The keys of the simulated channels and of the merchant they deal with, as files that a hub can be given.

use std::path::Path;

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    aead,
    rand::{SecureRandom as _, SystemRandom},
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey},
};
use rsa::{
    RsaPrivateKey,
    pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding},
    rand_core::OsRng,
};

use super::{Channel, MERCHANT_SERIAL, NEXT_SERIAL, PLATFORM_SERIAL, Signer};

/// Bits of every key.
const BITS: usize = 2048;

/// An RSA key with both of its halves as PEM.
#[derive(Debug)]
pub struct Pair {
    signing: RsaKeyPair,
    private_pem: String,
    public_pem: String,
}

impl Pair {
    /// A new key.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn generate() -> anyhow::Result<Self> {
        let key = RsaPrivateKey::new(&mut OsRng, BITS)?;
        let der = key.to_pkcs8_der()?;
        let signing = RsaKeyPair::from_pkcs8(der.as_bytes()).map_err(|error| anyhow::anyhow!("{error}"))?;
        let private_pem = key.to_pkcs8_pem(LineEnding::LF)?.to_string();
        let public_pem = key.to_public_key().to_public_key_pem(LineEnding::LF)?;
        Ok(Self { signing, private_pem, public_pem })
    }

    /// SHA256withRSA, in base64.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn sign(&self, message: &[u8]) -> anyhow::Result<String> {
        let mut signature = vec![0; self.signing.public().modulus_len()];
        let signed = self.signing.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
        signed.map_err(|_| anyhow::anyhow!("no random numbers to sign with"))?;
        Ok(STANDARD.encode(signature))
    }

    /// Whether this key signed it.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.signing.public_key().as_ref());
        STANDARD.decode(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
    }
}

/// Everybody's keys.
#[derive(Debug)]
pub struct Keys {
    /// WeChat signs with it.
    pub platform: Pair,
    /// WeChat signs with it after a change.
    pub next: Pair,
    /// Alipay signs with it.
    pub alipay: Pair,
    /// The merchant signs with it to both.
    pub merchant: Pair,
    /// Nobody's.
    pub stranger: Pair,
    /// WeChat's APIv3 key of the merchant.
    pub api_key: String,
}

/// Where the keys lie that a hub needs: its settings, key and value.
pub type Settings = Vec<(String, String)>;

impl Keys {
    /// New keys.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn generate() -> anyhow::Result<Self> {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow::anyhow!("no random numbers"))?;
        Ok(Self {
            platform: Pair::generate()?,
            next: Pair::generate()?,
            alipay: Pair::generate()?,
            merchant: Pair::generate()?,
            stranger: Pair::generate()?,
            api_key: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// Writes what a hub needs into a directory; answers the settings that open both channels at `base_url`.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn write(&self, dir: &Path, base_url: &str) -> anyhow::Result<Settings> {
        let file = |name: &str, text: &str| -> anyhow::Result<String> {
            let path = dir.join(name);
            std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            Ok(path.display().to_string())
        };
        let merchant = file("merchant.key", &self.merchant.private_pem)?;
        let api_key = file("apiv3.key", &self.api_key)?;
        let platform = file("wechat.pem", &self.platform.public_pem)?;
        let next = file("wechat-next.pem", &self.next.public_pem)?;
        let alipay = file("alipay.pem", &self.alipay.public_pem)?;
        let settings = [
            ("payment.wechat.mch_id", super::MCH_ID.to_owned()),
            ("payment.wechat.app_id", super::WECHAT_APP.to_owned()),
            ("payment.wechat.serial", MERCHANT_SERIAL.to_owned()),
            ("payment.wechat.private_key_file", merchant.clone()),
            ("payment.wechat.api_key_file", api_key),
            ("payment.wechat.platform_keys", format!("{PLATFORM_SERIAL}={platform},{NEXT_SERIAL}={next}")),
            ("payment.wechat.base_url", base_url.to_owned()),
            ("payment.alipay.app_id", super::ALIPAY_APP.to_owned()),
            ("payment.alipay.seller_id", super::SELLER_ID.to_owned()),
            ("payment.alipay.private_key_file", merchant),
            ("payment.alipay.alipay_keys", alipay),
            ("payment.alipay.base_url", base_url.to_owned()),
        ];
        Ok(settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    pub(super) const fn signer(&self, signer: Signer, channel: Channel) -> &Pair {
        match (signer, channel) {
            (Signer::Channel, Channel::Wechat) => &self.platform,
            (Signer::Next, _) => &self.next,
            (Signer::Channel, Channel::Alipay) => &self.alipay,
            (Signer::Stranger, _) => &self.stranger,
        }
    }

    /// Seals a box as WeChat does; in base64.
    pub(super) fn seal(&self, nonce: &[u8; 12], associated: &str, plain: &str) -> anyhow::Result<String> {
        let unusable = |_| anyhow::anyhow!("the APIv3 key cannot be used");
        let key = aead::UnboundKey::new(&aead::AES_256_GCM, self.api_key.as_bytes()).map_err(unusable)?;
        let mut bytes = plain.as_bytes().to_vec();
        aead::LessSafeKey::new(key)
            .seal_in_place_append_tag(
                aead::Nonce::assume_unique_for_key(*nonce),
                aead::Aad::from(associated.as_bytes()),
                &mut bytes,
            )
            .map_err(unusable)?;
        Ok(STANDARD.encode(bytes))
    }
}

/// Letters nobody can guess.
pub(super) fn nonce<const N: usize>() -> anyhow::Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789A";
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow::anyhow!("no random numbers"))?;
    let letter = |byte: u8| LETTERS.get(usize::from(byte & 31)).map_or('a', |letter| char::from(*letter));
    Ok(bytes.into_iter().map(letter).collect())
}
