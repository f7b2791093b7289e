//! Real servers inside a namespace: vsftpd, nginx, and listeners of our own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::netns::{Link, NEAR_V4, Namespace};
use crate::process::Background;
use crate::requirement::tool;
use crate::scratch::Scratch;
use crate::wait::{self, limit};

/// The file that the servers serve.
pub const FILE: &str = "file.bin";

/// A server program. It is killed when dropped.
#[derive(Debug)]
pub struct Server {
    // Dropped before the directory that it reads.
    _process: Background,
    _scratch: Scratch,
}

/// Starts vsftpd on port 21, which serves [`FILE`] to anyone.
///
/// # Errors
/// Where it does not come to listen.
pub fn ftp(namespace: &Namespace, content: &[u8]) -> Result<Server> {
    let scratch = Scratch::new()?;
    let (root, empty) = (scratch.file("root"), scratch.file("empty"));
    fs::create_dir(&root)?;
    fs::create_dir(&empty)?;
    fs::write(root.join(FILE), content)?;
    let configuration = [
        "background=NO",
        // A socket of IPv6 takes IPv4 as well.
        "listen_ipv6=YES",
        "anonymous_enable=YES",
        "local_enable=NO",
        "no_anon_password=YES",
        "xferlog_enable=NO",
        // What these keep in lies inside a namespace that we made for it.
        "isolate=NO",
        "isolate_network=NO",
        "seccomp_sandbox=NO",
        &format!("anon_root={}", root.display()),
        &format!("secure_chroot_dir={}", empty.display()),
    ];
    let path = scratch.write("vsftpd.conf", configuration.join("\n") + "\n")?;
    serve(namespace, scratch, "vsftpd", &[&path], 21)
}

/// Starts nginx on port 80, which serves [`FILE`].
///
/// # Errors
/// Where it does not come to listen.
pub fn http(namespace: &Namespace, content: &[u8]) -> Result<Server> {
    let scratch = Scratch::new()?;
    let root = scratch.file("root");
    fs::create_dir(&root)?;
    fs::write(root.join(FILE), content)?;
    let base = scratch.path().display();
    let configuration = format!(
        "daemon off; master_process off; user root; pid {base}/pid; error_log stderr;
         events {{}}
         http {{
           access_log off; keepalive_timeout 60;
           client_body_temp_path {base}/t1; proxy_temp_path {base}/t2; fastcgi_temp_path {base}/t3;
           uwsgi_temp_path {base}/t4; scgi_temp_path {base}/t5;
           server {{ listen 80; listen [::]:80; root {base}/root; }}
         }}"
    );
    let path = scratch.write("nginx.conf", configuration)?;
    let words = [Path::new("-e"), Path::new("stderr"), Path::new("-c"), &path];
    serve(namespace, scratch, "nginx", &words, 80)
}

/// A listener of our own.
///
/// # Errors
/// Where the address cannot be bound.
pub fn listen(namespace: &Namespace, address: IpAddr, port: u16) -> Result<TcpListener> {
    let address = SocketAddr::new(address, port);
    namespace.enter(|| TcpListener::bind(address).with_context(|| format!("listen on {address}")))
}

/// A connection of our own, whose reads and writes take no longer than [`limit`].
///
/// # Errors
/// Where it is not established.
pub fn connect(namespace: &Namespace, address: IpAddr, port: u16) -> Result<TcpStream> {
    let address = SocketAddr::new(address, port);
    namespace.enter(|| {
        let stream = TcpStream::connect_timeout(&address, limit())
            .with_context(|| format!("connect to {address}"))?;
        limited(stream)
    })
}

/// Connections from the far side to the near one, one after the other, each with a question and an
/// answer; the server closes first.
///
/// # Errors
/// Where one of them is not established, or the answer is another.
pub fn talk_shortly(link: &Link, port: u16, connections: usize) -> Result<()> {
    let listener = listen(&link.near, NEAR_V4, port)?;
    let server = link.near.spawn(move || {
        for _ in 0..connections {
            let mut stream = limited(listener.accept()?.0)?;
            let mut question = [0; 8];
            stream.read_exact(&mut question)?;
            stream.write_all(&question)?;
        }
        Ok(())
    });
    for _ in 0..connections {
        let mut stream = connect(&link.far, NEAR_V4, port)?;
        stream.write_all(b"question")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        ensure!(answer == b"question", "the answer was {answer:?}");
    }
    server.finish()
}

/// A stream whose reads and writes take no longer than [`limit`].
///
/// # Errors
/// Where the socket is no more.
pub fn limited(stream: TcpStream) -> Result<TcpStream> {
    stream.set_read_timeout(Some(limit()))?;
    stream.set_write_timeout(Some(limit()))?;
    Ok(stream)
}

/// Octets without a pattern that could hide an exchange of two parts (xorshift, Marsaglia 2003).
#[must_use]
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut octets = Vec::with_capacity(len + 8);
    while octets.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        octets.extend(state.to_le_bytes());
    }
    octets.truncate(len);
    octets
}

fn serve(
    namespace: &Namespace,
    scratch: Scratch,
    program: &str,
    words: &[&Path],
    port: u16,
) -> Result<Server> {
    let path = tool(program).with_context(|| format!("find {program}"))?;
    let process = Background::start(namespace.command(path).args(words))?;
    let server = Server {
        _process: process,
        _scratch: scratch,
    };
    await_listener(namespace, port)
        .with_context(|| format!("{program} said {}", server._process.stderr()))?;
    Ok(server)
}

/// Waits until someone listens on a port.
///
/// # Errors
/// Where nobody does in time.
pub fn await_listener(namespace: &Namespace, port: u16) -> Result<()> {
    wait::until(format!("a listener on port {port}"), || {
        namespace.enter(|| Ok(listens(port).then_some(())))
    })
}

/// Waits until no connection is established or closing any more.
///
/// # Errors
/// Where one stays.
pub fn await_closed(namespace: &Namespace) -> Result<()> {
    let is_over = |socket: &Socket| [LISTEN, SYN_RECV, TIME_WAIT].contains(&socket.state.as_str());
    wait::until("the end of all connections", || {
        namespace.enter(|| Ok(sockets().iter().all(is_over).then_some(())))
    })
}

/// Whether anyone listens on the port in the namespace of the calling thread.
fn listens(port: u16) -> bool {
    sockets()
        .iter()
        .any(|socket| socket.local_port == port && socket.state == LISTEN)
}

/// Octets that arrived from this port of a peer, and that nobody has read yet, in the namespace of
/// the calling thread.
#[must_use]
pub fn unread_from(port: u16) -> u64 {
    let sockets = sockets().into_iter();
    let ours = sockets.filter(|socket| socket.remote_port == port && socket.state == ESTABLISHED);
    ours.map(|socket| socket.unread).sum()
}

/// The kernel's numbers of states.
const ESTABLISHED: &str = "01";
const SYN_RECV: &str = "03";
const TIME_WAIT: &str = "06";
const LISTEN: &str = "0A";

/// A line of the kernel's tables of sockets.
struct Socket {
    local_port: u16,
    remote_port: u16,
    state: String,
    unread: u64,
}

fn sockets() -> Vec<Socket> {
    // `/proc/net` is that of the process' first thread.
    let tables = ["tcp", "tcp6"].map(|table| format!("/proc/thread-self/net/{table}"));
    let tables: Vec<String> = tables.iter().flat_map(fs::read_to_string).collect();
    tables
        .iter()
        .flat_map(|table| table.lines())
        .filter_map(socket)
        .collect()
}

/// Reads `sl local:port remote:port state unsent:unread …`, all in hexadecimal; `None` of the head.
fn socket(line: &str) -> Option<Socket> {
    let mut words = line.split_whitespace().skip(1);
    let port = |word: &str| u16::from_str_radix(word.rsplit_once(':')?.1, 16).ok();
    Some(Socket {
        local_port: port(words.next()?)?,
        remote_port: port(words.next()?)?,
        state: words.next()?.to_owned(),
        unread: u64::from_str_radix(words.next()?.rsplit_once(':')?.1, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernels_table_of_sockets() {
        let line = "   1: 0101010A:0050 0201010A:CBB0 01 00000000:00001F40 00:00000000 00000000 0";
        let socket = socket(line).unwrap();
        assert_eq!((socket.local_port, socket.remote_port), (80, 52144));
        assert_eq!((socket.state.as_str(), socket.unread), (ESTABLISHED, 8000));
    }
}
