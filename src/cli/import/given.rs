//! A value that is given: what a key says, and where it says it.

/// A value of a key, and the name of the key in the file.
#[derive(Clone, Debug)]
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) name: String,
}
