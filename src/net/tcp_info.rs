//! The state of a TCP connection in the kernel: `TCP_INFO` of tcp(7).
//!
//! The one module that needs `unsafe`: no crate in the tree reads this option, and crates that do generate their struct
//! from C headers.
//!
//! # Safety
//!
//! `getsockopt` writes at most as many bytes as its argument says, here the size of the struct. The struct consists of
//! integers, so all zeros are a valid value, and so are any bytes that the kernel writes. An older kernel writes fewer
//! bytes, and the rest stays zero. The descriptor is borrowed, so it is open during the call.
#![expect(unsafe_code, reason = "argued above")]

use crate::hub::sink::Tcp;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Returns the state of a connection; `None` if the socket is not TCP, or closed.
pub(crate) fn query(socket: BorrowedFd<'_>) -> Option<Tcp> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    let (descriptor, value) = (socket.as_raw_fd(), info.as_mut_ptr().cast());
    // SAFETY: see the header; `value` and `len` describe `info`.
    let result = unsafe { libc::getsockopt(descriptor, libc::IPPROTO_TCP, libc::TCP_INFO, value, &raw mut len) };
    // SAFETY: see the header; zeroed integers are initialised.
    let info = unsafe { info.assume_init() };
    (result == 0).then(|| Tcp {
        round_trip: Duration::from_micros(info.tcpi_rtt.into()),
        unsent_bytes: info.tcpi_notsent_bytes,
        unacked_segments: info.tcpi_unacked,
        retransmitted_segments: info.tcpi_total_retrans,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    /// The struct of the C library has the kernel's layout: fields whose values are known have these values.
    #[test]
    fn unsent_bytes_and_round_trips_are_those_of_the_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let since = Instant::now();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _peer = listener.accept().unwrap();
        let quiet = query(stream.as_fd()).unwrap();
        assert_eq!((quiet.unsent_bytes, quiet.unacked_segments, quiet.retransmitted_segments), (0, 0, 0));
        assert!(quiet.round_trip > Duration::ZERO && quiet.round_trip <= since.elapsed());
        stream.set_nonblocking(true).unwrap();
        let mut taken = 0;
        while let Ok(more) = stream.write(&[0; 65_536]) {
            taken += more;
        }
        let full = query(stream.as_fd()).unwrap();
        assert!(0 < full.unsent_bytes && (full.unsent_bytes as usize) < taken, "{full:?} of {taken}");
    }

    #[test]
    fn unix_socket_has_none() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(query(one.as_fd()), None);
    }
}
