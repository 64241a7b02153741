//! The TLS listener: takes sockets as long as there is room for their handshakes, and hands those that are through to
//! the gate.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_rustls::server::TlsStream;

use super::{
    PileCert, Tls,
    hop::Hop,
    keeper::Found,
    verifier::{is_of_certificate, why},
};
use crate::{
    gate::{Gate, turn_away},
    limits::{CERTIFICATES_LOOK_EVERY, HANDSHAKE_WITHIN},
    names,
    sink::DownCause,
};

/// The label of a handshake that came to its end.
const DONE: &str = "done";

/// See the module. Runs until the gate is stopped.
pub(crate) async fn listen(gate: &Gate, listener: TcpListener, tls: Tls, hot: Handle) {
    let watching = tokio::spawn(watch(gate.clone(), tls.clone()));
    let hands_max = usize::try_from(gate.shared().config.limits.handshakes_max.max(1)).unwrap_or(usize::MAX);
    let hands_max = hands_max.min(Semaphore::MAX_PERMITS);
    let hands = Arc::new(Semaphore::new(hands_max));
    // Without a free hand nobody is taken in: whoever comes waits in the system's queue.
    let hand = || Arc::clone(&hands).acquire_owned();
    let taken = |hands_free: usize| u32::try_from(hands_max.saturating_sub(hands_free + 1)).unwrap_or(u32::MAX);
    gate.accept_each(&listener, hand, |socket, peer, hand| {
        // Nobody ever closes the semaphore.
        if let Ok(hand) = hand {
            let others = taken(hands.available_permits());
            take_in(gate, &tls, &hot, Comer { socket, peer, hand, others });
        }
    })
    .await;
    watching.abort();
}

/// A socket whose handshake may begin.
struct Comer {
    socket: TcpStream,
    peer: SocketAddr,
    hand: OwnedSemaphorePermit,
    /// Handshakes there are beside its own.
    others: u32,
}

fn take_in(gate: &Gate, tls: &Tls, hot: &Handle, comer: Comer) {
    let Comer { socket, peer, hand, others } = comer;
    let shared = gate.shared();
    if !gate.lets_come(peer) {
        return;
    }
    if let Err(crowded) = shared.guard.shakes(peer.ip(), others, shared.stopwatch.now()) {
        shared.guard.leave(peer.ip(), true);
        return turn_away(peer, crowded.as_str());
    }
    let (gate, tls, hot) = (gate.clone(), tls.clone(), hot.clone());
    tokio::spawn(async move {
        let shaken = timeout(HANDSHAKE_WITHIN, shake(&tls, socket)).await;
        gate.shared().guard.shaken(peer.ip());
        drop(hand);
        let outcome = match shaken {
            Err(_elapsed) => "timeout",
            Ok(Err(error)) => {
                let why = why(&error);
                tracing::debug!(%peer, why, %error, "no handshake");
                if is_of_certificate(why) {
                    tracing::warn!(target: "audit", %peer, why, "certificate refused");
                    gate.shared().certificate_refused(peer, why, gate.shared().stopwatch.now());
                }
                why
            }
            Ok(Ok(stream)) => {
                hand_over(&gate, &tls, &hot, stream, peer);
                DONE
            }
        };
        if outcome != DONE {
            gate.shared().guard.leave(peer.ip(), true);
        }
        metrics::counter!(names::HANDSHAKES, "outcome" => outcome).increment(1);
    });
}

async fn shake(tls: &Tls, socket: TcpStream) -> std::io::Result<TlsStream<Hop>> {
    socket.set_nodelay(true)?;
    tls.acceptor().accept(Hop::new(socket)).await
}

/// Lets the conversation begin on the hot thread.
fn hand_over(gate: &Gate, tls: &Tls, hot: &Handle, mut stream: TlsStream<Hop>, peer: SocketAddr) {
    let cert = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|cert| PileCert::read(cert));
    // The verifier has read it; should it not be readable, it is nobody's.
    let cert =
        cert.map(|cert| Box::new(PileCert { denied: Some(tls.denied()), ..cert.unwrap_or_else(PileCert::nobody) }));
    let moved = stream.get_mut().0.leave();
    let gate = gate.clone();
    hot.spawn(async move {
        match moved.and_then(|socket| stream.get_mut().0.enter(socket)) {
            Ok(()) => gate.enter(stream, peer, None, cert),
            Err(error) => {
                tracing::debug!(%peer, %error, "a connection ended after its handshake");
                gate.shared().guard.leave(peer.ip(), true);
            }
        }
    });
}

/// Reads certificates again when they change, and ends connections whose certificate was revoked.
async fn watch(gate: Gate, tls: Tls) {
    let mut looks = interval(CERTIFICATES_LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    metrics::gauge!(names::CERTIFICATE_ENDS).set(seconds(tls.ends()));
    loop {
        looks.tick().await;
        let looking = tls.clone();
        let Ok(found) = tokio::task::spawn_blocking(move || looking.look()).await else { continue };
        tell(&gate, found);
    }
}

fn tell(gate: &Gate, found: Found) {
    match found.certificate {
        None => {}
        Some(Ok(ends)) => {
            metrics::counter!(names::CERTIFICATES, "outcome" => "loaded").increment(1);
            metrics::gauge!(names::CERTIFICATE_ENDS).set(seconds(ends));
            tracing::info!(ends, "the certificate was read again");
        }
        Some(Err(error)) => {
            metrics::counter!(names::CERTIFICATES, "outcome" => "failed").increment(1);
            tracing::error!(%error, "the certificate cannot be used, the one before stays");
        }
    }
    match found.revoked {
        None => {}
        Some(Ok(len)) => {
            tracing::info!(len, "the list of revoked certificates was read again");
            gate.shared().registry.for_each(|conn| {
                if conn.cert.as_ref().is_some_and(|cert| cert.is_denied()) {
                    conn.close(DownCause::Revoked);
                }
            });
        }
        Some(Err(error)) => {
            tracing::error!(%error, "the list of revoked certificates cannot be used, the one before stays")
        }
    }
}

/// For a gauge. The largest value stands for "never".
#[allow(clippy::as_conversions, reason = "a gauge is a float; seconds since 1970 are far below 2^53")]
fn seconds(at: i64) -> f64 {
    at as f64
}
