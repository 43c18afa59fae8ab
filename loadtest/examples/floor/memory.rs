//! A measurement: what a connection that is accepted, watched and otherwise left alone costs in memory.
//!
//! The program connects to itself, so the kernel's figure is for both ends; each is a socket, a descriptor and a file,
//! and the accepted one is registered with epoll on top. The user's figure is this program's list of descriptors,
//! 8 bytes: whatever a server takes beyond that is its own. The figures are slopes between two sizes, so what the
//! program is made of does not count.
//!
//! The kernel does not say whose its objects are: the figure is the machine's, and needs a quiet machine.

use anyhow::{Context, Result, ensure};
use mio::{Interest, Poll, Token};
use std::fs;
use std::io::{Write, stdout};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

/// The first size is this part of the second.
const LOW: usize = 5;

/// Bytes in use now.
#[derive(Clone, Copy, Debug)]
struct Memory {
    rss: f64,
    slab: f64,
    buffers: f64,
}

impl Memory {
    fn now() -> Result<Self> {
        let page = rustix::param::page_size() as f64;
        let rss = number("/proc/self/statm", "", 1)? * page;
        let slab = number("/proc/meminfo", "Slab:", 1)? * 1024.0;
        let buffers = number("/proc/net/sockstat", "TCP:", 10)? * page;
        Ok(Self { rss, slab, buffers })
    }
}

/// Reads the word at `position` of the first line with this start.
fn number(path: &str, start: &str, position: usize) -> Result<f64> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find(|line| line.starts_with(start));
    let word = line.and_then(|line| line.split_ascii_whitespace().nth(position));
    word.with_context(|| format!("{path} has another form"))?.parse().with_context(|| format!("in {path}"))
}

/// Opens this many connections and prints what each costs.
///
/// # Errors
///
/// Fails when there are not two descriptors and a port for each.
pub(crate) fn measure(connections: usize) -> Result<()> {
    let low = connections / LOW;
    ensure!(low > 0, "{connections} connections are too few for a slope; choose at least {LOW}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let poll = Poll::new()?;
    let mut held = Vec::with_capacity(connections);
    let mut sizes = Vec::new();
    writeln!(stdout(), "connections    RSS KiB   slab KiB  TCP buffers KiB")?;
    for size in [low, connections] {
        while held.len() < size {
            let token = Token(held.len());
            held.push(connect(&listener, &poll, token).with_context(|| format!("failed after {token:?}"))?);
        }
        let now = Memory::now()?;
        let [rss, slab, buffers] = [now.rss, now.slab, now.buffers].map(|bytes| bytes / 1024.0);
        writeln!(stdout(), "{size:>11} {rss:>10.0} {slab:>10.0} {buffers:>16.0}")?;
        sizes.push(now);
    }
    let [first, last] = sizes[..] else { return Ok(()) };
    let per_connection = |bytes: f64| bytes / (connections - low) as f64;
    let (user, kernel) = (per_connection(last.rss - first.rss), per_connection(last.slab - first.slab));
    let buffers = per_connection(last.buffers - first.buffers);
    writeln!(stdout(), "per connection: user {user:.0} B; kernel, both ends: slab {kernel:.0} B, TCP {buffers:.0} B")?;
    Ok(())
}

/// Makes one connection and watches the accepted end.
fn connect(listener: &TcpListener, poll: &Poll, token: Token) -> Result<(TcpStream, mio::net::TcpStream)> {
    let near = TcpStream::connect(listener.local_addr()?)?;
    // Closed with a reset: no port is kept for a minute after the measurement.
    socket2::SockRef::from(&near).set_linger(Some(Duration::ZERO))?;
    let (far, _) = listener.accept()?;
    far.set_nonblocking(true)?;
    let mut far = mio::net::TcpStream::from_std(far);
    poll.registry().register(&mut far, token, Interest::READABLE)?;
    Ok((near, far))
}
