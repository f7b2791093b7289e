//! Clients that talk to a server all the time, and remember what came of it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, getsockname, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};
use synfin_tests::netns::{Link, NEAR_V4, Task};
use synfin_tests::services;

use super::times::{Span, now_ns};

/// Clients at once, and as many servers.
const CLIENTS: usize = 24;
/// Between two talks of a client.
const PAUSE: Duration = Duration::from_millis(25);
/// For how long a client of every fourth connection says nothing, so that there are always some open.
const SILENCE: Duration = Duration::from_secs(1);
/// How long either side waits for the other one, in seconds.
const PATIENCE_S: i64 = 3;

const PORT: u16 = 7;
/// Nobody listens there.
const CLOSED_PORT: u16 = 9;

/// What comes of a talk as its client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Question and answer, and both ends closed, first the one of this name.
    Served(&'static str),
    /// There is no such port.
    Refused,
    /// It took too long.
    Failed,
}

/// One attempt of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Talk {
    pub(super) port: u16,
    pub(super) span: Span,
    pub(super) outcome: Outcome,
}

/// All clients and their server.
pub(super) struct Clients {
    enough: Arc<AtomicBool>,
    clients: Vec<Task<Vec<Talk>>>,
    servers: Vec<Task<()>>,
}

impl Clients {
    pub(super) fn start(link: &Link) -> Result<Self> {
        let enough = Arc::new(AtomicBool::new(false));
        let listener = services::listen(&link.near, NEAR_V4, PORT)?;
        listener.set_nonblocking(true)?;
        let mut servers = Vec::new();
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let (listener, ours) = (listener.try_clone()?, Arc::clone(&enough));
            servers.push(link.near.spawn(move || serve(&listener, &ours)));
            let ours = Arc::clone(&enough);
            clients.push(link.far.spawn(move || talk_on(number, &ours)));
        }
        Ok(Self {
            enough,
            clients,
            servers,
        })
    }

    /// Lets them finish; what came of every attempt.
    pub(super) fn stop(mut self) -> Result<Vec<Talk>> {
        self.enough.store(true, Relaxed);
        let mut talks = Vec::new();
        for client in std::mem::take(&mut self.clients) {
            talks.extend(client.finish().context("a client")?);
        }
        for server in std::mem::take(&mut self.servers) {
            server.finish().context("a server")?;
        }
        Ok(talks)
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.enough.store(true, Relaxed);
    }
}

fn serve(listener: &TcpListener, enough: &AtomicBool) -> Result<()> {
    while !enough.load(Relaxed) {
        match listener.accept() {
            // Whoever does not say anything is left alone.
            Ok((stream, _)) => drop(answer(stream)),
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> Result<()> {
    stream.set_nonblocking(false)?;
    limit(&stream)?;
    let mut question = [0; 8];
    stream.read_exact(&mut question)?;
    if question.starts_with(b"client") {
        // Nothing more comes, but for the client's FIN.
        stream.read_to_end(&mut Vec::new())?;
    }
    Ok(stream.write_all(b"answered")?)
}

fn talk_on(number: usize, enough: &AtomicBool) -> Result<Vec<Talk>> {
    let mut talks = Vec::new();
    let mut turn = number;
    while !enough.load(Relaxed) {
        turn += 1;
        talks.push(attempt(turn)?);
        thread::sleep(PAUSE);
    }
    Ok(talks)
}

fn attempt(turn: usize) -> Result<Talk> {
    let closer = ["client", "server"][turn / 2 % 2];
    let to = if turn % 8 == 1 { CLOSED_PORT } else { PORT };
    // Bound first, so that the port is known whatever comes of it.
    let ours = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    bind(ours.as_raw_fd(), &SockaddrIn::new(10, 1, 1, 2, 0)).context("bind a client")?;
    let port = getsockname::<SockaddrIn>(ours.as_raw_fd())?.port();
    let stream = TcpStream::from(ours);
    limit(&stream)?;
    let began_ns = now_ns()?;
    let outcome = match connect(stream.as_raw_fd(), &SockaddrIn::new(10, 1, 1, 1, to)) {
        Ok(()) => ask(stream, closer, turn.is_multiple_of(4))
            .map_or(Outcome::Failed, |()| Outcome::Served(closer)),
        Err(Errno::ECONNREFUSED) => Outcome::Refused,
        Err(_) => Outcome::Failed,
    };
    Ok(Talk {
        port,
        span: (began_ns, now_ns()?),
        outcome,
    })
}

/// Asks, and waits for the answer and the server's end. Of both sides the `closer` closes first.
fn ask(mut stream: TcpStream, closer: &str, silent: bool) -> Result<()> {
    if silent {
        thread::sleep(SILENCE);
    }
    stream.write_all(format!("{closer}: ").as_bytes())?;
    if closer == "client" {
        stream.shutdown(Shutdown::Write)?;
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    (answer == b"answered")
        .then_some(())
        .ok_or_else(|| anyhow!("the answer was {answer:?}"))
}

fn limit(stream: &TcpStream) -> Result<()> {
    let patience = TimeVal::seconds(PATIENCE_S);
    setsockopt(stream, sockopt::ReceiveTimeout, &patience)?;
    Ok(setsockopt(stream, sockopt::SendTimeout, &patience)?)
}
