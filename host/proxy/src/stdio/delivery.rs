//! [`Delivery`]: notes the end of a large answer's way to its client.
use std::fmt;

/// A large answer on its way to its client. Dropping it, with the body that it is part of, ends that.
pub(crate) struct Delivery {
    end: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Delivery {
    /// Calls `end` when it is dropped.
    pub(crate) fn new(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self { end: Some(Box::new(end)) }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Delivery")
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }
}
