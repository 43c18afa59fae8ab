//! The peers: the other ends of a bench's sockets, held by a child process since descriptors per process are limited.
//!
//! The child is this very program, started anew. It sleeps while the bench measures, and reads when it is told to.

use socket2::SockRef;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use throng::net::socket::Socket;
use tokio::net::{TcpListener, TcpStream};

/// The first argument of the child; its address and the number of sockets follow.
const CHILD: &str = "hold-peers";

/// Time for bytes to arrive that a write has taken: on loopback they are there already.
const PATIENCE: Duration = Duration::from_secs(10);

/// Descriptors of a process besides the sockets.
const SPARE: usize = 64;

/// Sockets of this process, and the child that holds their other ends.
#[derive(Debug)]
pub(crate) struct Peers {
    child: Child,
    /// Closing it ends the child.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub(crate) servers: Vec<Arc<Socket>>,
}

impl Peers {
    /// Becomes the child if this process was started as one. The first thing that a bench does.
    pub(crate) fn hold_if_asked() -> io::Result<bool> {
        let arguments: Vec<_> = std::env::args().collect();
        let [_, role, address, count] = &arguments[..] else { return Ok(false) };
        if role != CHILD {
            return Ok(false);
        }
        hold(address.parse().map_err(io::Error::other)?, count.parse().map_err(io::Error::other)?)?;
        Ok(true)
    }

    /// Returns whether this process may open that many sockets.
    pub(crate) fn may_have(count: usize) -> bool {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        limit.is_none_or(|limit| (count + SPARE) as u64 <= limit)
    }

    /// Connects that many sockets.
    pub(crate) async fn connect(count: usize) -> io::Result<Self> {
        Self::connect_as(count, Socket::plain).await
    }

    /// Connects that many sockets of a kind.
    pub(crate) async fn connect_as(count: usize, kind: impl Fn(TcpStream) -> Socket) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut child = Command::new(std::env::current_exe()?)
            .args([CHILD, &listener.local_addr()?.to_string(), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        let answers = BufReader::new(answers.expect("it is piped"));
        let mut servers = Vec::with_capacity(count);
        for _ in 0..count {
            let server = listener.accept().await?.0;
            server.set_nodelay(true)?;
            servers.push(Arc::new(kind(server)));
        }
        Ok(Self { child, orders, answers, servers })
    }

    /// Reads what the peers got, which has to be that many bytes in all.
    pub(crate) fn drain(&mut self, bytes: usize) {
        let orders = self.orders.as_mut().expect("the child lives as long as this");
        let mut answer = String::new();
        writeln!(orders, "{bytes}").expect("the child reads");
        self.answers.read_line(&mut answer).expect("the child answers");
        assert_eq!(answer.trim(), bytes.to_string(), "nothing is lost, nothing comes twice");
    }

    /// The floor: one write of the frames to each of these sockets, and nothing else.
    pub(crate) fn write(&self, sockets: impl Iterator<Item = usize>, frame: &[u8], messages: usize) {
        let slices = vec![io::IoSlice::new(frame); messages];
        for socket in sockets {
            let socket = SockRef::from(&*self.servers[socket]);
            let sent = if messages == 1 { socket.send(frame) } else { socket.send_vectored(&slices) };
            assert_eq!(sent.ok(), Some(frame.len() * messages));
        }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.orders = None;
        // It ends by itself; a bench that panics has more to say than how its child ended.
        drop(self.child.wait());
    }
}

/// The child: connects, then reads as many bytes as each line asks for, and answers with how many came.
fn hold(address: SocketAddr, count: usize) -> io::Result<()> {
    let peers = (0..count).map(|_| {
        let peer = StdStream::connect(address)?;
        peer.set_nonblocking(true)?;
        Ok(peer)
    });
    let peers = peers.collect::<io::Result<Vec<_>>>()?;
    let mut scratch = vec![0; 1 << 16];
    for line in io::stdin().lines() {
        let wanted: usize = line?.trim().parse().map_err(io::Error::other)?;
        let (mut taken, asked) = (0, Instant::now());
        while taken < wanted && asked.elapsed() < PATIENCE {
            for peer in &peers {
                taken += read_all(peer, &mut scratch)?;
            }
        }
        writeln!(io::stdout(), "{taken}")?;
    }
    Ok(())
}

fn read_all(mut peer: &StdStream, scratch: &mut [u8]) -> io::Result<usize> {
    let mut total = 0;
    loop {
        match peer.read(scratch) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(taken) => total += taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(total),
            Err(error) => return Err(error),
        }
    }
}
