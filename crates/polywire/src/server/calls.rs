//! The calls of one server connection: from the engine's events to handlers, and back.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Wake, Waker},
    time::Instant,
};

use bytes::Bytes;
use polywire_core::{
    BoxFuture, Call, Compression, Exchange, Handler, Idempotency, Incoming, IncomingQueue, Message, Metadata, Method,
    MethodKind, Next, Outgoing, OutgoingQueue, Peer, Protocol, QUEUE_HIGH_WATER_BYTES, Reply, RequestHead, Status,
    Wire,
};
use polywire_engine::{
    CallKey, Connection, Event,
    wire::{Headers, Reason, websocket::Begin},
};
use tokio::task::AbortHandle;

use super::{
    listener::{Registered, Shared},
    router::Route,
    tunnel,
};
use crate::{context, driver::Calls, http, inbox::Inbox};

/// What other tasks ask of a server connection.
pub(crate) enum Command {
    /// Ends the connection at once.
    Close,
    /// Lets calls finish and accepts no new ones.
    Drain,
    /// A handler that had moved to a task of its own has ended.
    Finished(CallKey, Result<Box<Outcome>, Status>),
    /// Something waits in the queues of a streaming call.
    Look(CallKey),
    /// The handler of an ordinary HTTP request has ended.
    Respond(CallKey, Box<http::Response>),
    /// What ran inside a stream has ended.
    TunnelEnded(CallKey),
}

/// How a handler ended.
pub(crate) struct Outcome {
    call: Call,
    result: Result<Reply, Status>,
}

/// All calls of one connection.
pub(crate) struct ServerCalls {
    shared: Arc<Shared>,
    inbox: Arc<Inbox<Command>>,
    peer: Arc<Peer>,
    /// By the key's index.
    slots: Vec<Option<Slot>>,
    chunks: Vec<Bytes>,
    /// The last heads that were looked up, the newest first.
    recent: [Option<(Arc<RequestHead>, Arc<Route>)>; RECENT_HEADS],
    _registered: Registered,
}

struct Slot {
    key: CallKey,
    /// It counts as a call in progress. A WebSocket in a stream does not: the calls inside do.
    is_call: bool,
    state: State,
}

enum State {
    /// An ordinary HTTP request, whose body is still to come or whose handler runs.
    Http { headers: Arc<Headers>, handler: Arc<dyn http::Handler>, task: Option<AbortHandle> },
    /// A call with one request, whose handler starts when that is complete.
    ExpectRequest { route: Arc<Route>, head: Arc<RequestHead>, deadline: Option<Instant>, message: Option<Message> },
    /// The handler runs.
    Running { incoming: Option<Arc<IncomingQueue>>, outgoing: Option<Arc<OutgoingQueue>>, task: Option<AbortHandle> },
}

/// Heads whose route a connection remembers: a caller makes few different calls at a time, and a list is gone through.
const RECENT_HEADS: usize = 4;

/// Bytes a streaming handler has read before the peer gets window for as many again; also a quarter of the window, if that
/// is less.
const RELEASE_BYTES_MIN: usize = 32 * 1024;

impl ServerCalls {
    pub(super) fn new(
        shared: Arc<Shared>,
        inbox: Arc<Inbox<Command>>,
        peer: Arc<Peer>,
        registered: Registered,
    ) -> Self {
        Self {
            shared,
            inbox,
            peer,
            slots: Vec::new(),
            chunks: Vec::new(),
            recent: Default::default(),
            _registered: registered,
        }
    }

    fn started(
        &mut self,
        connection: &mut Connection,
        key: CallKey,
        head: Arc<RequestHead>,
        deadline: Option<Instant>,
        last: bool,
    ) {
        let Some(route) = self.route(connection, key, &head) else { return };
        let shared = &self.shared;
        if !shared.counters.enter(shared.options.calls_max) {
            let status = Status::resource_exhausted("the server has as many calls in progress as it takes (calls_max)");
            return refuse(connection, key, &status);
        }
        shared.counters.note(head.wire, head.protocol);
        if !route.method().kind().client_streams() {
            let state = State::ExpectRequest { route, head, deadline, message: None };
            self.insert(key, state);
            if last {
                self.half_closed(connection, key);
            }
            return;
        }
        let window = shared.config.limits().window_bytes as usize;
        let incoming = Arc::new(IncomingQueue::new(self.waker(key), RELEASE_BYTES_MIN.min(window / 4)));
        if last {
            incoming.finish(Ok(()), Metadata::new());
        }
        self.run(connection, key, route, head, deadline, Incoming::queue(Arc::clone(&incoming)), Some(incoming));
    }

    /// The route of a call. Calls with the same headers share a head, so for most the answer is known. `None`: it has none,
    /// or does not fit it, and the caller has been told.
    fn route(&mut self, connection: &mut Connection, key: CallKey, head: &Arc<RequestHead>) -> Option<Arc<Route>> {
        if let Some((_, route)) = self.recent.iter().flatten().find(|(known, _)| Arc::ptr_eq(known, head)) {
            return Some(Arc::clone(route));
        }
        let route = match self.shared.router.find(&head.path) {
            Ok(route) => Arc::clone(route),
            Err(status) => {
                connection.finish_unknown(key, &status);
                return None;
            }
        };
        if let Some(response) = misfit(route.method(), head) {
            let (status, fields, body) = response.into_parts(false);
            connection.answer(key, status, &fields, body);
            return None;
        }
        // A head that nobody else keeps will not come again.
        if Arc::strong_count(head) > 1 {
            self.recent.rotate_right(1);
            self.recent[0] = Some((Arc::clone(head), Arc::clone(&route)));
        }
        Some(route)
    }

    fn message(&mut self, connection: &mut Connection, key: CallKey, message: Message, last: bool) {
        let Some(slot) = find(&mut self.slots, key) else { return };
        match &mut slot.state {
            State::ExpectRequest { message: place, .. } => {
                connection.consumed(key, message.bytes.len());
                if place.replace(message).is_some() {
                    let status = Status::unimplemented("a method with one request got a second one");
                    self.remove(key);
                    return refuse(connection, key, &status);
                }
            }
            State::Running { incoming: Some(incoming), .. } => incoming.push(message),
            State::Running { .. } => {}
            State::Http { .. } => return self.run_http(connection, key, message.bytes),
        }
        if last {
            self.half_closed(connection, key);
        }
    }

    fn half_closed(&mut self, connection: &mut Connection, key: CallKey) {
        let Some(slot) = find(&mut self.slots, key) else { return };
        match &mut slot.state {
            State::Running { incoming, .. } => {
                if let Some(incoming) = incoming {
                    incoming.finish(Ok(()), Metadata::new());
                }
            }
            State::Http { .. } => {}
            State::ExpectRequest { .. } => {
                let Some(Slot { state: State::ExpectRequest { route, head, deadline, message }, .. }) =
                    self.slots[key.index()].take()
                else {
                    return;
                };
                let Some(message) = message else {
                    self.shared.counters.leave();
                    let status = Status::unimplemented("a method with one request got none");
                    return refuse(connection, key, &status);
                };
                self.run(connection, key, route, head, deadline, Incoming::one(message), None);
            }
        }
    }

    /// A stream goes on as a WebSocket, which is a connection of its own.
    fn tunnel(&mut self, connection: &mut Connection, key: CallKey, begin: Begin) {
        let Some(permit) = self.shared.permit_websocket() else {
            let status = Status::unavailable("The server has as many connections as it takes.");
            return refuse(connection, key, &status);
        };
        connection.start(key, &Metadata::new());
        let window = self.shared.config.limits().window_bytes as usize;
        let incoming = Arc::new(IncomingQueue::new(self.waker(key), RELEASE_BYTES_MIN.min(window / 4)));
        let outgoing = Arc::new(OutgoingQueue::new(self.waker(key)));
        let (ours, theirs) = tokio::io::duplex(tunnel::PIPE_BYTES);
        self.shared.drive_websocket(theirs, begin, Arc::clone(&self.peer), permit);
        let inbox = Arc::clone(&self.inbox);
        let (requests, responses) = (Arc::clone(&incoming), Arc::clone(&outgoing));
        let task = tokio::spawn(async move {
            tunnel::run(ours, &requests, &responses).await;
            let _ = inbox.push(Command::TunnelEnded(key));
        });
        let task = Some(task.abort_handle());
        let state = State::Running { incoming: Some(incoming), outgoing: Some(outgoing), task };
        self.put(Slot { key, is_call: false, state });
    }

    fn tunnel_ended(&mut self, connection: &mut Connection, key: CallKey) {
        if let Some(Slot { state: State::Running { outgoing: Some(outgoing), .. }, .. }) = self.remove(key) {
            send_queued(connection, key, &outgoing, &mut self.chunks);
        }
        refuse(connection, key, &Status::ok());
    }

    /// An ordinary HTTP request has begun.
    fn requested(&mut self, connection: &mut Connection, key: CallKey, headers: Arc<Headers>, last: bool) {
        let request = http::Request::new(headers, Bytes::new(), Arc::clone(&self.peer));
        let Some(handler) = self.shared.http.find(request.path()).cloned() else {
            let head_only = request.method() == "HEAD";
            let (status, fields, body) = self.shared.router.explain_http(&request).into_parts(head_only);
            return connection.answer(key, status, &fields, body);
        };
        if !self.shared.counters.enter(self.shared.options.calls_max) {
            let response = http::Response::text("The server has as many calls in progress as it takes.\n").status(503);
            let (status, fields, body) = response.into_parts(request.method() == "HEAD");
            return connection.answer(key, status, &fields, body);
        }
        self.shared.counters.note_http();
        self.insert(key, State::Http { headers: request.into_headers(), handler, task: None });
        if last {
            self.run_http(connection, key, Bytes::new());
        }
    }

    /// Starts the handler of an ordinary HTTP request.
    fn run_http(&mut self, connection: &mut Connection, key: CallKey, body: Bytes) {
        let Some(Slot { state: State::Http { headers, handler, task }, .. }) = find(&mut self.slots, key) else {
            return;
        };
        let request = http::Request::new(Arc::clone(headers), body, Arc::clone(&self.peer));
        let handler = Arc::clone(handler);
        let mut answer: BoxFuture<'static, http::Response> = Box::pin(async move { handler.handle(request).await });
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(response) = poll_http_safely(answer.as_mut(), &mut cx) {
            return self.respond_http(connection, key, response);
        }
        let inbox = Arc::clone(&self.inbox);
        let running = tokio::spawn(async move {
            let response = std::future::poll_fn(|cx| poll_http_safely(answer.as_mut(), cx)).await;
            let _ = inbox.push(Command::Respond(key, Box::new(response)));
        });
        *task = Some(running.abort_handle());
    }

    fn respond_http(&mut self, connection: &mut Connection, key: CallKey, response: http::Response) {
        let Some(Slot { state: State::Http { headers, .. }, .. }) = self.remove(key) else { return };
        let (status, fields, body) = response.into_parts(headers.find(":method") == Some(b"HEAD"));
        connection.answer(key, status, &fields, body);
    }

    /// Starts a handler: first on this task, and on one of its own when it has to wait.
    #[allow(clippy::too_many_arguments, reason = "all of it belongs to one call and is used once")]
    fn run(
        &mut self,
        connection: &mut Connection,
        key: CallKey,
        route: Arc<Route>,
        head: Arc<RequestHead>,
        deadline: Option<Instant>,
        requests: Incoming,
        incoming: Option<Arc<IncomingQueue>>,
    ) {
        let method = route.method();
        let spawn = route.spawn();
        let mut call = Call::new(method.clone(), head, deadline, Arc::clone(&self.peer));
        let outgoing = method.kind().server_streams().then(|| Arc::new(OutgoingQueue::new(self.waker(key))));
        call.set_message_bytes_max(self.shared.config.limits().message_bytes_max);
        if let Some(outgoing) = &outgoing {
            call.attach(Arc::clone(outgoing));
        }
        if self.shared.options.compression != Compression::Identity {
            call.set_response_compression(self.shared.options.compression);
        }
        let responses = outgoing.clone().map_or_else(Outgoing::none, Outgoing::queue);
        let exchange = Exchange { requests, responses };
        let mut handler = handle(Arc::clone(&self.shared), route, call, exchange);
        if !spawn {
            let mut cx = Context::from_waker(Waker::noop());
            match context::with_deadline(deadline, || poll_safely(handler.as_mut(), &mut cx)) {
                Poll::Ready(outcome) => {
                    self.shared.counters.leave();
                    return self.finish(connection, key, outcome, outgoing.as_deref());
                }
                Poll::Pending => {}
            }
        }
        let task = tokio::spawn(Running { handler, key, deadline, inbox: Arc::clone(&self.inbox) });
        self.insert(key, State::Running { incoming, outgoing, task: Some(task.abort_handle()) });
        self.look(connection, key);
    }

    fn finish(
        &mut self,
        connection: &mut Connection,
        key: CallKey,
        outcome: Result<Outcome, Status>,
        outgoing: Option<&OutgoingQueue>,
    ) {
        static NOTHING: Metadata = Metadata::new();
        if let Some(outgoing) = outgoing {
            send_queued(connection, key, outgoing, &mut self.chunks);
            outgoing.close(Status::cancelled("the call is over"));
        }
        let Outcome { call, result } = match outcome {
            Ok(outcome) => outcome,
            Err(status) => return connection.finish(key, &status, &NOTHING, &NOTHING),
        };
        match result {
            Ok(Reply::Message(message)) => {
                connection.set_compression(key, chosen_compression(&call));
                connection.respond(key, call.leading(), message, call.trailing());
            }
            Ok(Reply::Streamed) => {
                let leading = outgoing.and_then(OutgoingQueue::take_leading).unwrap_or_default();
                connection.start(key, &leading);
                connection.finish(key, &Status::ok(), &leading, call.trailing());
            }
            Err(status) => {
                let leading = outgoing.and_then(OutgoingQueue::take_leading);
                connection.finish(key, &status, leading.as_ref().unwrap_or(call.leading()), call.trailing());
            }
        }
    }

    /// Moves what waits in the queues of a streaming call.
    fn look(&mut self, connection: &mut Connection, key: CallKey) {
        let Some(Slot { state: State::Running { incoming, outgoing, .. }, .. }) = find(&mut self.slots, key) else {
            return;
        };
        if let Some(incoming) = incoming {
            let bytes = incoming.take_released();
            if bytes > 0 {
                connection.consumed_enveloped(key, bytes);
            }
        }
        if let Some(outgoing) = outgoing
            && connection.queued_bytes(key) < QUEUE_HIGH_WATER_BYTES
        {
            send_queued(connection, key, outgoing, &mut self.chunks);
        }
    }

    /// The call is over without its handler: stops it.
    fn stop(&mut self, key: CallKey, status: &Status) {
        let Some(slot) = self.remove(key) else { return };
        match slot.state {
            State::ExpectRequest { .. } => {}
            State::Http { task, .. } => {
                if let Some(task) = task {
                    task.abort();
                }
            }
            State::Running { incoming, outgoing, task } => {
                if let Some(task) = task {
                    task.abort();
                }
                if let Some(incoming) = incoming {
                    incoming.abort(status.clone());
                }
                if let Some(outgoing) = outgoing {
                    outgoing.close(status.clone());
                }
            }
        }
    }

    fn insert(&mut self, key: CallKey, state: State) {
        self.put(Slot { key, is_call: true, state });
    }

    fn put(&mut self, slot: Slot) {
        let index = slot.key.index();
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        self.slots[index] = Some(slot);
    }

    fn remove(&mut self, key: CallKey) -> Option<Slot> {
        if find(&mut self.slots, key)?.is_call {
            self.shared.counters.leave();
        }
        self.slots[key.index()].take()
    }

    fn waker(&self, key: CallKey) -> Waker {
        Waker::from(Arc::new(CallWaker { inbox: Arc::clone(&self.inbox), key }))
    }
}

impl Calls for ServerCalls {
    type Command = Command;

    fn handle_event(&mut self, connection: &mut Connection, _now: Instant, event: Event) {
        match event {
            Event::Started { key, head, deadline, last } => self.started(connection, key, head, deadline, last),
            Event::Message { key, message, last } => self.message(connection, key, message, last),
            Event::Tunnel { key, begin } => self.tunnel(connection, key, *begin),
            Event::Request { key, headers, last } => self.requested(connection, key, headers, last),
            Event::HalfClosed { key } => self.half_closed(connection, key),
            Event::Cancelled { key, status } => self.stop(key, &status),
            Event::Writable { key } => self.look(connection, key),
            Event::Closed { error: Some(error) } => {
                tracing::debug!(peer = %self.peer.address, %error, "a connection ended");
            }
            _ => {}
        }
    }

    fn handle_command(&mut self, connection: &mut Connection, now: Instant, command: Command) {
        match command {
            Command::Close => connection.close(now, Reason::NO_ERROR, "the server is going away"),
            Command::Drain => connection.drain(now, "the server is going away"),
            Command::Finished(key, outcome) => {
                if let Some(Slot { state: State::Running { outgoing, .. }, .. }) = self.remove(key) {
                    self.finish(connection, key, outcome.map(|outcome| *outcome), outgoing.as_deref());
                }
            }
            Command::Look(key) => self.look(connection, key),
            Command::TunnelEnded(key) => self.tunnel_ended(connection, key),
            Command::Respond(key, response) => self.respond_http(connection, key, *response),
        }
    }

    fn settle(&mut self, connection: &mut Connection, _now: Instant) {
        if connection.calls_open() > 0 {
            return;
        }
        // What heads say may be large, and an idle connection should be small.
        self.recent = Default::default();
        if self.slots.capacity() > SLOTS_KEPT && self.slots.iter().all(Option::is_none) {
            self.slots = Vec::new();
        }
    }

    fn close(&mut self, _late: Vec<Command>) {
        let status = Status::cancelled("the connection ended");
        for index in 0..self.slots.len() {
            if let Some(key) = self.slots[index].as_ref().map(|slot| slot.key) {
                self.stop(key, &status);
            }
        }
    }
}

/// Slots that an idle connection keeps.
const SLOTS_KEPT: usize = 4;

fn find(slots: &mut [Option<Slot>], key: CallKey) -> Option<&mut Slot> {
    slots.get_mut(key.index())?.as_mut().filter(|slot| slot.key == key)
}

fn refuse(connection: &mut Connection, key: CallKey, status: &Status) {
    connection.finish(key, status, &Metadata::new(), &Metadata::new());
}

fn send_queued(connection: &mut Connection, key: CallKey, outgoing: &OutgoingQueue, chunks: &mut Vec<Bytes>) {
    let taken = outgoing.take(chunks);
    if let Some(leading) = taken.leading {
        connection.set_compression(key, outgoing.compression().unwrap_or_default());
        connection.start(key, &leading);
    }
    for chunk in chunks.drain(..) {
        connection.send(key, chunk);
    }
}

/// What the messages of an answer are compressed with: what was asked for, if the caller accepts it.
pub(crate) fn chosen_compression(call: &Call) -> Compression {
    call.response_compression().filter(|&compression| call.accepts().contains(compression)).unwrap_or_default()
}

/// The whole way of a call behind the router: interceptors, then the handler.
fn handle(shared: Arc<Shared>, route: Arc<Route>, mut call: Call, exchange: Exchange) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        let result = match shared.options.interceptors.as_slice() {
            [] => route.call(&mut call, exchange).await,
            chain => {
                let last = Last { route, deadline: call.deadline() };
                Next::new(chain, &last, exchange).run(&mut call).await
            }
        };
        Outcome { call, result }
    })
}

/// Behind the last interceptor: the handler, under the deadline that the interceptors have left it.
struct Last {
    route: Arc<Route>,
    /// What the caller asked for: the engine sees to that.
    deadline: Option<Instant>,
}

impl Handler for Last {
    fn call<'a>(&'a self, call: &'a mut Call, exchange: Exchange) -> BoxFuture<'a, Result<Reply, Status>> {
        let deadline = context::earlier(self.deadline, call.deadline());
        let mut handler = self.route.call(call, exchange);
        let Some(deadline) = deadline.filter(|_| deadline != self.deadline) else { return handler };
        Box::pin(async move {
            let handler =
                std::future::poll_fn(|cx| context::with_deadline(Some(deadline), || handler.as_mut().poll(cx)));
            tokio::time::timeout_at(deadline.into(), handler)
                .await
                .unwrap_or_else(|_| Err(Status::deadline_exceeded("the deadline that an interceptor set passed")))
        })
    }
}

/// What is wrong with the form in which a method is called, if something is.
fn misfit(method: &Method, head: &RequestHead) -> Option<http::Response> {
    if head.get && method.idempotency() != Idempotency::NoSideEffects {
        let text = "Only a method without side effects can be called by GET; send a POST.\n";
        return Some(http::Response::text(text).status(405).header("allow", "POST"));
    }
    if head.protocol != Protocol::Connect || head.unary == (method.kind() == MethodKind::Unary) {
        return None;
    }
    let accepts = match method.kind() {
        MethodKind::Unary => "application/proto, application/json",
        _ => "application/connect+proto, application/connect+json",
    };
    let text = format!("{method} takes these content types: {accepts}\n");
    Some(http::Response::text(text).status(415).header("accept-post", accepts))
}

/// Polls the handler of an ordinary request; a panic becomes 500 and the server lives.
fn poll_http_safely(
    handler: Pin<&mut (dyn Future<Output = http::Response> + Send)>,
    cx: &mut Context<'_>,
) -> Poll<http::Response> {
    catch_unwind(AssertUnwindSafe(|| handler.poll(cx)))
        .unwrap_or_else(|_| Poll::Ready(http::Response::text("The handler panicked.\n").status(500)))
}

/// Polls a handler; a panic becomes INTERNAL and the server lives.
fn poll_safely(
    handler: Pin<&mut (dyn Future<Output = Outcome> + Send)>,
    cx: &mut Context<'_>,
) -> Poll<Result<Outcome, Status>> {
    match catch_unwind(AssertUnwindSafe(|| handler.poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => Poll::Ready(Err(Status::internal("the handler panicked"))),
    }
}

/// A handler on a task of its own.
struct Running {
    handler: BoxFuture<'static, Outcome>,
    key: CallKey,
    deadline: Option<Instant>,
    inbox: Arc<Inbox<Command>>,
}

impl Future for Running {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let outcome = context::with_deadline(this.deadline, || poll_safely(this.handler.as_mut(), cx));
        let outcome = std::task::ready!(outcome).map(Box::new);
        let _ = this.inbox.push(Command::Finished(this.key, outcome));
        Poll::Ready(())
    }
}

/// Tells the connection's task to look after a call.
struct CallWaker {
    inbox: Arc<Inbox<Command>>,
    key: CallKey,
}

impl Wake for CallWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let _ = self.inbox.push(Command::Look(self.key));
    }
}

/// How many calls are in progress.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    calls: std::sync::atomic::AtomicUsize,
    /// By wire, then by protocol.
    started_by: [[std::sync::atomic::AtomicU64; 6]; 5],
    /// Ordinary HTTP requests.
    http_requests: std::sync::atomic::AtomicU64,
}

impl Counters {
    /// Counts a call in, unless there are as many as allowed.
    fn enter(&self, calls_max: usize) -> bool {
        if self.calls.fetch_add(1, Ordering::Relaxed) >= calls_max {
            self.calls.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Counts a call by the way it came.
    fn note(&self, wire: Wire, protocol: Protocol) {
        if let Some(count) = self.started_by.get(wire as usize).and_then(|by| by.get(protocol as usize)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an ordinary HTTP request.
    fn note_http(&self) {
        self.http_requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn http_requests(&self) -> u64 {
        self.http_requests.load(Ordering::Relaxed)
    }

    pub(crate) fn calls_started_by(&self, wire: Wire, protocol: Protocol) -> u64 {
        let count = self.started_by.get(wire as usize).and_then(|by| by.get(protocol as usize));
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn leave(&self) {
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn calls_open(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn calls_started(&self) -> u64 {
        self.started_by.iter().flatten().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}
