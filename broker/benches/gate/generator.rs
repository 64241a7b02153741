//! Many chargers in one lean process: a thread that sends on schedule, a thread that reads the PUBACKs.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{server::Server, system};

/// The secret of every charger here.
pub(crate) const SECRET: &str = "5f4dcc3b5aa765d61d8327deb882cf99";

/// Chargers that are connected, and what came back to them.
pub(crate) struct Load {
    sockets: Vec<Arc<TcpStream>>,
    frames: Vec<Vec<u8>>,
    start: Instant,
    shared: Arc<Shared>,
    reader: Option<thread::JoinHandle<()>>,
}

struct Shared {
    /// When the frame each charger waits for was due, in ns since the start.
    due: Vec<AtomicU64>,
    pubacks: AtomicUsize,
    /// From due to PUBACK, in µs.
    latencies: Mutex<Vec<u32>>,
    stop: AtomicBool,
}

/// One run.
pub(crate) struct Measured {
    messages: usize,
    cpu: Duration,
    seconds: f64,
    p50_us: u32,
    p99_us: u32,
    max_us: u32,
}

impl Measured {
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.messages as f64
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_s = self.messages as f64 / self.seconds;
        let (cpu, p50, p99) = (self.cpu_us(), f64::from(self.p50_us) / 1e3, f64::from(self.p99_us) / 1e3);
        let max = f64::from(self.max_us) / 1e3;
        write!(f, "{cpu:5.2} µs CPU per message  {per_s:7.0}/s  PUBACK p50 {p50:.2} p99 {p99:.2} max {max:.1} ms")
    }
}

pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut left = body.len();
    loop {
        let low = (left & 0x7f) as u8;
        left >>= 7;
        out.push(if left == 0 { low } else { low | 0x80 });
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

pub(crate) fn connect_packet(code: &str, keep_alive: u16) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x04\xc2".to_vec();
    body.extend_from_slice(&keep_alive.to_be_bytes());
    for field in [code, code, SECRET] {
        text(&mut body, field);
    }
    packet(0x10, &body)
}

/// A heartbeat of about 200 bytes with QoS 1.
pub(crate) fn frame(code: &str) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, &format!("pile/{code}/heartbeat"));
    body.extend_from_slice(&1_u16.to_be_bytes());
    body.extend_from_slice(
        format!(
            r#"{{"pileCode":"{code}","status":1,"voltage":220.1,"current":0,"power":0,"temperature":31.5,"timestamp":1763690000000,"seq":12,"connectors":[{{"connectorId":1,"status":1,"plugged":true,"locked":true}}],"firmware":"1.4.2"}}"#
        )
        .as_bytes(),
    );
    packet(0x32, &body)
}

impl Load {
    pub(crate) fn connect(addr: SocketAddr, connections: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let codes: Vec<String> = (0..connections).map(|no| format!("P{no}")).collect();
        let sockets: Vec<Arc<TcpStream>> = runtime.block_on(async {
            let mut sockets = Vec::new();
            for code in &codes {
                let mut socket = TcpStream::connect(addr).await.unwrap();
                socket.set_nodelay(true).unwrap();
                socket.write_all(&connect_packet(code, 0)).await.unwrap();
                let mut connack = [0; 4];
                socket.read_exact(&mut connack).await.unwrap();
                assert_eq!(connack, [0x20, 2, 0, 0]);
                sockets.push(Arc::new(socket));
            }
            sockets
        });
        let start = Instant::now();
        let shared = Arc::new(Shared {
            due: (0..connections).map(|_| AtomicU64::new(0)).collect(),
            pubacks: AtomicUsize::new(0),
            latencies: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let (readers, told) = (sockets.clone(), Arc::clone(&shared));
        let reader = thread::spawn(move || {
            for (at, socket) in readers.into_iter().enumerate() {
                let told = Arc::clone(&told);
                runtime.spawn(async move { read_pubacks(at, &socket, start, &told).await });
            }
            runtime.block_on(async {
                while !told.stop.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
        });
        let frames = codes.iter().map(|code| frame(code)).collect();
        Self { sockets, frames, start, shared, reader: Some(reader) }
    }

    /// Sends at a rate for a time, each charger in turn, what became due since the last burst together.
    pub(crate) fn run(&self, server: &Server, rate: u32, burst: Duration, length: Duration) -> Measured {
        self.shared.latencies.lock().clear();
        let (cpu, before) = (system::cpu_time(server.pid()), self.shared.pubacks.load(Ordering::Relaxed));
        let begin = Instant::now();
        let total = u64::from(rate) * length.as_secs();
        for n in 0..total {
            let mut due_ns = n * 1_000_000_000 / u64::from(rate);
            if !burst.is_zero() {
                due_ns = due_ns.next_multiple_of(burst.as_nanos() as u64);
            }
            let due = begin + Duration::from_nanos(due_ns);
            if let Some(early) = due.checked_duration_since(Instant::now()) {
                thread::sleep(early);
            }
            let at = n as usize % self.sockets.len();
            self.shared.due[at].store((due - self.start).as_nanos() as u64, Ordering::Release);
            let frame = &self.frames[at];
            // One that cannot be written is one that is not answered: it is missing in the count.
            let _ = self.sockets[at].try_write(frame).is_ok_and(|len| len == frame.len());
        }
        let seconds = begin.elapsed().as_secs_f64();
        let cpu = system::cpu_time(server.pid()) - cpu;
        let messages = self.shared.pubacks.load(Ordering::Relaxed) - before;
        assert!(messages as f64 > total as f64 * 0.98, "only {messages} of {total} came back");
        let mut latencies = self.shared.latencies.lock();
        latencies.sort_unstable();
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
        Measured { messages, cpu, seconds, p50_us: at(0.5), p99_us: at(0.99), max_us: at(1.0) }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

async fn read_pubacks(at: usize, socket: &TcpStream, start: Instant, told: &Shared) {
    let mut buffer = [0; 64];
    loop {
        if socket.readable().await.is_err() {
            return;
        }
        match socket.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => {
                told.pubacks.fetch_add(len / 4, Ordering::Relaxed);
                let waited = start.elapsed().as_nanos() as u64 - told.due[at].load(Ordering::Acquire);
                told.latencies.lock().push((waited / 1_000) as u32);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
