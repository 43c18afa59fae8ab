//! A fan-out: the three loops that are the floor.
//!
//! Each calls the system once per member and does nothing else that costs: no allocation, look-up, lock, reference
//! count or clock read per delivery. Each returns the number of its calls and notes in `lost` the members to close.
//!
//! A call costs some microseconds, whatever it carries up to some kilobytes; so the price of a delivery is the price of
//! the call divided by the messages in it, and the three loops differ in little but that number.

use crate::client::Client;
use std::io::{IoSlice, Write};

/// Bytes that may wait for a member that lags in [`send_each`]: the limit of the hubs it is compared with, 1 MiB.
pub(crate) const LAG_BYTES_MAX: usize = 1 << 20;

/// Writes one frame to every member.
///
/// # Hot path
///
/// Once per message; the body once per delivery: one `write`, so one system call per delivery.
pub(crate) fn write_each(frame: &[u8], clients: &mut [Option<Client>], lost: &mut Vec<usize>) -> u64 {
    let mut calls = 0;
    for (index, client) in members(clients) {
        calls += 1;
        if !client.stream.write(frame).is_ok_and(|written| written == frame.len()) {
            lost.push(index);
        }
    }
    calls
}

/// Writes several frames, each a slice of its own, to every member.
///
/// # Hot path
///
/// Once per K messages; the body once per member: one `writev`, so 1/K system calls per delivery. The kernel walks K
/// slices, at some 30 ns each: what `batch` saves by joining them.
pub(crate) fn writev_each(frames: &[IoSlice<'_>], clients: &mut [Option<Client>], lost: &mut Vec<usize>) -> u64 {
    let len: usize = frames.iter().map(|frame| frame.len()).sum();
    let mut calls = 0;
    for (index, client) in members(clients) {
        calls += 1;
        if !client.stream.write_vectored(frames).is_ok_and(|written| written == len) {
            lost.push(index);
        }
    }
    calls
}

/// Offers all frames of a turn, joined, to every member.
///
/// # Hot path
///
/// Once per turn of the loop; the body once per member: one `send`, so as many system calls per delivery as one divided
/// by the messages of the turn. A member that lags costs a copy of the bytes instead of a call, and is
/// counted all the same.
pub(crate) fn send_each(frames: &[u8], clients: &mut [Option<Client>], lost: &mut Vec<usize>) -> u64 {
    let mut calls = 0;
    for (index, client) in members(clients) {
        calls += 1;
        if !client.offer(frames, LAG_BYTES_MAX) {
            lost.push(index);
        }
    }
    calls
}

/// Returns the clients that have completed the handshake.
fn members(clients: &mut [Option<Client>]) -> impl Iterator<Item = (usize, &mut Client)> {
    let there = clients.iter_mut().enumerate().filter_map(|(index, slot)| Some((index, slot.as_mut()?)));
    there.filter(|(_, client)| client.is_member)
}
