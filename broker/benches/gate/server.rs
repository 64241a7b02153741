//! The servers under test, each a process of its own.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use broker::{
    Acks, BadFrame, Deliver, Gate, GateConfig, GateLimits, Identities, Identity, LinkEvent, Pacing, Tls, TlsFiles, Up,
    UpSink,
    authority::{Authority, Validity},
};
use domain::{AckToken, Clock, PileCode, PileNo, Timestamp};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::generator;

/// The tick of a hub that nobody has configured, in µs.
pub(crate) const PACED_US: u64 = 4_000;
/// A tick that is none: whatever comes is served at once.
pub(crate) const NOT_PACED: u64 = 0;
/// How long the pretended store collects before it commits.
const FLUSH: Duration = Duration::from_millis(5);

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) addr: SocketAddr,
    /// The authority of its certificate, for TLS.
    pub(crate) ca: Option<PathBuf>,
    _config: Option<tempfile::NamedTempFile>,
}

impl Server {
    pub(crate) fn start(kind: &str, tick_us: u64) -> Self {
        match kind {
            "gate" => Self::gate(tick_us, ""),
            "tls" => Self::gate(tick_us, "tls"),
            _ => Self::mosquitto(),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn gate(tick_us: u64, tls: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["serve", &tick_us.to_string(), tls])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let (addr, ca) = line.trim().split_once(' ').unwrap();
        Self { child, addr: addr.parse().unwrap(), ca: Some(PathBuf::from(ca)), _config: None }
    }

    fn mosquitto() -> Self {
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut config = tempfile::NamedTempFile::new().unwrap();
        writeln!(config, "listener {} 127.0.0.1\nallow_anonymous true\nlog_type none\npersistence false", addr.port())
            .unwrap();
        let program =
            ["/usr/sbin/mosquitto", "mosquitto"].into_iter().find(|path| path.len() == 9 || Path::new(path).exists());
        let child = Command::new(program.unwrap()).arg("-c").arg(config.path()).stderr(Stdio::null()).spawn().unwrap();
        while TcpStream::connect(addr).is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        thread::spawn(move || subscribe(addr));
        Self { child, addr, ca: None, _config: Some(config) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have gone by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The one subscriber that gets everything; lives in the generator's process, so it is not counted.
fn subscribe(addr: SocketAddr) {
    let mut socket = TcpStream::connect(addr).unwrap();
    let mut bytes = generator::connect_packet("subscriber", 0);
    bytes.extend_from_slice(b"\x82\x0b\0\x01\0\x06pile/#\0");
    socket.write_all(&bytes).unwrap();
    let mut buffer = vec![0; 256 * 1024];
    while socket.read(&mut buffer).is_ok_and(|len| len > 0) {}
}

#[derive(Debug)]
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Timestamp::from_millis_clamped(since.as_millis().try_into().unwrap())
    }
}

/// A store that forgets: tokens are kept for one flush and given back.
pub(crate) struct Forget {
    tokens: Arc<Mutex<Vec<AckToken>>>,
    writer: thread::Thread,
    asleep: Arc<AtomicBool>,
}

impl Forget {
    pub(crate) fn start(acks: Acks) -> Self {
        let tokens: Arc<Mutex<Vec<AckToken>>> = Arc::default();
        let asleep = Arc::new(AtomicBool::new(true));
        let (queue, sleeping) = (Arc::clone(&tokens), Arc::clone(&asleep));
        let writer = thread::spawn(move || {
            let mut batch = Vec::new();
            loop {
                while sleeping.load(Ordering::Acquire) {
                    thread::park();
                }
                thread::sleep(FLUSH);
                sleeping.store(true, Ordering::Release);
                std::mem::swap(&mut *queue.lock(), &mut batch);
                acks.complete(&mut batch);
            }
        });
        Self { tokens, writer: writer.thread().clone(), asleep }
    }

    fn keep(&self, token: Option<AckToken>) {
        self.tokens.lock().extend(token);
        if self.asleep.swap(false, Ordering::AcqRel) {
            self.writer.unpark();
        }
    }
}

impl UpSink for Forget {
    fn frame(&mut self, up: Up<'_>) -> Deliver {
        self.keep(up.token);
        Deliver::Taken
    }
    fn bad_frame(&mut self, bad: BadFrame<'_>) -> Deliver {
        panic!("the generator sends no bad frames: {bad:?}")
    }
    fn link(&mut self, _: LinkEvent) {}
    fn ready(&self) -> bool {
        true
    }
}

/// A gate that piles P0, P1 … may come to as fast as they can.
pub(crate) fn gate(tick_us: u64, piles: usize) -> Gate {
    let identities = Arc::new(Identities::new(&[7; 32]));
    identities.extend(
        (0..u32::try_from(piles).unwrap())
            .map(|no| {
                let code = PileCode::parse(&format!("P{no}")).unwrap();
                let verifier = identities.verifier_of(&code, generator::SECRET);
                Identity::new(PileNo(no), code, verifier)
            })
            .collect::<Vec<_>>(),
    );
    let pacing = Pacing { tick: Duration::from_micros(tick_us), ..Pacing::default() };
    let limits = GateLimits {
        sockets_per_address_max: 0,
        connects_per_address_per_min_max: 0,
        admissions_per_s_max: 0,
        ..GateLimits::default()
    };
    let config = GateConfig { pacing, limits, connections_max: piles.max(18_000), ..GateConfig::default() };
    Gate::new(config, identities, Arc::new(WallClock))
}

/// Runs a gate until the standard input ends; prints where it listens and where its authority's certificate is.
pub(crate) fn serve(tick_us: u64, over_tls: bool) {
    let gate = gate(tick_us, 18_000);
    let runtime = gate.hot_runtime(|| {}).unwrap();
    let stopper = gate.clone();
    thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        stopper.stop();
    });
    let dir = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = certificates(dir.path());
        println!("{} {}", listener.local_addr().unwrap(), dir.path().join("ca.pem").display());
        let acceptor = gate.clone();
        if over_tls {
            let (hot, listener) = (Handle::current(), listener.into_std().unwrap());
            thread::spawn(move || shake_hands(&acceptor, listener, tls, hot));
        } else {
            tokio::spawn(async move { acceptor.listen(listener).await });
        }
        gate.run(Forget::start(gate.acks())).await;
    });
}

/// On a thread of its own, as the hub does it.
fn shake_hands(gate: &Gate, listener: TcpListener, tls: Tls, hot: Handle) {
    let hands = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    hands.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        gate.listen_tls(listener, tls, hot).await;
    });
}

fn certificates(dir: &Path) -> Tls {
    let now = WallClock.now();
    let validity = Validity { from: now, until: Timestamp::from_millis_clamped(now.as_millis() + 86_400_000) };
    let (authority, kept) = Authority::create("Bench CA", validity).unwrap();
    let gate = authority.issue_gate(&["localhost".to_owned()], validity).unwrap();
    for (name, text) in [("ca.pem", kept.cert_pem), ("gate.pem", gate.cert_pem), ("gate.key", gate.key_pem)] {
        std::fs::write(dir.join(name), text).unwrap();
    }
    let path = |name: &str| dir.join(name);
    let files = TlsFiles { cert: path("gate.pem"), key: path("gate.key"), client_ca: None, revoked: None };
    Tls::open(files).unwrap()
}
