//! What coming in costs: connect + subscribe + first publish, by the tenth of a fleet, and what an idle connection
//! weighs; plain, over TLS 1.3, at mosquitto, and in memory where there are more than a process has sockets.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        client::Resumption,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
        version::TLS13,
    },
};

use crate::{
    generator::{connect_packet, frame, packet, text},
    server::{self, Server},
    system,
};

/// Connections being opened at once.
const OPENING: usize = 64;
/// Loopback addresses to come from.
const SOURCES: usize = 8;

/// The first words of a charger: CONNECT, SUBSCRIBE, one frame with QoS 1.
fn first_words(code: &str) -> [Vec<u8>; 3] {
    let mut body = 1_u16.to_be_bytes().to_vec();
    text(&mut body, &format!("pile/{code}/command"));
    body.push(1);
    [connect_packet(code, 0), packet(0x82, &body), frame(code)]
}

/// Says them, waiting for each answer: CONNACK (4 bytes), SUBACK (5), PUBACK (4).
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(io: &mut S, code: &str) {
    let mut answer = [0; 5];
    for (words, len) in first_words(code).iter().zip([4, 5, 4]) {
        io.write_all(words).await.unwrap();
        io.flush().await.unwrap();
        io.read_exact(&mut answer[..len]).await.unwrap();
    }
}

async fn dial(to: SocketAddr, n: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let from = IpAddr::from([127, 0, 0, 1 + u8::try_from(n % SOURCES).unwrap()]);
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    let stream = socket.connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Opens `count` connections tenth by tenth; CPU of the server per connection in µs, by tenth. They stay open.
fn by_tenth<S, F>(pid: u32, count: usize, open: impl Fn(usize) -> F + Copy) -> (Vec<f64>, Vec<S>)
where
    S: Send + 'static,
    F: Future<Output = S> + Send + 'static,
{
    // The sockets outlive what opened them; nobody polls them any more.
    let runtime = Box::leak(Box::new(tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()));
    let (mut tenths, mut all) = (Vec::new(), Vec::with_capacity(count));
    for tenth in 0..10 {
        let cpu = system::cpu_time(pid);
        runtime.block_on(async {
            let permits = Arc::new(Semaphore::new(OPENING));
            let mut opening = JoinSet::new();
            for n in tenth * count / 10..(tenth + 1) * count / 10 {
                let permit = Arc::clone(&permits).acquire_owned().await.unwrap();
                let one = open(n);
                opening.spawn(async move {
                    let _permit = permit;
                    one.await
                });
            }
            all.extend(opening.join_all().await);
        });
        let cpu = system::cpu_time(pid) - cpu;
        tenths.push(cpu.as_secs_f64() * 1e6 / (count as f64 / 10.0));
    }
    (tenths, all)
}

fn tell(what: &str, tenths: &[f64]) {
    let shown: Vec<String> = tenths.iter().map(|us| format!("{us:.0}")).collect();
    let mean = tenths.iter().sum::<f64>() / tenths.len() as f64;
    let flat = tenths.last().unwrap() / tenths.first().unwrap();
    println!("{what}: mean {mean:.1} µs, last tenth {flat:.2} × the first (by tenth: {})", shown.join(" "));
}

fn weight(what: &str, pid: u32, before: u64, count: usize) {
    thread::sleep(Duration::from_secs(2));
    let each = (system::resident_bytes(pid) - before) as f64 / count as f64 / 1_000.0;
    println!("{what}: {each:.1} KB per idle connection");
}

fn plain(kind: &str, count: usize) {
    let server = Server::start(kind, server::PACED_US);
    let (addr, before) = (server.addr, system::resident_bytes(server.pid()));
    let (tenths, all) = by_tenth(server.pid(), count, move |n| async move {
        let mut stream = dial(addr, n).await;
        talk(&mut stream, &format!("P{n}")).await;
        stream
    });
    tell(&format!("{kind} plain, connect + subscribe + publish, {count}"), &tenths);
    weight(&format!("{kind} plain, {count}"), server.pid(), before, count);
    drop(all);
}

fn trust(ca: &PathBuf) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

fn tls(count: usize) {
    let server = Server::start("tls", server::PACED_US);
    let (addr, before) = (server.addr, system::resident_bytes(server.pid()));
    let connector: &'static TlsConnector = Box::leak(Box::new(trust(server.ca.as_ref().unwrap())));
    let name = || ServerName::try_from("localhost").unwrap();
    let (tenths, all) = by_tenth(server.pid(), count, move |n| async move {
        let mut stream = connector.connect(name(), dial(addr, n).await).await.unwrap();
        talk(&mut stream, &format!("P{n}")).await;
        stream
    });
    tell(&format!("gate TLS 1.3, handshake + connect + subscribe + publish, {count}"), &tenths);
    weight(&format!("gate TLS 1.3, {count}"), server.pid(), before, count);
    drop(all);
    let (tenths, _) = by_tenth(server.pid(), count, move |n| async move {
        let mut stream = connector.connect(name(), dial(addr, n).await).await.unwrap();
        stream.shutdown().await.unwrap();
        // The gate's farewell, or its end.
        let _ = stream.read_u8().await;
    });
    tell(&format!("gate TLS 1.3, handshake alone (P-256), {count}"), &tenths);
    let mean = tenths.iter().sum::<f64>() / tenths.len() as f64;
    println!("gate TLS 1.3: {:.0} handshakes per second and core", 1e6 / mean);
}

/// More connections than a process has sockets: in memory. CPU of the gate's own thread; the chargers are on another.
fn in_memory(count: usize) {
    let gate = server::gate(server::NOT_PACED, count);
    let runtime = gate.hot_runtime(|| {}).unwrap();
    let hot = runtime.handle().clone();
    let (told, thread_of_gate) = mpsc::channel();
    let runner = gate.clone();
    thread::spawn(move || {
        told.send(fs::read_link("/proc/thread-self").unwrap()).unwrap();
        runtime.block_on(async { runner.run(server::Forget::start(runner.acks())).await });
    });
    let stat = Path::new("/proc").join(thread_of_gate.recv().unwrap()).join("schedstat");
    let cpu = || system::run_time(&stat);
    let (before, mut tenths, mut all) =
        (system::resident_bytes(std::process::id()), Vec::new(), Vec::with_capacity(count));
    let chargers = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for tenth in 0..10 {
        let begin = cpu();
        let opened = chargers.block_on(async {
            let permits = Arc::new(Semaphore::new(OPENING));
            let mut opening = JoinSet::new();
            for n in tenth * count / 10..(tenth + 1) * count / 10 {
                let permit = Arc::clone(&permits).acquire_owned().await.unwrap();
                let (gate, hot) = (gate.clone(), hot.clone());
                opening.spawn(async move {
                    let (mut ours, theirs) = tokio::io::duplex(1024);
                    hot.spawn(async move { gate.serve(theirs, SocketAddr::from(([10, 0, 0, 1], 1))) });
                    talk(&mut ours, &format!("P{n}")).await;
                    drop(permit);
                    ours
                });
            }
            opening.join_all().await
        });
        all.extend(opened);
        tenths.push((cpu() - begin).as_secs_f64() * 1e6 / (count as f64 / 10.0));
    }
    tell(&format!("gate in memory, connect + subscribe + publish, {count}"), &tenths);
    let each = (system::resident_bytes(std::process::id()) - before) as f64 / count as f64 / 1_000.0;
    println!("gate in memory, {count}: {each:.1} KB per idle connection, both sides and their pipe");
}

/// Everything about coming in.
pub(crate) fn measure(count: usize) {
    plain("gate", count);
    plain("mosquitto", count);
    tls(count * 5 / 9);
    in_memory(100_000);
}
