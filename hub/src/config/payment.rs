//! The settings of payment channels.

use serde::{Deserialize, Serialize};

/// Payment channels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payment {
    /// Key of the sandbox channel's signatures; `""`: random, kept in the data directory.
    pub(crate) sandbox_key: String,
    /// A callback over this is believed only when the channel says the same when asked, in fen; `0`: never asked.
    pub(crate) confirm_over_fen: i64,
    /// Seconds after which a payment can be paid no more.
    pub(crate) expires_s: u32,
    /// Seconds before a refund that the channel refused is sent again; the next pauses are longer.
    pub(crate) refund_retry_s: u32,
    /// Refusals after which a person decides.
    pub(crate) refund_tries_max: u32,
    pub(crate) wechat: Wechat,
    pub(crate) alipay: Alipay,
}

/// A channel in the form of WeChat Pay v3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wechat {
    /// The merchant; `""`: the channel is off.
    pub(crate) mch_id: String,
    pub(crate) app_id: String,
    /// Serial number of the merchant's certificate.
    pub(crate) serial: String,
    /// Path of the merchant's private key.
    pub(crate) private_key_file: String,
    /// Path of a file with the APIv3 key.
    pub(crate) api_key_file: String,
    /// `SERIAL=PATH` of each public key that may sign.
    pub(crate) platform_keys: Vec<String>,
    pub(crate) base_url: String,
}

/// A channel in the form of Alipay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Alipay {
    /// The app; `""`: the channel is off.
    pub(crate) app_id: String,
    /// Who is paid.
    pub(crate) seller_id: String,
    /// Path of the app's private key.
    pub(crate) private_key_file: String,
    /// Path of each public key that may sign.
    pub(crate) alipay_keys: Vec<String>,
    pub(crate) base_url: String,
}

impl Wechat {
    pub(crate) const fn is_on(&self) -> bool {
        !self.mch_id.is_empty()
    }
}

impl Alipay {
    pub(crate) const fn is_on(&self) -> bool {
        !self.app_id.is_empty()
    }
}

impl Default for Payment {
    fn default() -> Self {
        Self {
            sandbox_key: String::new(),
            confirm_over_fen: 0,
            expires_s: 7_200,
            refund_retry_s: 60,
            refund_tries_max: 5,
            wechat: Wechat::default(),
            alipay: Alipay::default(),
        }
    }
}

impl Default for Wechat {
    fn default() -> Self {
        Self {
            mch_id: String::new(),
            app_id: String::new(),
            serial: String::new(),
            private_key_file: String::new(),
            api_key_file: String::new(),
            platform_keys: Vec::new(),
            base_url: "https://api.mch.weixin.qq.com".to_owned(),
        }
    }
}

impl Default for Alipay {
    fn default() -> Self {
        Self {
            app_id: String::new(),
            seller_id: String::new(),
            private_key_file: String::new(),
            alipay_keys: Vec::new(),
            base_url: "https://openapi.alipay.com".to_owned(),
        }
    }
}
