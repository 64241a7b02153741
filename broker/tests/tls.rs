//! The TLS door: who is let in by a certificate, what is answered to those who are not, and that nobody holds it shut.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code: what is not expected fails the test")]

mod common;

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use broker::{
    Attempt, GateConfig, GateLimits, Tls, TlsFiles,
    authority::{Authority, Issued, Validity},
};
use common::{Charger, Hub, PATIENCE, Told, connect_packet, heartbeat, secret};
use domain::{PileCode, Timestamp};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        AlertDescription, ClientConfig, Error, RootCertStore, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        version::{TLS12, TLS13},
    },
};

/// Two hours in the past, from where certificates are good, and two in the future.
fn validity(from_h: i64, until_h: i64) -> Validity {
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let at = |hours: i64| Timestamp::from_millis(now + hours * 3_600_000).unwrap();
    Validity { from: at(from_h), until: at(until_h) }
}

fn good() -> Validity {
    validity(-2, 2)
}

/// A gate with a TLS door, its authority, and the files of both.
struct Fort {
    hub: Hub,
    authority: Authority,
    ca_pem: String,
    dir: TempDir,
    addr: SocketAddr,
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

impl Fort {
    async fn start() -> Self {
        Self::with(GateConfig::default()).await
    }

    async fn with(config: GateConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (authority, kept) = Authority::create("Test CA", good()).unwrap();
        let gate = authority.issue_gate(&["localhost".to_owned()], good()).unwrap();
        write(dir.path(), "ca.pem", &kept.cert_pem);
        write(dir.path(), "gate.pem", &gate.cert_pem);
        write(dir.path(), "gate.key", &gate.key_pem);
        let files = TlsFiles {
            cert: dir.path().join("gate.pem"),
            key: dir.path().join("gate.key"),
            client_ca: Some(dir.path().join("ca.pem")),
            revoked: Some(dir.path().join("revoked.txt")),
        };
        let tls = Tls::open(files).unwrap();
        let hub = Hub::with(config).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let gate = hub.gate.clone();
        tokio::spawn(async move { gate.listen_tls(listener, tls, Handle::current()).await });
        Self { hub, authority, ca_pem: kept.cert_pem, dir, addr }
    }

    fn issue(&self, code: &str, validity: Validity) -> Issued {
        self.authority.issue_pile(&PileCode::parse(code).unwrap(), validity).unwrap()
    }

    async fn dial_with(
        &self,
        cert: Option<&Issued>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> io::Result<Charger<TlsStream<TcpStream>>> {
        let socket = TcpStream::connect(self.addr).await?;
        let connector = TlsConnector::from(Arc::new(client(&self.ca_pem, cert, versions)));
        let name = ServerName::try_from("localhost").unwrap();
        Ok(Charger::new(connector.connect(name, socket).await?))
    }

    async fn dial(&self, cert: Option<&Issued>) -> Charger<TlsStream<TcpStream>> {
        self.dial_with(cert, &[&TLS13]).await.unwrap()
    }

    /// The alert that answers a certificate.
    async fn alert(&self, cert: &Issued, version: &'static SupportedProtocolVersion) -> AlertDescription {
        let refused = match self.dial_with(Some(cert), &[version]).await {
            Err(error) => error,
            // By TLS 1.3 the client is through before the gate has looked at its certificate.
            Ok(mut charger) => charger.stream.read_u8().await.unwrap_err(),
        };
        match refused.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(Error::AlertReceived(alert)) => *alert,
            _ => panic!("no alert but {refused:?}"),
        }
    }
}

fn client(ca_pem: &str, cert: Option<&Issued>, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match cert {
        None => builder.with_no_client_auth(),
        Some(issued) => {
            let chain = vec![CertificateDer::from_pem_slice(issued.cert_pem.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    }
}

/// The certificate that the gate showed.
fn shown(charger: &Charger<TlsStream<TcpStream>>) -> Vec<u8> {
    charger.stream.get_ref().1.peer_certificates().unwrap()[0].as_ref().to_vec()
}

/// A CONNECT without username and password.
fn nameless(client_id: &str) -> rumqttc::mqttbytes::v4::Connect {
    let mut connect = rumqttc::mqttbytes::v4::Connect::new(client_id);
    connect.keep_alive = 30;
    connect
}

#[tokio::test]
async fn a_pile_with_its_certificate_needs_no_secret_by_tls_1_2_and_1_3() {
    let fort = Fort::start().await;
    let cert = fort.issue("P1", good());
    for (version, epoch) in [(&TLS12, 1), (&TLS13, 2)] {
        let mut charger = fort.dial_with(Some(&cert), &[version]).await.unwrap();
        assert_eq!(charger.login_with(nameless("P1")).await, 0);
        charger.publish("pile/P1/heartbeat", 1, 7, heartbeat(u64::from(epoch))).await;
        assert_eq!(charger.puback().await, 7);
        fort.hub.store.until_told(Told::Up { pile_no: 1, epoch }).await;
    }
}

#[tokio::test]
async fn without_a_certificate_the_secret_is_asked_for() {
    let fort = Fort::start().await;
    let mut charger = fort.dial(None).await;
    assert_eq!(charger.login("P1", &secret("P1")).await, 0);
    charger.ping().await;
    for connect in [nameless("P2"), connect_packet("P2", "P2", "wrong")] {
        assert_eq!(fort.dial(None).await.login_with(connect).await, 4);
    }
}

#[tokio::test]
async fn a_certificate_opens_its_own_pile_only() {
    let fort = Fort::start().await;
    let mut attempts = fort.hub.gate.attempts().unwrap();
    let cert = fort.issue("P1", good());
    for other in [nameless("P2"), connect_packet("P2", "P2", &secret("P2"))] {
        assert_eq!(fort.dial(Some(&cert)).await.login_with(other).await, 5);
        let told = attempts.recv().await.unwrap();
        assert!(matches!(told, Attempt::Certificate { why: "certificate_of_another", .. }), "{told:?}");
    }
    let unknown = fort.issue("P77", good());
    assert_eq!(fort.dial(Some(&unknown)).await.login_with(nameless("P77")).await, 5);
    assert_eq!(fort.hub.store.told(), []);
}

#[tokio::test]
async fn a_bad_certificate_gets_the_right_alert_is_audited_and_has_no_effect() {
    let fort = Fort::start().await;
    let mut attempts = fort.hub.gate.attempts().unwrap();
    let (stranger, _) = Authority::create("Other CA", good()).unwrap();
    let foreign = stranger.issue_pile(&PileCode::parse("P1").unwrap(), good()).unwrap();
    let revoked = fort.issue("P1", good());
    write(fort.dir.path(), "revoked.txt", &format!("{}  # stolen\n", revoked.serial));
    let mut live = fort.dial(None).await;
    assert_eq!(live.login("P1", &secret("P1")).await, 0);
    let (expired, early) = (fort.issue("P1", validity(-2, -1)), fort.issue("P1", validity(1, 2)));
    // By TLS 1.2 the client knows at once whether the list was read again.
    while fort.dial_with(Some(&revoked), &[&TLS12]).await.is_ok() {}
    let cases = [
        (&expired, AlertDescription::CertificateExpired, "certificate_expired"),
        (&early, AlertDescription::CertificateExpired, "certificate_not_yet_valid"),
        (&foreign, AlertDescription::UnknownCA, "certificate_foreign"),
        (&revoked, AlertDescription::CertificateRevoked, "certificate_revoked"),
    ];
    for n in 0..250 {
        for (cert, alert, why) in cases {
            let version = if n % 2 == 0 { &TLS13 } else { &TLS12 };
            assert_eq!(fort.alert(cert, version).await, alert, "{why}, try {n}");
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    while let Ok(Attempt::Certificate { why, .. }) = attempts.try_recv() {
        seen.insert(why);
    }
    assert!(seen.contains("certificate_expired"), "{seen:?}");
    live.ping().await;
    assert_eq!(fort.hub.store.told(), [Told::Up { pile_no: 1, epoch: 1 }]);
}

#[tokio::test]
async fn a_list_of_revoked_ones_that_disappears_makes_none_of_them_good_again() {
    let fort = Fort::start().await;
    let revoked = fort.issue("P1", good());
    write(fort.dir.path(), "revoked.txt", &revoked.serial);
    while fort.dial_with(Some(&revoked), &[&TLS12]).await.is_ok() {}
    std::fs::remove_file(fort.dir.path().join("revoked.txt")).unwrap();
    let fresh = fort.authority.issue_gate(&["localhost".to_owned()], good()).unwrap();
    let first = shown(&fort.dial(None).await);
    write(fort.dir.path(), "gate.key", &fresh.key_pem);
    write(fort.dir.path(), "gate.pem", &fresh.cert_pem);
    // When the new certificate is used, the files were looked at.
    timeout(PATIENCE, async { while shown(&fort.dial(None).await) == first {} }).await.unwrap();
    assert_eq!(fort.alert(&revoked, &TLS13).await, AlertDescription::CertificateRevoked);
}

#[tokio::test]
async fn a_revoked_certificate_ends_its_live_connection_and_no_other() {
    let fort = Fort::start().await;
    let (one, two) = (fort.issue("P1", good()), fort.issue("P2", good()));
    let (mut first, mut second) = (fort.dial(Some(&one)).await, fort.dial(Some(&two)).await);
    assert_eq!(first.login_with(nameless("P1")).await, 0);
    assert_eq!(second.login_with(nameless("P2")).await, 0);
    write(fort.dir.path(), "revoked.txt", &one.serial);
    fort.hub.store.until_told(Told::Down { pile_no: 1, epoch: 1, cause: "revoked", will: false }).await;
    second.ping().await;
}

#[tokio::test]
async fn a_new_certificate_is_used_without_ending_a_session_and_a_broken_one_changes_nothing() {
    let fort = Fort::start().await;
    let mut old = fort.dial(None).await;
    assert_eq!(old.login("P1", &secret("P1")).await, 0);
    let first = shown(&old);
    write(fort.dir.path(), "gate.pem", "no certificate at all");
    let fresh = fort.authority.issue_gate(&["localhost".to_owned()], good()).unwrap();
    for _ in 0..20 {
        assert_eq!(shown(&fort.dial(None).await), first);
    }
    write(fort.dir.path(), "gate.key", &fresh.key_pem);
    write(fort.dir.path(), "gate.pem", &fresh.cert_pem);
    let changed = async { while shown(&fort.dial(None).await) == first {} };
    timeout(PATIENCE, changed).await.expect("the new certificate is not used");
    old.ping().await;
    assert!(fort.hub.store.told().iter().all(|told| !matches!(told, Told::Down { pile_no: 1, .. })));
}

#[tokio::test]
async fn the_end_of_a_connection_is_told_and_not_just_cut() {
    let fort = Fort::start().await;
    let mut first = fort.dial(None).await;
    assert_eq!(first.login("P1", &secret("P1")).await, 0);
    let mut second = fort.dial(None).await;
    assert_eq!(second.login("P1", &secret("P1")).await, 0);
    // Cut off without a farewell, this were an error.
    assert_eq!(first.stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_thousand_idle_sockets_do_not_hold_the_door_shut_and_are_closed_after_a_while() {
    let fort = Fort::start().await;
    let mut idle = Vec::new();
    for n in 0..1_000 {
        let mut socket = TcpStream::connect(fort.addr).await.unwrap();
        // Some begin a handshake and never go on.
        if n % 2 == 0 {
            socket.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
        }
        idle.push(socket);
    }
    let mut charger = fort.dial(None).await;
    assert_eq!(charger.login("P1", &secret("P1")).await, 0);
    charger.ping().await;
    for mut socket in idle {
        let end = timeout(PATIENCE, socket.read_to_end(&mut Vec::new())).await.expect("an idle socket is kept");
        // A reset is an end too.
        let _ = end;
    }
}

#[tokio::test]
async fn an_address_that_opens_sockets_too_fast_gets_no_handshake_and_one_that_failed_counts_no_more() {
    let limits =
        GateLimits { connects_per_address_per_min_max: 40, sockets_per_address_max: 2, ..GateLimits::default() };
    let fort = Fort::with(GateConfig { limits, ..GateConfig::default() }).await;
    for n in 0..20 {
        let mut socket = TcpStream::connect(fort.addr).await.unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let _ = timeout(PATIENCE, socket.read_to_end(&mut Vec::new())).await.unwrap_or_else(|_| panic!("{n} is open"));
    }
    let mut charger = fort.dial(None).await;
    assert_eq!(charger.login("P1", &secret("P1")).await, 0);
    let tries = async { while fort.dial_with(None, &[&TLS13]).await.is_ok() {} };
    timeout(PATIENCE, tries).await.expect("handshakes without end");
    charger.ping().await;
}

#[tokio::test]
async fn other_protocols_on_the_tls_port_are_closed() {
    let fort = Fort::start().await;
    for bytes in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 9, 0, 0], &[0; 512]]
    {
        let mut socket = TcpStream::connect(fort.addr).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        let _ = timeout(Duration::from_secs(4), socket.read_to_end(&mut Vec::new())).await.expect("it is kept open");
    }
    assert_eq!(fort.hub.gate.connections(), 0);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, kept) = Authority::create("Test CA", good()).unwrap();
    let [one, two] = [0, 1].map(|_| authority.issue_gate(&["localhost".to_owned()], good()).unwrap());
    for (name, text) in
        [("a.pem", &one.cert_pem), ("a.key", &one.key_pem), ("b.key", &two.key_pem), ("ca.pem", &kept.cert_pem)]
    {
        write(dir.path(), name, text);
    }
    write(dir.path(), "revoked.txt", "ab\nnot hexadecimal\n");
    let open = |cert: &str, key: &str, ca: Option<&str>, revoked: Option<&str>| {
        let path = |name: &str| dir.path().join(name);
        let files = TlsFiles { cert: path(cert), key: path(key), client_ca: ca.map(path), revoked: revoked.map(path) };
        Tls::open(files).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(open("a.pem", "a.key", Some("ca.pem"), Some("none.txt")), Ok(()));
    for (refused, named) in [
        (open("none.pem", "a.key", None, None), "none.pem"),
        (open("a.key", "a.key", None, None), "a.key"),
        (open("a.pem", "a.pem", None, None), "private key"),
        (open("a.pem", "b.key", None, None), "b.key"),
        (open("a.pem", "a.key", Some("a.key"), None), "a.key"),
        (open("a.pem", "a.key", None, Some("revoked.txt")), "line 2"),
    ] {
        let text = refused.unwrap_err();
        assert!(text.contains(named), "{text}");
    }
}
