//! A server as a part of an application that has its own: axum, hyper, or whatever takes a [`tower_service::Service`].
//!
//! ```
//! # fn mount<S: polywire::Service>(greeter: S) -> Result<(), polywire::ListenError> {
//! let calls = polywire::Server::new().add(greeter).start()?.into_service();
//! # let _ = calls;
//! // With axum: Router::new().route("/page", get(page)).fallback_service(calls)
//! # Ok(())
//! # }
//! ```
//!
//! gRPC, gRPC-Web, Connect and REST work as on a listener of its own, with the same interceptors, limits and deadlines; gRPC
//! needs HTTP/2. What a connection is made of (its number of streams, its times, TLS) is the application's. The native
//! protocol and WebSocket need a listener.
//!
//! | type | idea |
//! |---|---|
//! | [`Mounted`] | takes requests |
//! | [`ResponseFuture`] | drives a call until its answer begins |
//! | [`Body`] | the answer; what it needs more than a moment for runs on a task, behind a channel with room for a few frames |

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use ::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version, header};
use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use polywire_core::{Peer, Wire};
use polywire_engine::{
    Connection, Transmit,
    drain::{Machine, drain},
    wire::{Headers, Reason, single::Part},
};
use tokio::{sync::mpsc, time::Sleep};

use crate::{
    driver::{Calls, poll_sleep},
    inbox::Inbox,
    server::{Command, ServerCalls, Shared},
};

/// Rounds before the task lets others run.
const ROUNDS_MAX: usize = 32;

/// Parts of an answer that may wait for whoever sends them. The engine bounds what gathers behind them.
const PARTS_MAX: usize = 4;

/// The services of a [`Server`](crate::Server), to be mounted in another one. See [`Bound::into_service`](crate::Bound).
///
/// The [`Peer`] that calls see is the extension of that type, if the request has one.
#[derive(Clone)]
pub struct Mounted {
    shared: Arc<Shared>,
}

impl Mounted {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounted").finish_non_exhaustive()
    }
}

impl<B> tower_service::Service<Request<B>> for Mounted
where
    B: http_body::Body + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture<B>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture<B> {
        let state = match Driver::new(&self.shared, request) {
            Ok(driver) => State::Driven(Box::new(driver)),
            Err(refused) => State::Refused(refused),
        };
        ResponseFuture { state }
    }
}

/// The answer to one request, up to its headers. Dropping it cancels the call.
pub struct ResponseFuture<B: http_body::Body> {
    state: State<B>,
}

enum State<B: http_body::Body> {
    Driven(Box<Driver<B>>),
    Refused(Refused),
    Over,
}

/// What is said instead of an answer.
#[derive(Clone, Copy)]
struct Refused {
    status: StatusCode,
    text: &'static str,
}

// Nothing in it is pinned in place.
impl<B: http_body::Body> Unpin for ResponseFuture<B> {}

impl<B: http_body::Body> fmt::Debug for ResponseFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<B> Future for ResponseFuture<B>
where
    B: http_body::Body + Send + 'static,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let driver = match &mut self.state {
            State::Driven(driver) => driver,
            State::Refused(refused) => return Poll::Ready(Ok(refused.answer())),
            State::Over => return Poll::Pending,
        };
        let mut response = match ready!(driver.poll_part(cx)) {
            Part::Head(head) => response_of(&head),
            other => {
                self.state = State::Over;
                // The engine says the head first.
                let reason = if let Part::Reset(reason) = other { reason } else { Reason::INTERNAL_ERROR };
                return Poll::Ready(Ok(Refused::from(reason).answer()));
            }
        };
        // Most answers are there as a whole.
        let body = response.body_mut();
        while body.ready.len() < PARTS_MAX {
            let Poll::Ready(part) = driver.poll_part(cx) else { break };
            let last = is_last(&part);
            body.ready.push_back(part);
            if last {
                self.state = State::Over;
                return Poll::Ready(Ok(response));
            }
        }
        if let State::Driven(driver) = std::mem::replace(&mut self.state, State::Over) {
            let (sender, receiver) = mpsc::channel(PARTS_MAX);
            tokio::spawn(run(driver, sender));
            body.rest = Some(receiver);
        }
        Poll::Ready(Ok(response))
    }
}

/// Gives parts of an answer to its body until it ends or nobody wants it any more.
async fn run<B>(mut driver: Box<Driver<B>>, parts: mpsc::Sender<Part>)
where
    B: http_body::Body + Send + 'static,
{
    loop {
        // The caller may be slow to read. The call goes on meanwhile, and its deadline counts.
        let mut room = pin!(parts.reserve());
        let room = std::future::poll_fn(|cx| {
            let _ = driver.poll_turn(cx);
            room.as_mut().poll(cx)
        });
        let Ok(room) = room.await else { return };
        let part = tokio::select! {
            part = std::future::poll_fn(|cx| driver.poll_part(cx)) => part,
            () = parts.closed() => return,
        };
        let last = is_last(&part);
        room.send(part);
        if last {
            return;
        }
    }
}

/// One request: feeds the engine with its body, and its calls with what the engine reports. As
/// [`driver::Driver`](crate::driver::Driver), without a transport.
struct Driver<B: http_body::Body> {
    /// Until it has ended.
    request: Option<Pin<Box<B>>>,
    connection: Connection,
    calls: ServerCalls,
    inbox: Arc<Inbox<Command>>,
    commands: Vec<Command>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<B: http_body::Body> Driver<B> {
    /// Begins, unless the request is refused at once.
    fn new(shared: &Arc<Shared>, request: Request<B>) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        let peer = parts.extensions.get::<Peer>().cloned().unwrap_or_default();
        let wire = if parts.version >= Version::HTTP_2 { Wire::Http2 } else { Wire::Http1 };
        let headers = request_headers(&parts);
        if headers.size() > shared.config.limits().header_list_bytes_max as usize {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Err(Refused { status, text: "the headers are longer than is accepted (header_list_bytes_max)" });
        }
        let inbox = Inbox::new();
        let Some(calls) = shared.mount(&inbox, Arc::new(peer)) else {
            return Err(Refused::from(Reason::REFUSED_STREAM));
        };
        let ended = body.is_end_stream();
        let connection = Connection::single(headers, ended, wire, &shared.config, now());
        let request = (!ended).then(|| Box::pin(body));
        Ok(Self { request, connection, calls, inbox, commands: Vec::new(), sleep: None })
    }

    /// The next part of the answer.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Part> {
        loop {
            // What is there goes first: taking it may let the call go on.
            if let Some(part) = self.connection.take_part() {
                return Poll::Ready(part);
            }
            if self.connection.is_closed() {
                return Poll::Ready(Part::Reset(Reason::INTERNAL_ERROR));
            }
            ready!(self.poll_turn(cx));
        }
    }

    /// Does what can be done. Ready: there is a part, or the call is over.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS_MAX {
            let now = self.handle_commands(None);
            let read = self.read(cx, now);
            self.drain(now);
            // Handlers that ran just now may have left something to send.
            let now = self.handle_commands(Some(now));
            self.drain(now);
            self.calls.settle(&mut self.connection, now);
            let due = [self.connection.poll_timeout(), self.calls.poll_timeout()].into_iter().flatten().min();
            if poll_sleep(&mut self.sleep, due, cx, now) {
                let now = self::now();
                self.connection.handle_timeout(now);
                self.calls.handle_timeout(&mut self.connection, now);
                continue;
            }
            if read {
                continue;
            }
            let asleep = self.inbox.sleep(cx);
            if self.connection.has_part() || self.connection.is_closed() {
                return Poll::Ready(());
            }
            if asleep {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn handle_commands(&mut self, before: Option<Instant>) -> Instant {
        let mut commands = std::mem::take(&mut self.commands);
        self.inbox.take(&mut commands);
        let now = before.filter(|_| commands.is_empty()).unwrap_or_else(now);
        for command in commands.drain(..) {
            self.calls.handle_command(&mut self.connection, now, command);
        }
        self.commands = commands;
        now
    }

    fn drain(&mut self, now: Instant) {
        let calls = &mut self.calls;
        // Nothing comes out as bytes.
        drain(&mut self.connection, now, &mut Transmit::default(), |c, event| calls.handle_event(c, now, event));
    }

    /// Takes the next piece of the request's body; says whether something came.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(request) = self.request.as_mut().filter(|_| self.connection.wants_bytes()) else { return false };
        match request.as_mut().poll_frame(cx) {
            Poll::Pending => return false,
            Poll::Ready(Some(Ok(frame))) => {
                // Trailers of a request say nothing to any protocol.
                if let Ok(mut data) = frame.into_data() {
                    self.connection.handle_bytes(now, data.copy_to_bytes(data.remaining()));
                }
                if !request.is_end_stream() {
                    return true;
                }
                self.connection.handle_end(now);
            }
            Poll::Ready(Some(Err(_))) => self.connection.handle_eof(now),
            Poll::Ready(None) => self.connection.handle_end(now),
        }
        self.request = None;
        true
    }
}

impl<B: http_body::Body> Drop for Driver<B> {
    fn drop(&mut self) {
        let late = self.inbox.close();
        self.calls.close(late);
    }
}

/// The body of an answer. Dropping it cancels the call.
#[derive(Debug, Default)]
pub struct Body {
    ready: VecDeque<Part>,
    /// What comes behind those that are ready.
    rest: Option<mpsc::Receiver<Part>>,
}

/// Why an answer is not complete: the call was given up after its answer had begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp(Reason);

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the call was given up inside its answer: {}", self.0)
    }
}

impl std::error::Error for GivenUp {}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = GivenUp;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, GivenUp>>> {
        let part = match (self.ready.pop_front(), &mut self.rest) {
            (Some(part), _) => part,
            // A task that ends without a last part was ended from outside.
            (None, Some(rest)) => ready!(rest.poll_recv(cx)).unwrap_or(Part::Reset(Reason::INTERNAL_ERROR)),
            (None, None) => return Poll::Ready(None),
        };
        if is_last(&part) {
            self.rest = None;
        }
        Poll::Ready(match part {
            Part::Data(data) => Some(Ok(Frame::data(data))),
            Part::Head(headers) | Part::Trailers(headers) => Some(Ok(Frame::trailers(fields(&headers)))),
            Part::Reset(reason) => Some(Err(GivenUp(reason))),
            Part::End => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && matches!(self.ready.front(), None | Some(Part::End))
    }

    fn size_hint(&self) -> SizeHint {
        // With trailers no length is said: an announced body has none.
        match self.ready.back() {
            Some(Part::End) | None if self.rest.is_none() => {
                let bytes = |part: &Part| if let Part::Data(data) = part { data.len() as u64 } else { 0 };
                SizeHint::with_exact(self.ready.iter().map(bytes).sum())
            }
            _ => SizeHint::default(),
        }
    }
}

fn is_last(part: &Part) -> bool {
    matches!(part, Part::Trailers(_) | Part::End | Part::Reset(_))
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Fields that concern the connection, which is not ours, or ask for another protocol on it.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::UPGRADE,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// The headers of a request as the engine reads them.
fn request_headers(parts: &::http::request::Parts) -> Headers {
    let mut headers = Headers::new();
    let host = parts.headers.get(header::HOST).map(HeaderValue::as_bytes);
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes()).or(host);
    headers.push(":method", parts.method.as_str());
    headers.push(":scheme", parts.uri.scheme_str().unwrap_or("http"));
    headers.push(":authority", authority.unwrap_or_default());
    headers.push(":path", parts.uri.path_and_query().map_or("/", |path| path.as_str()));
    for (name, value) in &parts.headers {
        if *name == header::HOST || HOP_BY_HOP.contains(name) {
            continue;
        }
        if value.is_sensitive() {
            headers.push_sensitive(name, value);
        } else {
            headers.push(name, value);
        }
    }
    headers
}

/// Regular fields of the engine's for whoever sends them.
fn fields(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len());
    for field in headers.fields().filter(|field| !field.name.starts_with(b":")) {
        let name = HeaderName::from_bytes(field.name);
        let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_bytes(field.value)) else { continue };
        if !HOP_BY_HOP.contains(&name) {
            value.set_sensitive(field.sensitive);
            map.append(name, value);
        }
    }
    map
}

fn response_of(head: &Headers) -> Response<Body> {
    let status = head.find(":status").and_then(|status| StatusCode::from_bytes(status).ok());
    let mut response = Response::new(Body::default());
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = fields(head);
    response
}

/// What is said of a call that was given up before its answer began.
impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        let (status, text) = reason.in_http();
        Self { status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), text }
    }
}

impl Refused {
    fn answer(self) -> Response<Body> {
        let ready = VecDeque::from([Part::Data(Bytes::from_static(self.text.as_bytes())), Part::End]);
        let mut response = Response::new(Body { ready, rest: None });
        *response.status_mut() = self.status;
        let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response
    }
}
