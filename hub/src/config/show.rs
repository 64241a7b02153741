//! A configuration as TOML for people, without its secrets.

use super::Config;

/// What stands for a secret.
const MASK: &str = "********";

/// The configuration as TOML; a secret that is set is masked, one that is not stays `""`.
pub(crate) fn masked_toml(config: &Config) -> String {
    let mut config = config.clone();
    for secret in [&mut config.auth.jwt_key, &mut config.auth.master_key, &mut config.payment.sandbox_key] {
        if !secret.is_empty() {
            MASK.clone_into(secret);
        }
    }
    toml::to_string(&config).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_absent_ones_stay_absent() {
        let mut config = Config::default();
        config.auth.jwt_key = "0123456789abcdef0123456789abcdef".to_owned();
        config.auth.master_key = "0123456789abcdef".repeat(4);
        let shown = masked_toml(&config);
        assert!(shown.contains("master_key = \"********\""), "{shown}");
        assert!(shown.contains("jwt_key = \"********\"") && !shown.contains("0123456789abcdef"), "{shown}");
        assert!(shown.contains("sandbox_key = \"\""), "{shown}");
    }
}
