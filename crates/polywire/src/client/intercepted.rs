//! Calls of a channel that has interceptors: a task runs the chain, with the connection behind its last link.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Instant,
};

use polywire_core::{
    BoxFuture, Call, Compression, Exchange, Handler, Incoming, IncomingQueue, Inspect, Message, Metadata, Method, Next,
    Outgoing, OutgoingQueue, Peer, Reply, RequestHead, Status,
};
use tokio::sync::{Notify, oneshot};

use super::{
    channel::Inner,
    connection::{CallLink, StartCall},
    options::{Abandon, only_message},
};
use crate::{
    context,
    message::{Compress, envelope, open_envelope, plain},
};

/// Wakes whoever has to know that the caller went away: the connection, if there is one already, and the chain.
#[derive(Default)]
pub(super) struct Gone {
    link: Arc<CallLink>,
    woken: Notify,
}

impl Gone {
    pub(super) fn new(link: Arc<CallLink>) -> Arc<Self> {
        Arc::new(Self { link, woken: Notify::new() })
    }

    async fn wait(&self, incoming: &IncomingQueue) {
        while !incoming.is_abandoned() {
            self.woken.notified().await;
        }
    }
}

impl Wake for Gone {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.link.wake_by_ref();
        self.woken.notify_one();
    }
}

/// Runs a call inside the channel's interceptors.
pub(super) fn start(
    inner: Arc<Inner>,
    method: Method,
    compression: Compression,
    mut start: StartCall,
    gone: Arc<Gone>,
) {
    let ending = Ending { incoming: Arc::clone(&start.incoming), outgoing: start.outgoing.clone() };
    let deadline = start.deadline;
    let head = RequestHead {
        path: method.path().to_owned(),
        authority: inner.authority().to_owned(),
        metadata: std::mem::take(&mut start.metadata),
        codec: inner.options.codec,
        compression,
        accepts: inner.options.accepts,
        protocol: inner.options.protocol,
        wire: inner.wire(),
        ..RequestHead::default()
    };
    let one_response = !method.kind().server_streams();
    let mut call = Call::new(method, Arc::new(head), deadline, Arc::new(Peer::default()));
    let requests = match start.message.take() {
        Some(message) => open_envelope(message, compression).map_or_else(|_| Incoming::none(), Incoming::one),
        None => Incoming::none(),
    };
    let exchange = Exchange { requests, responses: Outgoing::none() };
    tokio::spawn(async move {
        let last = Last { channel: Arc::clone(&inner), start: Mutex::new(Some(start)), one_response };
        let chain = async {
            let result = Next::new(&inner.options.interceptors, &last, exchange).run(&mut call).await;
            (result, call)
        };
        tokio::select! {
            biased;
            end = safely(deadline, Box::pin(chain)) => match end {
                Ok((result, call)) => ending.end(result, &call),
                Err(status) => ending.fail(status),
            },
            () = gone.wait(&ending.incoming) => ending.fail(Status::cancelled("the caller no longer waits")),
            () = expired(deadline, &last) => {
                ending.fail(Status::deadline_exceeded("the deadline passed inside an interceptor"));
            }
        }
    });
}

/// Behind the last interceptor: the connection.
struct Last {
    channel: Arc<Inner>,
    /// Taken when the interceptors let the call through.
    start: Mutex<Option<StartCall>>,
    one_response: bool,
}

impl Last {
    fn start(&self) -> MutexGuard<'_, Option<StartCall>> {
        self.start.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call with one response: the interceptors see the response and may put another in its place.
    async fn one_response(
        &self,
        call: &mut Call,
        mut start: StartCall,
        mut responses: Outgoing,
    ) -> Result<Reply, Status> {
        // The caller's own queue gets what comes out of the chain; this one is between connection and chain.
        let incoming = Abandon(Arc::new(IncomingQueue::new(start.link.waker(), 0)));
        start.incoming = Arc::clone(&incoming.0);
        self.channel.start(start);
        let message = only_message(&incoming.0).await;
        call.set_answer(leading(&incoming.0), incoming.0.trailing().unwrap_or_default());
        let response = plain(message?, self.channel.options.limits.message_bytes_max)?;
        responses.show(&response)?;
        Ok(Reply::Message(envelope(Compress::NOTHING, &response)?))
    }

    /// A call with a stream of responses: they go to the caller as they come.
    async fn streamed(&self, call: &mut Call, mut start: StartCall, mut responses: Outgoing) -> Result<Reply, Status> {
        let incoming = Arc::clone(&start.incoming);
        if let Some(mut inspect) = responses.take_inspect() {
            let bytes_max = self.channel.options.limits.message_bytes_max;
            incoming.set_inspect(guarded(move |message| inspect(&plain(message.clone(), bytes_max)?)));
        }
        let (ended, end) = oneshot::channel();
        start.ended = Some(ended);
        let deadline = start.deadline;
        self.channel.start(start);
        let end = async {
            match deadline {
                None => end.await.ok(),
                Some(deadline) => tokio::time::timeout_at(deadline.into(), end).await.ok().and_then(Result::ok),
            }
        };
        let (result, trailing) = end.await.unwrap_or_else(|| {
            let late = Status::deadline_exceeded("the deadline passed before the call ended");
            (Err(late), Metadata::new())
        });
        call.set_answer(leading(&incoming), trailing);
        // What an interceptor found wrong with a message counts for more than that the call was cancelled for it.
        incoming.result().unwrap_or(result).map(|()| Reply::Streamed)
    }
}

impl Handler for Last {
    fn call<'a>(&'a self, call: &'a mut Call, exchange: Exchange) -> BoxFuture<'a, Result<Reply, Status>> {
        Box::pin(async move {
            let Exchange { mut requests, responses } = exchange;
            let Some(mut start) = self.start().take() else {
                return Err(Status::internal("an interceptor ran the call twice"));
            };
            match &start.outgoing {
                Some(outgoing) => outgoing.open(requests.take_inspect().map(|inspect| {
                    let (incoming, link) = (Arc::clone(&start.incoming), Arc::clone(&start.link));
                    ending_call(inspect, incoming, link)
                })),
                None => {
                    let Some(message) = requests.next().await? else {
                        return Err(Status::internal("an interceptor took the request away"));
                    };
                    // Where it was compressed before, that was worth it.
                    let compress = Compress { with: message.compression, bytes_min: 0 };
                    start.message = Some(envelope(compress, &plain(message, usize::MAX)?)?);
                }
            }
            start.metadata = call.metadata().clone();
            start.deadline = context::earlier(start.deadline, call.deadline());
            if self.one_response {
                self.one_response(call, start, responses).await
            } else {
                self.streamed(call, start, responses).await
            }
        })
    }
}

/// Brings the end of the chain to the caller.
struct Ending {
    incoming: Arc<IncomingQueue>,
    outgoing: Option<Arc<OutgoingQueue>>,
}

impl Ending {
    fn end(self, result: Result<Reply, Status>, call: &Call) {
        self.incoming.set_leading(call.leading().clone());
        let result = result.and_then(|reply| match reply {
            Reply::Message(reply) => {
                self.incoming.push(open_envelope(reply, call.response_compression().unwrap_or_default())?);
                Ok(())
            }
            Reply::Streamed => Ok(()),
        });
        self.finish(result, call.trailing().clone());
    }

    fn fail(self, status: Status) {
        self.finish(Err(status), Metadata::new());
    }

    fn finish(self, result: Result<(), Status>, trailing: Metadata) {
        if let Some(outgoing) = self.outgoing {
            outgoing.close(Status::cancelled("the call is over: its status is with the responses"));
        }
        self.incoming.finish(result, trailing);
    }
}

/// Runs the chain under the deadline of its call; a panic becomes INTERNAL.
async fn safely<R>(deadline: Option<Instant>, mut chain: BoxFuture<'_, R>) -> Result<R, Status> {
    poll_fn(|cx| {
        let poll = AssertUnwindSafe(|| context::with_deadline(deadline, || chain.as_mut().poll(cx)));
        match catch_unwind(poll) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Status::internal("an interceptor panicked"))),
        }
    })
    .await
}

/// Ready when the deadline passes before the interceptors let the call through: behind them the connection sees to it.
async fn expired(deadline: Option<Instant>, last: &Last) {
    if let Some(deadline) = deadline {
        tokio::time::sleep_until(deadline.into()).await;
        if last.start().is_some() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// An interceptor's look at a message, in which a panic becomes an error: it may run on the task of a connection.
fn guarded(mut inspect: impl FnMut(&Message) -> Result<(), Status> + Send + 'static) -> Box<Inspect<Message>> {
    Box::new(move |message| {
        catch_unwind(AssertUnwindSafe(|| inspect(message)))
            .unwrap_or_else(|_| Err(Status::internal("an interceptor panicked")))
    })
}

/// A look at the requests of a streaming caller: an error ends the call with that status.
fn ending_call(
    mut inspect: Box<Inspect<Message>>,
    incoming: Arc<IncomingQueue>,
    link: Arc<CallLink>,
) -> Box<Inspect<Message>> {
    guarded(move |message| {
        inspect(message).inspect_err(|status| {
            incoming.abort(status.clone());
            link.wake_by_ref();
        })
    })
}

/// The leading metadata, as far as it has come.
fn leading(incoming: &IncomingQueue) -> Metadata {
    match incoming.poll_leading(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(leading) => leading,
        Poll::Pending => Metadata::new(),
    }
}
