//! The address under which a caller knows the hub, for the absolute links in answers.

use axum::http::{HeaderMap, header};

use crate::config::Http;

/// `http.public_url`, else the caller's own `Host`, else the address the hub listens on; without a slash at the end.
pub(crate) fn public_url(config: &Http, headers: &HeaderMap) -> String {
    if !config.public_url.is_empty() {
        return config.public_url.trim_end_matches('/').to_owned();
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(|host| is_host(host));
    format!("http://{}", host.unwrap_or(&config.listen))
}

/// Only what a host and a port are made of: the header is the caller's and goes into a link.
fn is_host(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    (1..=255).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_address_wins_and_a_strange_host_is_not_repeated() {
        let mut config = Http::default();
        let mut headers = HeaderMap::new();
        assert_eq!(public_url(&config, &headers), "http://127.0.0.1:8080");
        headers.insert(header::HOST, "hub.example:8080".parse().unwrap());
        assert_eq!(public_url(&config, &headers), "http://hub.example:8080");
        headers.insert(header::HOST, "evil\"><script>".parse().unwrap());
        assert_eq!(public_url(&config, &headers), "http://127.0.0.1:8080");
        config.public_url = "https://pile.example/".to_owned();
        assert_eq!(public_url(&config, &headers), "https://pile.example");
    }
}
