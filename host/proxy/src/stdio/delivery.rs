//! [`Delivery`]: notes the end of a large text's way to its client.
use bytes::Bytes;

/// A large text on its way to its client. It ends when the last part of it has been written, or was given up with its
/// connection.
pub(crate) struct Delivery {
    text: Bytes,
    end: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Delivery {
    /// The text, with the call of `end` when nothing refers to any part of it any more.
    pub(crate) fn begin(text: Bytes, end: impl FnOnce() + Send + Sync + 'static) -> Bytes {
        Bytes::from_owner(Self { text, end: Some(Box::new(end)) })
    }
}

impl AsRef<[u8]> for Delivery {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }
}
