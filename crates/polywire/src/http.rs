//! Ordinary HTTP beside the services: what is no call, such as metrics, a page or a file.
//!
//! ```
//! use polywire::{Server, http::{Request, Response}};
//!
//! async fn metrics(_: Request) -> Response {
//!     Response::text("up 1\n")
//! }
//!
//! let server = Server::new().route("/metrics", metrics);
//! ```

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use polywire_core::{BoxFuture, Peer};
use polywire_engine::wire::Headers;

/// A request that is no call.
#[derive(Clone)]
pub struct Request {
    headers: Arc<Headers>,
    /// The body; at most [`Limits::message_bytes_max`](crate::Limits::message_bytes_max) bytes.
    pub body: Bytes,
    /// The other side.
    pub peer: Arc<Peer>,
}

impl Request {
    pub(crate) fn new(headers: Arc<Headers>, body: Bytes, peer: Arc<Peer>) -> Self {
        Self { headers, body, peer }
    }

    /// The method, in capitals.
    pub fn method(&self) -> &str {
        self.field(":method")
    }

    /// The path without the query, as it came.
    pub fn path(&self) -> &str {
        let target = self.field(":path");
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// The query without its question mark, as it came.
    pub fn query(&self) -> &str {
        self.field(":path").split_once('?').map_or("", |(_, query)| query)
    }

    /// `https` under TLS, else `http`. HTTP/2, and a whole URI in the request line, say it themselves.
    pub fn scheme(&self) -> &str {
        self.field(":scheme")
    }

    /// The host that was meant.
    pub fn authority(&self) -> &str {
        self.field(":authority")
    }

    /// The first field of that name, in lower case, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.find(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    pub(crate) fn into_headers(self) -> Arc<Headers> {
        self.headers
    }

    fn field(&self, name: &str) -> &str {
        self.header(name).unwrap_or_default()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method())
            .field("path", &self.path())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The answer to a [`Request`].
#[derive(Clone, Debug)]
pub struct Response {
    status: u16,
    fields: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    body: Bytes,
}

impl Response {
    /// An answer without a body.
    pub fn new(status: u16) -> Self {
        Self { status, fields: Vec::new(), body: Bytes::new() }
    }

    /// 200 with a text.
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self::of("text/plain; charset=utf-8", text)
    }

    /// 200 with a page.
    pub fn html(page: impl Into<Bytes>) -> Self {
        Self::of("text/html; charset=utf-8", page)
    }

    /// 200 with a body of that type.
    pub fn of(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::new(200).header("content-type", content_type).body(body)
    }

    /// Adds a field; the name is in lower case. The length of the body is added by itself.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Status, fields and body as the engine takes them; `head_only` leaves the body out and says its length.
    pub(crate) fn into_parts(self, head_only: bool) -> (u16, Headers, Bytes) {
        let mut fields = Headers::new();
        for (name, value) in &self.fields {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        if !head_only || matches!(self.status, 204 | 304) || fields.find("content-length").is_some() {
            return (self.status, fields, if head_only { Bytes::new() } else { self.body });
        }
        fields.push("content-length", self.body.len().to_string());
        (self.status, fields, Bytes::new())
    }
}

/// Answers requests that are no calls. Every `async fn(Request) -> Response` does.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. Dropping the future cancels it.
    fn handle(&self, request: Request) -> BoxFuture<'static, Response>;
}

impl<F, R> Handler for F
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    fn handle(&self, request: Request) -> BoxFuture<'static, Response> {
        Box::pin(self(request))
    }
}

/// The handlers by path.
#[derive(Default)]
pub(crate) struct Routes {
    /// Path, whether it stands for all paths below it too, handler. The longest path wins.
    routes: Vec<(String, bool, Arc<dyn Handler>)>,
}

impl Routes {
    /// `/path`, or `/path/*` for everything below it. The last handler of a path wins.
    pub(crate) fn add(&mut self, path: &str, handler: Arc<dyn Handler>) {
        let (path, below) = match path.strip_suffix('*') {
            Some(path) => (path, true),
            None => (path, false),
        };
        self.routes.retain(|(known, known_below, _)| (known.as_str(), *known_below) != (path, below));
        self.routes.push((path.to_owned(), below, handler));
        self.routes.sort_by_key(|(path, below, _)| (std::cmp::Reverse(path.len()), *below));
    }

    pub(crate) fn find(&self, path: &str) -> Option<&Arc<dyn Handler>> {
        let fits =
            |(known, below, _): &&(String, bool, _)| known == path || (*below && path.starts_with(known.as_str()));
        self.routes.iter().find(fits).map(|(_, _, handler)| handler)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_that_fits_answers() {
        let mut routes = Routes::default();
        for (path, status) in [("/*", 1), ("/a", 2), ("/a/*", 3), ("/a/b", 4), ("/a", 5)] {
            routes.add(path, Arc::new(move |_: Request| async move { Response::new(status) }));
        }
        let answer = |path: &str| {
            let request = Request::new(Arc::default(), Bytes::new(), Arc::default());
            let mut answer = routes.find(path).unwrap().handle(request);
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            match answer.as_mut().poll(&mut cx) {
                std::task::Poll::Ready(response) => response.status,
                std::task::Poll::Pending => panic!("it waits"),
            }
        };
        for (path, status) in [("/", 1), ("/x/y", 1), ("/a", 5), ("/a/x", 3), ("/a/b", 4)] {
            assert_eq!(answer(path), status, "{path}");
        }
    }
}
