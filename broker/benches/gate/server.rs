//! The servers under test, each a process of its own.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use broker::{Acks, BadFrame, Deliver, Gate, GateConfig, Identities, Identity, LinkEvent, Pacing, Up, UpSink};
use domain::{AckToken, Clock, PileCode, PileNo, Timestamp};
use parking_lot::Mutex;

use crate::generator;

/// How long the pretended store collects before it commits.
const FLUSH: Duration = Duration::from_millis(5);

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) addr: SocketAddr,
    _config: Option<tempfile::NamedTempFile>,
}

impl Server {
    pub(crate) fn start(kind: &str, tick_us: u64) -> Self {
        if kind == "gate" { Self::gate(tick_us) } else { Self::mosquitto() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn gate(tick_us: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["serve", &tick_us.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { child, addr: line.trim().parse().unwrap(), _config: None }
    }

    fn mosquitto() -> Self {
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut config = tempfile::NamedTempFile::new().unwrap();
        writeln!(config, "listener {} 127.0.0.1\nallow_anonymous true\nlog_type none\npersistence false", addr.port())
            .unwrap();
        let program = ["/usr/sbin/mosquitto", "mosquitto"]
            .into_iter()
            .find(|path| path.len() == 9 || std::path::Path::new(path).exists());
        let child = Command::new(program.unwrap()).arg("-c").arg(config.path()).stderr(Stdio::null()).spawn().unwrap();
        while TcpStream::connect(addr).is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        thread::spawn(move || subscribe(addr));
        Self { child, addr, _config: Some(config) }
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
struct Forget {
    tokens: Arc<Mutex<Vec<AckToken>>>,
    writer: thread::Thread,
    asleep: Arc<AtomicBool>,
}

impl Forget {
    fn start(acks: Acks) -> Self {
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

/// Runs a gate until the standard input ends.
pub(crate) fn serve(tick_us: u64) {
    let identities = Arc::new(Identities::new(&[7; 32]));
    let mut code = String::new();
    for no in 0..18_000_u32 {
        code.clear();
        write!(code, "P{no}").unwrap();
        let code = PileCode::parse(&code).unwrap();
        let verifier = identities.verifier_of(&code, generator::SECRET);
        identities.insert(Identity::new(PileNo(no), code, verifier));
    }
    let pacing = Pacing { tick: Duration::from_micros(tick_us), ..Pacing::default() };
    let gate = Gate::new(GateConfig { pacing, ..GateConfig::default() }, identities, Arc::new(WallClock));
    let runtime = gate.hot_runtime(|| {}).unwrap();
    let stopper = gate.clone();
    thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        stopper.stop();
    });
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let acceptor = gate.clone();
        tokio::spawn(async move { acceptor.listen(listener).await });
        gate.run(Forget::start(gate.acks())).await;
    });
}
