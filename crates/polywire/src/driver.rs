//! One task owns one connection: the only loop that touches socket and clock.
//!
//! One read's worth of frames is handled, the handlers it starts are polled, and one vectored write carries all answers.

use std::{
    cell::RefCell,
    future::Future,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use polywire_engine::{
    Connection, Event, Transmit,
    drain::{Due, Machine, drain},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::Sleep,
};

use crate::inbox::Inbox;

/// What stands on a connection: the calls of a server or of a channel.
pub(crate) trait Calls: Send + Unpin + 'static {
    type Command: Send + Unpin + 'static;

    /// The engine reports something.
    fn handle_event(&mut self, connection: &mut Connection, now: Instant, event: Event);

    /// Another task asks for something.
    fn handle_command(&mut self, connection: &mut Connection, now: Instant, command: Self::Command);

    /// All that could be done at once is done; `idle` when nothing is in progress.
    fn settle(&mut self, connection: &mut Connection, now: Instant);

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The moment of [`poll_timeout`](Self::poll_timeout) has come.
    fn handle_timeout(&mut self, _connection: &mut Connection, _now: Instant) {}

    /// The connection is over; these commands came too late.
    fn close(&mut self, late: Vec<Self::Command>);
}

/// The task of one connection. Ends when the connection is over.
pub(crate) struct Driver<T, C: Calls> {
    transport: T,
    connection: Connection,
    calls: C,
    inbox: Arc<Inbox<C::Command>>,
    commands: Vec<C::Command>,
    transmit: Transmit,
    sleep: Option<Pin<Box<Sleep>>>,
    reading: Reading,
    /// Something was written since the transport was flushed.
    unflushed: bool,
    /// This round has not read because the engine did not want more.
    skipped: bool,
    closing: bool,
    close_timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Open,
    Ended,
}

/// Rounds of reading and writing before the task lets others run.
const ROUNDS_MAX: usize = 32;

/// How long ending a transport in order may take: the last words and TLS want to be written, and the peer may not read.
const CLOSE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);

/// Pieces of one vectored write.
const SLICES_MAX: usize = 64;

/// Memory that an idle connection keeps for what it writes next.
const IDLE_TRANSMIT_BYTES: usize = 512;

impl<T: AsyncRead + AsyncWrite + Unpin, C: Calls> Driver<T, C> {
    pub(crate) fn new(transport: T, connection: Connection, calls: C, inbox: Arc<Inbox<C::Command>>) -> Self {
        Self {
            transport,
            connection,
            calls,
            inbox,
            commands: Vec::new(),
            transmit: Transmit::default(),
            sleep: None,
            reading: Reading::Open,
            unflushed: false,
            skipped: false,
            closing: false,
            close_timer: None,
        }
    }

    /// Does what it was told to, and says what time it is; `before`: what that was a moment ago.
    ///
    /// The clock is read behind the commands: no deadline among them must look further away than its caller meant.
    fn handle_commands(&mut self, before: Option<Instant>) -> Instant {
        let mut commands = std::mem::take(&mut self.commands);
        self.inbox.take(&mut commands);
        let now = before.filter(|_| commands.is_empty());
        let now = now.unwrap_or_else(|| tokio::time::Instant::now().into_std());
        for command in commands.drain(..) {
            self.calls.handle_command(&mut self.connection, now, command);
        }
        self.commands = commands;
        now
    }

    /// Reads once; says whether something came.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        if self.reading == Reading::Ended {
            return false;
        }
        if !self.connection.wants_bytes() {
            self.skipped = true;
            return false;
        }
        match poll_read(&mut self.transport, cx) {
            Poll::Pending => return false,
            Poll::Ready(Ok(bytes)) if !bytes.is_empty() => {
                self.connection.handle_bytes(now, bytes);
                return true;
            }
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => tracing::debug!(%error, "the transport failed while reading"),
        }
        self.reading = Reading::Ended;
        self.connection.handle_eof(now);
        true
    }

    /// Writes what is due; says whether all of it went out.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        loop {
            if self.transmit.is_empty() {
                let calls = &mut self.calls;
                match drain(&mut self.connection, now, &mut self.transmit, |c, event| calls.handle_event(c, now, event))
                {
                    Due::Write => {}
                    Due::Wait(_) => {
                        // TLS may have taken what its socket has not.
                        if self.unflushed && ready!(Pin::new(&mut self.transport).poll_flush(cx)).is_ok() {
                            self.unflushed = false;
                        }
                        return Poll::Ready(());
                    }
                    Due::Close => {
                        self.closing = true;
                        return Poll::Ready(());
                    }
                }
            }
            while !self.transmit.is_empty() {
                match ready!(poll_write(&mut self.transport, cx, &self.transmit)) {
                    Ok(bytes) if bytes > 0 => {
                        self.unflushed = true;
                        self.transmit.advance(bytes);
                        if !self.transmit.is_empty() {
                            self.connection.handle_progress(now);
                        }
                    }
                    failed => {
                        if let Err(error) = failed {
                            tracing::debug!(%error, "the transport failed while writing");
                        }
                        self.transmit.clear();
                        self.reading = Reading::Ended;
                        self.connection.handle_eof(now);
                    }
                }
            }
        }
    }

    /// Ends the transport in order, unless the peer leaves no room for that.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.transmit.is_empty() && Pin::new(&mut self.transport).poll_shutdown(cx).is_ready() {
            // Closing a socket with bytes in it that nobody has read resets the connection, and the peer may lose our last
            // words by that: what it still sends is taken, until it ends too.
            for _ in 0..ROUNDS_MAX {
                match self.reading {
                    Reading::Ended => return Poll::Ready(()),
                    Reading::Open => match poll_read(&mut self.transport, cx) {
                        Poll::Ready(Ok(bytes)) if !bytes.is_empty() => {}
                        Poll::Ready(_) => self.reading = Reading::Ended,
                        Poll::Pending => break,
                    },
                }
            }
        }
        let sleep = self.close_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(CLOSE_TIMEOUT)));
        sleep.as_mut().poll(cx)
    }

    /// Sets the timer; says whether it is due already.
    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let due = [self.connection.poll_timeout(), self.calls.poll_timeout()].into_iter().flatten().min();
        if !poll_sleep(&mut self.sleep, due, cx, now) {
            return false;
        }
        let now = tokio::time::Instant::now().into_std();
        self.connection.handle_timeout(now);
        self.calls.handle_timeout(&mut self.connection, now);
        true
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin, C: Calls> Future for Driver<T, C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        for _ in 0..ROUNDS_MAX {
            if this.closing {
                return this.poll_close(cx);
            }
            let now = this.handle_commands(None);
            // Reading goes on while the peer does not take what we have: two sides that both wait to write would wait for
            // ever. The engine bounds what may pile up.
            let read = this.read(cx, now);
            let calls = &mut this.calls;
            while let Some(event) = this.connection.poll_event() {
                calls.handle_event(&mut this.connection, now, event);
            }
            // Handlers that ran just now may have left something to send.
            let now = this.handle_commands(Some(now));
            let _ = this.write(cx, now);
            this.calls.settle(&mut this.connection, now);
            if this.connection.is_closed() && !this.transmit.is_empty() && this.poll_close(cx).is_ready() {
                // The engine has nothing more to say, and the peer does not take what it has said.
                return Poll::Ready(());
            }
            let wants_again = std::mem::take(&mut this.skipped) && this.connection.wants_bytes();
            if this.closing || read || wants_again || this.poll_timer(cx, now) {
                continue;
            }
            if this.connection.calls_open() == 0 && this.transmit.is_empty() {
                this.transmit.shrink(IDLE_TRANSMIT_BYTES);
                this.commands = Vec::new();
                this.inbox.shrink();
            }
            if this.inbox.sleep(cx) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T, C: Calls> Drop for Driver<T, C> {
    fn drop(&mut self) {
        let late = self.inbox.close();
        self.calls.close(late);
    }
}

/// Sets a timer; says whether it is due already.
pub(crate) fn poll_sleep(
    place: &mut Option<Pin<Box<Sleep>>>,
    due: Option<Instant>,
    cx: &mut Context<'_>,
    now: Instant,
) -> bool {
    let Some(due) = due else {
        *place = None;
        return false;
    };
    if due <= now {
        return true;
    }
    let due = tokio::time::Instant::from_std(due);
    let sleep = match place {
        // A timer that rings too early costs one look; moving it at every call would cost more.
        Some(sleep) if sleep.deadline() <= due && !sleep.is_elapsed() => sleep,
        Some(sleep) => {
            sleep.as_mut().reset(due);
            sleep
        }
        none => none.insert(Box::pin(tokio::time::sleep_until(due))),
    };
    sleep.as_mut().poll(cx).is_ready()
}

/// Memory for one read: what a full socket buffer delivers at once.
const READ_BYTES: usize = 128 * 1024;

/// Below this much free space a new buffer is taken.
const READ_BYTES_MIN: usize = 16 * 1024;

thread_local! {
    /// One buffer for all connections of a thread: an idle connection owns none.
    static READ_BUFFER: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// Reads what is there; no bytes at the end of the stream.
fn poll_read<T: AsyncRead + Unpin>(transport: &mut T, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
    READ_BUFFER.with_borrow_mut(|buffer| {
        if buffer.capacity() < READ_BYTES_MIN {
            buffer.reserve(READ_BYTES);
        }
        let read = pin!(transport.read_buf(buffer));
        ready!(read.poll(cx))?;
        Poll::Ready(Ok(buffer.split().freeze()))
    })
}

fn poll_write<T: AsyncWrite + Unpin>(
    transport: &mut T,
    cx: &mut Context<'_>,
    transmit: &Transmit,
) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let filled = transmit.io_slices(&mut slices);
    match &slices[..filled] {
        [slice] => Pin::new(transport).poll_write(cx, slice),
        slices => Pin::new(transport).poll_write_vectored(cx, slices),
    }
}
