//! Bounds the answers of an API server, whatever answers at its address: the client library reads an answer to its end, and a
//! watch to the end of a line.
//!
//! | answer | what is bounded |
//! |---|---|
//! | its head | the time until it is there, and the pause that it asks for |
//! | to one question | its size |
//! | a watch | the size of one event, and the time without any: an API server sends bookmarks, and ends a watch itself |
//! | the output of a container | none here: it is passed on as it comes |
use hyper::{
    Request, Response, StatusCode, Uri,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{HeaderMap, RETRY_AFTER},
};
use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};
use tower::{BoxError, Service};

/// The size of an answer to one question: as much as the host reads of an answer of this runtime.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// The size of one event of a watch. A cluster's database keeps no object larger than 1.5 MiB.
const MOST_EVENT_BYTES: usize = 8 * 1024 * 1024;
/// For so long, a watch may be silent. The client library asks an API server to end one after 290 seconds.
const MOST_SILENCE: Duration = Duration::from_secs(330);

/// For so long, the head of an answer is waited for. An API server that has too much to do keeps a request for a minute at most.
const HEAD: Duration = Duration::from_secs(65);
/// The longest pause in seconds that an API server without time may ask for: there is to be time for another attempt, and a
/// request has thirty seconds with all of them.
const MOST_PAUSE: u16 = 10;

tokio::task_local! {
    /// The last answer to a request under way that said that it was to be made again.
    static REFUSED: Cell<Option<StatusCode>>;
}

/// Makes a request, but waits for it no longer than this.
///
/// # Errors
/// It has not ended within this time; the last answer until then is told, if there was one.
pub(crate) async fn within<T>(
    time: Duration,
    request: impl Future<Output = T>,
) -> Result<T, Option<StatusCode>> {
    let bounded = async {
        let ended = tokio::time::timeout(time, request).await;
        ended.map_err(|_| REFUSED.with(Cell::get))
    };
    REFUSED.scope(Cell::new(None), bounded).await
}

/// Notes an answer for [`within`].
fn note(status: StatusCode) {
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        // Nobody waits for a watch in this way, and then there is nothing to note it in.
        let _ = REFUSED.try_with(|refused| refused.set(Some(status)));
    }
}

/// The bounds of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bounds {
    Whole,
    Watch,
    Output,
}

impl Bounds {
    fn of(uri: &Uri) -> Self {
        let is_watch = |option: &str| matches!(option, "watch=true" | "watch=1" | "watch");
        match uri.query() {
            Some(query) if query.split('&').any(is_watch) => Self::Watch,
            _ if uri.path().ends_with("/log") => Self::Output,
            _ => Self::Whole,
        }
    }

    const fn most_bytes(self) -> usize {
        match self {
            Self::Whole => MOST_BYTES,
            Self::Watch => MOST_EVENT_BYTES,
            Self::Output => usize::MAX,
        }
    }
}

/// The reason why an answer is given up.
#[derive(Debug, thiserror::Error)]
enum GivenUp {
    #[error("the answer has more than {most} bytes")]
    TooLong { most: usize },
    #[error("the API server has sent nothing for {} s", MOST_SILENCE.as_secs())]
    Silent,
    #[error("the API server did not answer within {} s", HEAD.as_secs())]
    NoHead,
}

/// A client of HTTP whose answers are bounded.
#[derive(Clone, Debug)]
pub(crate) struct Bounding<S>(pub(crate) S);

impl<S, B> Service<Request<B>> for Bounding<S>
where
    S: Service<Request<B>, Response = Response<Incoming>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<Bounded<Incoming>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let bounds = Bounds::of(request.uri());
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = tokio::time::timeout(HEAD, answer).await.map_err(|_| GivenUp::NoHead)?;
            let mut answer = answer.map_err(Into::<BoxError>::into)?;
            note(answer.status());
            bound_pause(answer.headers_mut());
            Ok(answer.map(|body| Bounded::new(body, bounds)))
        })
    }
}

/// A pause that is asked for becomes a short one.
fn bound_pause(headers: &mut HeaderMap) {
    let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if asked.is_some_and(|seconds| seconds > u64::from(MOST_PAUSE)) {
        headers.insert(RETRY_AFTER, MOST_PAUSE.into());
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct Bounded<B> {
    body: B,
    bounds: Bounds,
    /// The bytes until now; of a watch, those since the last event.
    bytes: usize,
    /// Of a watch: when it has been silent for too long.
    silence: Option<Pin<Box<Sleep>>>,
}

impl<B> Bounded<B> {
    fn new(body: B, bounds: Bounds) -> Self {
        let silence = (bounds == Bounds::Watch).then(|| Box::pin(tokio::time::sleep(MOST_SILENCE)));
        Self { body, bounds, bytes: 0, silence }
    }

    fn count(&mut self, bytes: &[u8]) -> Result<(), GivenUp> {
        let line_end = bytes.iter().rposition(|byte| *byte == b'\n').filter(|_| self.bounds == Bounds::Watch);
        let most = self.bounds.most_bytes();
        self.bytes = match line_end {
            Some(at) => bytes.len() - at - 1,
            _ => self.bytes.saturating_add(bytes.len()),
        };
        if self.bytes > most { Err(GivenUp::TooLong { most }) } else { Ok(()) }
    }
}

impl<B> Body for Bounded<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            let Some(silence) = &mut self.silence else { return Poll::Pending };
            ready!(silence.as_mut().poll(cx));
            return Poll::Ready(Some(Err(GivenUp::Silent.into())));
        };
        if let Some(silence) = &mut self.silence {
            silence.as_mut().reset(Instant::now() + MOST_SILENCE);
        }
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(match frame.data_ref().map_or(Ok(()), |bytes| self.count(bytes)) {
                Ok(()) => Ok(frame),
                Err(why) => Err(why.into()),
            }),
            Some(Err(error)) => Some(Err(error.into())),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(bounds: Bounds, parts: &[&[u8]]) -> bool {
        let mut body = Bounded::new((), bounds);
        parts.iter().all(|part| body.count(part).is_ok())
    }

    #[test]
    fn an_answer_is_bounded_by_what_was_asked() {
        let of = |uri: &str| Bounds::of(&uri.parse().unwrap());
        assert_eq!(of("http://a/api/v1/namespaces/n/pods?limit=500"), Bounds::Whole);
        assert_eq!(of("http://a/api/v1/namespaces/n/pods?&watch=true&timeoutSeconds=290"), Bounds::Watch);
        assert_eq!(of("http://a/api/v1/namespaces/n/pods/p/log?follow=true"), Bounds::Output);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_begins_is_given_up() {
        let silent = |_: Request<()>| std::future::pending::<Result<Response<Incoming>, BoxError>>();
        let mut silent = Bounding(tower::service_fn(silent));
        let error = silent.call(Request::new(())).await.expect_err("there is no answer");
        assert_eq!(error.to_string(), "the API server did not answer within 65 s");
    }

    #[test]
    fn a_pause_that_is_asked_for_is_bounded() {
        for (asked, made) in
            [("1", "1"), ("10", "10"), ("11", "10"), ("86400", "10"), ("tomorrow", "tomorrow")]
        {
            let mut headers = HeaderMap::from_iter([(RETRY_AFTER, asked.parse().unwrap())]);
            bound_pause(&mut headers);
            assert_eq!(headers[RETRY_AFTER], made);
        }
    }

    #[tokio::test]
    async fn a_whole_answer_has_a_size_and_a_watch_only_each_event() {
        let piece = vec![b'x'; 1024 * 1024];
        let pieces = |count: usize| vec![piece.as_slice(); count];
        let (whole, event) = (MOST_BYTES / piece.len(), MOST_EVENT_BYTES / piece.len());
        assert!(counted(Bounds::Whole, &pieces(whole)));
        assert!(!counted(Bounds::Whole, &pieces(whole + 1)));
        assert!(counted(Bounds::Watch, &pieces(event)));
        assert!(!counted(Bounds::Watch, &pieces(event + 1)));
        let events = [pieces(event), vec![b"\n".as_slice()]].concat().repeat(whole);
        assert!(counted(Bounds::Watch, &events), "many events are no long one");
        assert!(counted(Bounds::Output, &pieces(whole + 1)));
    }
}
