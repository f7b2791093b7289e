//! Short connections between the ends of a wire, as many as its CPUs can make.
//!
//! Each is opened, asks with one octet, is answered with one, and is closed by the client and then by
//! the server. Every pair of a client and a server has a port of its own, so that ports last.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};

use crate::cpus;
use crate::netns::{Link, NEAR_V4, Task};
use crate::services;
use crate::wait::limit;

/// The first server's port.
const PORT: u16 = 7_000;

/// So many pairs, each with so many connections, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Talks {
    /// Clients, and servers.
    pub pairs: u16,
    /// Connections of each pair.
    pub each: u32,
}

impl Talks {
    /// How many connections there will be.
    #[must_use]
    pub fn count(self) -> u64 {
        u64::from(self.pairs) * u64::from(self.each)
    }

    /// Clients on the far side, servers on the near one, each on the next of the CPUs; how long it took.
    /// Afterwards all is said, the last ACK as well.
    ///
    /// # Errors
    /// Where a connection does not go as it should.
    pub fn hold(self, link: &Link, clients: &[usize], servers: &[usize]) -> Result<Duration> {
        let pairs = (0..self.pairs).zip(servers.iter().cycle());
        let servers = pairs
            .map(|(pair, cpu)| self.serve(link, PORT + pair, *cpu))
            .collect::<Result<Vec<_>>>()?;
        let took = link.far.enter(|| self.call(clients))?;
        servers.into_iter().try_for_each(Task::finish)?;
        services::await_closed(&link.near)?;
        services::await_closed(&link.far)?;
        Ok(took)
    }

    fn serve(self, link: &Link, port: u16, cpu: usize) -> Result<Task<()>> {
        let listener = services::listen(&link.near, NEAR_V4, port)?;
        // Its connections have the listener's limits.
        let limit = TimeVal::seconds(i64::try_from(limit().as_secs())?);
        setsockopt(&listener, sockopt::ReceiveTimeout, &limit)?;
        Ok(link.near.spawn(move || {
            cpus::stay_on(cpu)?;
            (0..self.each).try_for_each(|_| answer(&listener))
        }))
    }

    fn call(self, cpus: &[usize]) -> Result<Duration> {
        let begin = Barrier::new(usize::from(self.pairs) + 1);
        thread::scope(|scope| {
            let clients: Vec<_> = (0..self.pairs)
                .zip(cpus.iter().cycle())
                .map(|(pair, cpu)| {
                    let begin = &begin;
                    scope.spawn(move || {
                        let pinned = cpus::stay_on(*cpu);
                        begin.wait();
                        pinned?;
                        (0..self.each).try_for_each(|_| ask(PORT + pair))
                    })
                })
                .collect();
            begin.wait();
            let begun = Instant::now();
            for client in clients {
                let end = client.join();
                end.unwrap_or_else(|_| Err(anyhow!("a client panicked")))?;
            }
            Ok(begun.elapsed())
        })
    }
}

fn answer(listener: &TcpListener) -> Result<()> {
    let (mut stream, _) = listener.accept().context("await a client")?;
    let mut octet = [0];
    stream.read_exact(&mut octet).context("await a question")?;
    stream.write_all(&octet).context("answer")?;
    let more = stream.read(&mut octet).context("await the client's end")?;
    ensure!(more == 0, "a client said more");
    Ok(())
}

fn ask(port: u16) -> Result<()> {
    let mut stream = TcpStream::connect(SocketAddr::new(NEAR_V4, port)).context("connect")?;
    stream.set_read_timeout(Some(limit()))?;
    let mut octet = [7];
    stream.write_all(&octet).context("ask")?;
    stream.read_exact(&mut octet).context("await an answer")
}
