//! RFC 6455: the strict, resumable decoder of client frames, and the frames that we send.

pub mod decoder;
pub mod event;
pub mod frame;
pub mod limits;

mod head;
mod message;
mod partial;
#[cfg(test)]
mod tests;
