//! [`Pieces`]: a text as a body that is given out piece by piece, so that its connection is known to be at it until nearly all
//! of it is written.
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// The bytes of a piece.
const PIECE: usize = 128 * 1024;

/// A text of which a part was given out.
pub(crate) struct Pieces(pub(crate) Bytes);

impl Pieces {
    /// The next piece; `None` at the end.
    pub(crate) fn next_piece(&mut self) -> Option<Bytes> {
        if self.0.len() <= PIECE {
            // Nothing is kept of it here, or its memory would wait for the body's end.
            return Some(std::mem::take(&mut self.0)).filter(|last| !last.is_empty());
        }
        Some(self.0.split_to(PIECE))
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next_piece().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}
