use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes, BytesMut};

use crate::{Compression, Metadata, Status};

/// Bytes in front of every message where messages travel between a handler and the engine: one byte of flags (bit 0: the
/// message is compressed) and four of length, big-endian. It is also what gRPC writes on the wire.
pub const ENVELOPE_BYTES: usize = 5;

/// Bytes a sender may have waiting before it must wait itself: enough to fill a write, small enough that a slow reader costs
/// little memory.
pub const QUEUE_HIGH_WATER_BYTES: usize = 64 * 1024;

/// Messages from this size get memory of their own instead of being gathered with their neighbours.
const GATHER_BYTES_MAX: usize = 4 * 1024;

/// One message as it came, still compressed when the sender compressed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The message.
    pub bytes: Bytes,
    /// How it is compressed.
    pub compression: Compression,
}

/// Looks at a message and may end the stream.
#[doc(hidden)]
pub type Inspect<M> = dyn FnMut(&M) -> Result<(), Status> + Send;

/// One look, then the other.
fn both<M: ?Sized + 'static>(
    first: Option<Box<Inspect<M>>>,
    mut second: impl FnMut(&M) -> Result<(), Status> + Send + 'static,
) -> Box<Inspect<M>> {
    match first {
        None => Box::new(second),
        Some(mut first) => Box::new(move |message| first(message).and_then(|()| second(message))),
    }
}

/// The messages that come to the reader of a stream.
pub struct Incoming {
    source: Source,
    inspect: Option<Box<Inspect<Message>>>,
}

enum Source {
    /// The one message of a unary call, which is there before its handler starts.
    One(Option<Message>),
    Queue(Arc<IncomingQueue>),
}

impl Incoming {
    /// A stream of exactly one message.
    pub fn one(message: Message) -> Self {
        Self { source: Source::One(Some(message)), inspect: None }
    }

    /// A stream without messages.
    pub fn none() -> Self {
        Self { source: Source::One(None), inspect: None }
    }

    /// The messages of a queue.
    pub fn queue(queue: Arc<IncomingQueue>) -> Self {
        Self { source: Source::Queue(queue), inspect: None }
    }

    /// Shows each message to `inspect` before the reader gets it; an error ends the stream with that status.
    pub fn inspect(&mut self, inspect: impl FnMut(&Message) -> Result<(), Status> + Send + 'static) {
        self.inspect = Some(both(self.inspect.take(), inspect));
    }

    /// Takes away what [`inspect`](Self::inspect) was given, to show the messages elsewhere.
    #[doc(hidden)]
    pub fn take_inspect(&mut self) -> Option<Box<Inspect<Message>>> {
        self.inspect.take()
    }

    /// The next message, or `None` behind the last one.
    ///
    /// # Errors
    /// The status with which the stream ended, when that was not success.
    pub async fn next(&mut self) -> Result<Option<Message>, Status> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The polling form of [`next`](Self::next).
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Status>> {
        let next = match &mut self.source {
            Source::One(message) => Ok(message.take()),
            Source::Queue(queue) => std::task::ready!(queue.poll_next(cx)),
        };
        if let (Ok(Some(message)), Some(inspect)) = (&next, &mut self.inspect)
            && let Err(status) = inspect(message)
        {
            return Poll::Ready(Err(status));
        }
        Poll::Ready(next)
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::One(message) => f.debug_tuple("Incoming::One").field(message).finish(),
            Source::Queue(_) => f.write_str("Incoming::Queue"),
        }
    }
}

/// The hand-over of incoming messages from the task that owns the connection to the task that reads them.
///
/// The flow-control window bounds it: the owner gives the peer window back only for what [`take_released`](Self::take_released)
/// reports.
pub struct IncomingQueue {
    state: Mutex<IncomingState>,
    /// Bytes the reader has taken and the owner has not asked about.
    released_bytes: AtomicUsize,
    owner: Waker,
    release_bytes_min: usize,
}

#[derive(Default)]
struct IncomingState {
    /// The first message of most calls, so that they need no list.
    first: Option<Message>,
    messages: VecDeque<Message>,
    leading: Option<Metadata>,
    end: Option<(Result<(), Status>, Metadata)>,
    reader: Waiter,
    abandoned: bool,
    inspect: Option<Box<Inspect<Message>>>,
}

impl IncomingQueue {
    /// A queue whose owner is woken when the reader has taken `release_bytes_min` bytes or went away.
    pub fn new(owner: Waker, release_bytes_min: usize) -> Self {
        Self { state: Mutex::default(), released_bytes: AtomicUsize::new(0), owner, release_bytes_min }
    }

    /// Owner: another message has come.
    pub fn push(&self, message: Message) {
        let mut state = self.lock();
        if state.abandoned {
            // Nobody will read it: as good as read.
            self.released_bytes.fetch_add(message.bytes.len() + ENVELOPE_BYTES, Ordering::Relaxed);
            drop(state);
            return self.owner.wake_by_ref();
        }
        if let Some(inspect) = state.inspect.as_mut()
            && let Err(status) = inspect(&message)
        {
            drop(state);
            self.abort(status);
            // The owner learns by its next look that the call is over.
            return self.owner.wake_by_ref();
        }
        if state.first.is_none() && state.messages.is_empty() {
            state.first = Some(message);
        } else {
            state.messages.push_back(message);
        }
        state.reader.wake();
    }

    /// Owner: the leading metadata has come.
    pub fn set_leading(&self, leading: Metadata) {
        let mut state = self.lock();
        state.leading = Some(leading);
        state.reader.wake();
    }

    /// Owner: no message will follow. The first end stays.
    pub fn finish(&self, end: Result<(), Status>, trailing: Metadata) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some((end, trailing));
            if state.leading.is_none() {
                state.leading = Some(Metadata::new());
            }
            state.reader.wake();
        }
    }

    /// Owner: as [`finish`](Self::finish), and messages that nobody has read yet are dropped.
    pub fn abort(&self, status: Status) {
        let mut state = self.lock();
        state.first = None;
        state.messages.clear();
        drop(state);
        self.finish(Err(status), Metadata::new());
    }

    /// Shows each message that comes from now on to `inspect`; an error ends the stream with that status.
    #[doc(hidden)]
    pub fn set_inspect(&self, inspect: Box<Inspect<Message>>) {
        self.lock().inspect = Some(inspect);
    }

    /// Owner: how many bytes the reader has taken since the last time.
    pub fn take_released(&self) -> usize {
        // Most looks are for other reasons; a plain read is cheaper than a swap.
        match self.released_bytes.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.released_bytes.swap(0, Ordering::Relaxed),
        }
    }

    /// Reader: the next message.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Status>> {
        let mut state = self.lock();
        let message = match state.first.take() {
            Some(message) => Some(message),
            None => state.messages.pop_front(),
        };
        if let Some(message) = message {
            drop(state);
            let bytes = message.bytes.len() + ENVELOPE_BYTES;
            let before = self.released_bytes.fetch_add(bytes, Ordering::Relaxed);
            if before < self.release_bytes_min && before + bytes >= self.release_bytes_min {
                self.owner.wake_by_ref();
            }
            return Poll::Ready(Ok(Some(message)));
        }
        if let Some((end, _)) = &state.end {
            return Poll::Ready(end.clone().map(|()| None));
        }
        state.reader.wait(cx);
        Poll::Pending
    }

    /// Reader: the leading metadata, once it has come (empty when the stream ended without).
    pub fn poll_leading(&self, cx: &mut Context<'_>) -> Poll<Metadata> {
        let mut state = self.lock();
        match &state.leading {
            Some(leading) => Poll::Ready(leading.clone()),
            None => {
                state.reader.wait(cx);
                Poll::Pending
            }
        }
    }

    /// The trailing metadata, when the stream has ended.
    pub fn trailing(&self) -> Option<Metadata> {
        self.lock().end.as_ref().map(|(_, trailing)| trailing.clone())
    }

    /// Whether the stream has ended (messages may still wait to be read).
    pub fn is_finished(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Reader: nobody reads any more. Wakes the owner when the stream had not ended.
    pub fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned = true;
        let unread = state
            .first
            .take()
            .into_iter()
            .chain(state.messages.drain(..))
            .map(|m| m.bytes.len() + ENVELOPE_BYTES)
            .sum();
        self.released_bytes.fetch_add(unread, Ordering::Relaxed);
        let open = state.end.is_none();
        drop(state);
        if open {
            self.owner.wake_by_ref();
        }
    }

    /// How the stream has ended, when it has.
    pub fn result(&self) -> Option<Result<(), Status>> {
        self.lock().end.as_ref().map(|(result, _)| result.clone())
    }

    /// Whether the reader went away or the stream has ended: no more messages are of use.
    pub fn is_over(&self) -> bool {
        let state = self.lock();
        state.abandoned || state.end.is_some()
    }

    /// Whether the reader went away.
    pub fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    fn lock(&self) -> MutexGuard<'_, IncomingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for IncomingQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingQueue").finish_non_exhaustive()
    }
}

/// Where the writer of a stream puts its messages.
pub struct Outgoing {
    queue: Option<Arc<OutgoingQueue>>,
    inspect: Option<Box<Inspect<[u8]>>>,
}

impl Outgoing {
    /// For a method whose one response is its [`Reply`](crate::Reply).
    pub fn none() -> Self {
        Self { queue: None, inspect: None }
    }

    /// Writes to a queue.
    pub fn queue(queue: Arc<OutgoingQueue>) -> Self {
        Self { queue: Some(queue), inspect: None }
    }

    /// Shows each message to `inspect` before it goes out, uncompressed; an error is returned to the sender.
    pub fn inspect(&mut self, inspect: impl FnMut(&[u8]) -> Result<(), Status> + Send + 'static) {
        self.inspect = Some(both(self.inspect.take(), inspect));
    }

    /// Takes away what [`inspect`](Self::inspect) was given, to show the messages elsewhere.
    #[doc(hidden)]
    pub fn take_inspect(&mut self) -> Option<Box<Inspect<[u8]>>> {
        self.inspect.take()
    }

    /// Shows a message to those who asked for it.
    #[doc(hidden)]
    pub fn show(&mut self, message: &[u8]) -> Result<(), Status> {
        self.inspect.as_mut().map_or(Ok(()), |inspect| inspect(message))
    }

    /// Whether somebody wants to see the messages.
    #[doc(hidden)]
    pub fn is_inspected(&self) -> bool {
        self.inspect.is_some()
    }

    /// The queue, if this is a stream.
    pub fn as_queue(&self) -> Option<&Arc<OutgoingQueue>> {
        self.queue.as_ref()
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("streaming", &self.queue.is_some()).finish_non_exhaustive()
    }
}

/// What happens to a message when the peer is so slow that its stream's queue is full ([`QUEUE_HIGH_WATER_BYTES`]).
///
/// The queue is what has not been given to the connection yet; that has its own bounds and goes out whatever is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SlowConsumer {
    /// The call ends with RESOURCE_EXHAUSTED, and what waited in the queue is dropped.
    Disconnect,
    /// The oldest messages of the queue are dropped, and counted, until there is room: for values of which only the newest
    /// matter.
    DropOldest,
    /// The sender waits: every message arrives, at the pace of the peer.
    #[default]
    Wait,
}

/// The hand-over of outgoing messages from the task that writes them to the task that owns the connection.
///
/// Small messages are gathered, each in its envelope, so that a thousand of them leave as one piece.
pub struct OutgoingQueue {
    state: Mutex<OutgoingState>,
    owner: Waker,
}

#[derive(Default)]
struct OutgoingState {
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    queued_bytes: usize,
    leading: Option<Metadata>,
    leading_due: bool,
    leading_sent: bool,
    compression: Option<Compression>,
    notified: bool,
    ended: bool,
    closed: Option<Status>,
    writer: Waiter,
    when_slow: SlowConsumer,
    /// Messages that were dropped because the peer was too slow.
    dropped: u64,
    /// Absent in nearly all queues: nothing stands between the writer and the owner.
    gate: Option<Gate>,
}

/// What stands in the way of messages.
enum Gate {
    /// The writer waits until [`OutgoingQueue::open`].
    Shut,
    /// Each message is shown first.
    Inspect(Box<Inspect<Message>>),
}

impl OutgoingState {
    fn has_room(&self) -> bool {
        self.queued_bytes < QUEUE_HIGH_WATER_BYTES && !matches!(self.gate, Some(Gate::Shut))
    }

    /// Makes room as the writer has chosen; says whether there is some now.
    #[cold]
    fn make_room(&mut self) -> Result<bool, Status> {
        match self.when_slow {
            // Before the queue is opened nobody is slow yet.
            _ if matches!(self.gate, Some(Gate::Shut)) => Ok(false),
            SlowConsumer::Wait => Ok(false),
            SlowConsumer::DropOldest => {
                while !self.has_room() {
                    self.drop_oldest();
                }
                Ok(true)
            }
            SlowConsumer::Disconnect => {
                let status = Status::resource_exhausted("too slow: the messages of this stream were not taken in time");
                self.chunks.clear();
                self.tail.clear();
                self.queued_bytes = 0;
                self.closed = Some(status.clone());
                Err(status)
            }
        }
    }

    fn drop_oldest(&mut self) {
        let len = match self.chunks.front_mut() {
            Some(chunk) => {
                let len = envelope_len(chunk);
                // What is left of the chunk begins with the next envelope.
                chunk.advance(len);
                if chunk.is_empty() {
                    self.chunks.pop_front();
                }
                len
            }
            None => {
                let len = envelope_len(&self.tail);
                self.tail.advance(len);
                len
            }
        };
        self.queued_bytes -= len;
        self.dropped += 1;
    }
}

/// What [`OutgoingQueue::take`] took.
#[derive(Debug, Default)]
pub struct Taken {
    /// The leading metadata, when it is due now.
    pub leading: Option<Metadata>,
    /// Whether the writer has ended the stream.
    pub ended: bool,
}

impl OutgoingQueue {
    /// A queue whose owner is woken when there is something to take.
    pub fn new(owner: Waker) -> Self {
        Self { state: Mutex::default(), owner }
    }

    /// A queue that takes nothing before it is [opened](Self::open).
    #[doc(hidden)]
    pub fn shut(owner: Waker) -> Self {
        let state = OutgoingState { gate: Some(Gate::Shut), ..OutgoingState::default() };
        Self { state: Mutex::new(state), owner }
    }

    /// Lets the writer begin; each message is shown to `inspect`, where an error closes the queue with that status.
    #[doc(hidden)]
    pub fn open(&self, inspect: Option<Box<Inspect<Message>>>) {
        let mut state = self.lock();
        state.gate = inspect.map(Gate::Inspect);
        state.writer.wake();
    }

    /// Writer: ready when another message may be appended.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let mut state = self.lock();
        if let Some(status) = &state.closed {
            return Poll::Ready(Err(status.clone()));
        }
        if state.has_room() {
            return Poll::Ready(Ok(()));
        }
        state.writer.wait(cx);
        Poll::Pending
    }

    /// Writer: appends one message of `len` bytes, which `write` puts behind its envelope, whether or not there is room.
    ///
    /// # Errors
    /// The status with which the stream was closed.
    pub fn append(&self, compressed: bool, len: usize, write: impl FnOnce(&mut BytesMut)) -> Result<(), Status> {
        let state = self.lock();
        match &state.closed {
            Some(status) => Err(status.clone()),
            None => self.append_to(state, compressed, len, write),
        }
    }

    /// Writer: appends one message if there is room now, and says whether there was.
    ///
    /// # Errors
    /// The status with which the stream was closed.
    #[inline]
    pub fn try_append(&self, compressed: bool, len: usize, write: impl FnOnce(&mut BytesMut)) -> Result<bool, Status> {
        let mut state = self.lock();
        if let Some(status) = &state.closed {
            return Err(status.clone());
        }
        if !state.has_room() && !state.make_room()? {
            return Ok(false);
        }
        self.append_to(state, compressed, len, write)?;
        Ok(true)
    }

    /// Writer: as [`try_append`](Self::try_append), of a message that is in its envelope already and may stand in other queues
    /// as well.
    ///
    /// # Errors
    /// The status with which the stream was closed.
    pub fn try_append_enveloped(&self, enveloped: &Bytes) -> Result<bool, Status> {
        let mut state = self.lock();
        if let Some(status) = &state.closed {
            return Err(status.clone());
        }
        if !state.has_room() && !state.make_room()? {
            return Ok(false);
        }
        if state.gate.is_some() {
            self.append_shown(state, enveloped[0] & 1 == 1, enveloped.clone())?;
            return Ok(true);
        }
        if enveloped.len() <= GATHER_BYTES_MAX && state.queued_bytes > 0 {
            state.tail.extend_from_slice(enveloped);
        } else {
            if !state.tail.is_empty() {
                let tail = state.tail.split().freeze();
                state.chunks.push_back(tail);
            }
            state.chunks.push_back(enveloped.clone());
        }
        state.queued_bytes += enveloped.len();
        self.notify(state);
        Ok(true)
    }

    /// Writer: what happens when the peer is too slow.
    pub fn set_when_slow(&self, when_slow: SlowConsumer) {
        let mut state = self.lock();
        state.when_slow = when_slow;
        state.writer.wake();
    }

    /// What was chosen by [`set_when_slow`](Self::set_when_slow).
    pub fn when_slow(&self) -> SlowConsumer {
        self.lock().when_slow
    }

    /// How many messages were dropped because the peer was too slow.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    #[inline]
    fn append_to(
        &self,
        mut state: MutexGuard<'_, OutgoingState>,
        compressed: bool,
        len: usize,
        write: impl FnOnce(&mut BytesMut),
    ) -> Result<(), Status> {
        let whole = len + ENVELOPE_BYTES;
        if state.gate.is_some() {
            let mut chunk = BytesMut::with_capacity(whole);
            put_envelope(&mut chunk, compressed, len, write);
            return self.append_shown(state, compressed, chunk.freeze());
        }
        if whole > GATHER_BYTES_MAX {
            if !state.tail.is_empty() {
                let tail = state.tail.split().freeze();
                state.chunks.push_back(tail);
            }
            let mut chunk = BytesMut::with_capacity(whole);
            put_envelope(&mut chunk, compressed, len, write);
            state.chunks.push_back(chunk.freeze());
        } else {
            state.tail.reserve(whole);
            put_envelope(&mut state.tail, compressed, len, write);
        }
        state.queued_bytes += whole;
        self.notify(state);
        Ok(())
    }

    /// Shows a message, which is in its envelope already, and appends it.
    #[cold]
    fn append_shown(
        &self,
        mut state: MutexGuard<'_, OutgoingState>,
        compressed: bool,
        enveloped: Bytes,
    ) -> Result<(), Status> {
        let compression = if compressed { state.compression.unwrap_or_default() } else { Compression::Identity };
        if let Some(Gate::Inspect(inspect)) = &mut state.gate {
            let message = Message { bytes: enveloped.slice(ENVELOPE_BYTES..), compression };
            if let Err(status) = inspect(&message) {
                state.closed = Some(status.clone());
                return Err(status);
            }
        }
        if !state.tail.is_empty() {
            let tail = state.tail.split().freeze();
            state.chunks.push_back(tail);
        }
        state.queued_bytes += enveloped.len();
        state.chunks.push_back(enveloped);
        self.notify(state);
        Ok(())
    }

    /// Writer: the leading metadata may go out even before the first message.
    pub fn flush_leading(&self) {
        let mut state = self.lock();
        state.leading_due = true;
        self.notify(state);
    }

    /// Writer: adds to the leading metadata; without effect once it is on its way.
    pub fn extend_leading(&self, entries: &Metadata) {
        let mut state = self.lock();
        if !state.leading_sent {
            state.leading.get_or_insert_default().extend(entries);
        }
    }

    /// Writer: which compression the following messages should have.
    pub fn set_compression(&self, compression: Compression) {
        self.lock().compression = Some(compression);
    }

    /// What was asked for by [`set_compression`](Self::set_compression).
    pub fn compression(&self) -> Option<Compression> {
        self.lock().compression
    }

    /// Writer: nothing will follow.
    pub fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        self.notify(state);
    }

    /// Owner: takes all that waits, in order, behind what `chunks` holds already.
    pub fn take(&self, chunks: &mut Vec<Bytes>) -> Taken {
        let mut state = self.lock();
        state.notified = false;
        chunks.extend(state.chunks.drain(..));
        if !state.tail.is_empty() {
            let tail = state.tail.split().freeze();
            chunks.push(tail);
        }
        let mut taken = Taken { leading: None, ended: state.ended };
        if !state.leading_sent && (state.leading_due || state.queued_bytes > 0) {
            state.leading_sent = true;
            taken.leading = Some(state.leading.take().unwrap_or_default());
        }
        state.queued_bytes = 0;
        state.writer.wake();
        taken
    }

    /// Owner: the leading metadata that has not gone out, for an answer that ends without a message.
    pub fn take_leading(&self) -> Option<Metadata> {
        let mut state = self.lock();
        if state.leading_sent {
            return None;
        }
        state.leading_sent = true;
        state.leading.take()
    }

    /// Owner: the stream is over; what the writer appends from now on is refused with this status.
    pub fn close(&self, status: Status) {
        let mut state = self.lock();
        if state.closed.is_none() {
            state.closed = Some(status);
        }
        state.writer.wake();
    }

    /// Whether the stream is over for the writer.
    pub fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    fn notify(&self, mut state: MutexGuard<'_, OutgoingState>) {
        if !std::mem::replace(&mut state.notified, true) {
            drop(state);
            self.owner.wake_by_ref();
        }
    }

    fn lock(&self) -> MutexGuard<'_, OutgoingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for OutgoingQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingQueue").finish_non_exhaustive()
    }
}

/// Bytes of the message at the front, with its envelope.
fn envelope_len(front: &[u8]) -> usize {
    let len = front[1..ENVELOPE_BYTES].try_into().expect("a queue holds whole envelopes");
    ENVELOPE_BYTES + u32::from_be_bytes(len) as usize
}

/// Writes an envelope around the `len` bytes that `write` puts.
#[inline]
pub(crate) fn put_envelope(buffer: &mut BytesMut, compressed: bool, len: usize, write: impl FnOnce(&mut BytesMut)) {
    let [a, b, c, d] = u32::try_from(len).expect("a message is refused long before it has 4 GiB").to_be_bytes();
    buffer.extend_from_slice(&[u8::from(compressed), a, b, c, d]);
    let start = buffer.len();
    write(buffer);
    assert_eq!(buffer.len() - start, len, "a message is as long as it said");
}

/// The one task that may wait at an end of a queue.
///
/// Its waker stays when it has been woken: a stream's reader is nearly always the same task again. It is woken under the lock;
/// tasks do not run where they are woken.
#[derive(Default)]
struct Waiter {
    waker: Option<Waker>,
    waits: bool,
}

impl Waiter {
    fn wait(&mut self, cx: &Context<'_>) {
        self.waits = true;
        match &self.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => self.waker = Some(cx.waker().clone()),
        }
    }

    fn wake(&mut self) {
        if std::mem::take(&mut self.waits)
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    fn text(queue: &IncomingQueue) -> Poll<Result<Option<Message>, Status>> {
        queue.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn messages_come_in_order_and_the_end_behind_them() {
        let queue = IncomingQueue::new(Waker::noop().clone(), 1);
        for byte in 0..3_u8 {
            queue.push(Message { bytes: Bytes::copy_from_slice(&[byte]), compression: Compression::Identity });
        }
        queue.finish(Err(Status::not_found("gone")), Metadata::new());
        for byte in 0..3_u8 {
            assert!(matches!(text(&queue), Poll::Ready(Ok(Some(m))) if m.bytes[0] == byte));
        }
        assert_eq!(queue.take_released(), 3 * (1 + ENVELOPE_BYTES));
        assert_eq!(text(&queue), Poll::Ready(Err(Status::not_found("gone"))));
    }

    #[test]
    fn small_messages_leave_as_one_piece_and_a_large_one_alone() {
        let queue = OutgoingQueue::new(Waker::noop().clone());
        for _ in 0..10 {
            queue.append(false, 3, |b| b.put_slice(b"abc")).unwrap();
        }
        queue.append(true, 10_000, |b| b.put_bytes(7, 10_000)).unwrap();
        queue.append(false, 1, |b| b.put_u8(1)).unwrap();
        queue.end();
        let mut chunks = Vec::new();
        let taken = queue.take(&mut chunks);
        assert!(taken.ended);
        assert_eq!(taken.leading, Some(Metadata::new()));
        assert_eq!(chunks.iter().map(Bytes::len).collect::<Vec<_>>(), [80, 10_005, 6]);
        assert_eq!(&chunks[0][..8], b"\x00\x00\x00\x00\x03abc");
        assert_eq!(&chunks[1][..5], b"\x01\x00\x00\x27\x10");
        assert!(queue.take(&mut chunks).leading.is_none());
    }

    #[test]
    fn a_shut_queue_makes_its_writer_wait_and_shows_its_messages_once_open() {
        let queue = OutgoingQueue::shut(Waker::noop().clone());
        assert_eq!(queue.try_append(false, 1, |b| b.put_u8(1)), Ok(false));
        queue.open(Some(Box::new(|message| match message.bytes[0] {
            2 => Err(Status::aborted("two")),
            _ => Ok(()),
        })));
        assert_eq!(queue.try_append(false, 1, |b| b.put_u8(1)), Ok(true));
        assert_eq!(queue.try_append(false, 1, |b| b.put_u8(2)), Err(Status::aborted("two")));
        assert_eq!(queue.try_append(false, 1, |b| b.put_u8(3)), Err(Status::aborted("two")));
        let mut chunks = Vec::new();
        queue.take(&mut chunks);
        assert_eq!(chunks, [&b"\x00\x00\x00\x00\x01\x01"[..]]);
    }

    #[test]
    fn a_message_that_is_refused_ends_the_stream_with_the_reason() {
        let queue = IncomingQueue::new(Waker::noop().clone(), 1);
        queue.set_inspect(Box::new(|message| match message.bytes.len() {
            0 => Err(Status::aborted("empty")),
            _ => Ok(()),
        }));
        queue.push(Message { bytes: Bytes::from_static(b"a"), compression: Compression::Identity });
        queue.push(Message::default());
        assert!(queue.is_over());
        assert_eq!(text(&queue), Poll::Ready(Err(Status::aborted("empty"))));
    }

    #[test]
    fn everybody_who_inspects_sees_the_messages() {
        let seen = Arc::new(AtomicUsize::new(0));
        let mut incoming = Incoming::one(Message::default());
        for _ in 0..2 {
            let seen = Arc::clone(&seen);
            incoming.inspect(move |_| {
                seen.fetch_add(1, Ordering::Relaxed);
                Ok(())
            });
        }
        assert!(incoming.poll_next(&mut Context::from_waker(Waker::noop())).is_ready());
        assert_eq!(seen.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_full_queue_makes_its_writer_wait_until_it_is_taken() {
        let queue = OutgoingQueue::new(Waker::noop().clone());
        let mut cx = Context::from_waker(Waker::noop());
        queue.append(false, QUEUE_HIGH_WATER_BYTES, |b| b.put_bytes(0, QUEUE_HIGH_WATER_BYTES)).unwrap();
        assert!(queue.poll_ready(&mut cx).is_pending());
        queue.take(&mut Vec::new());
        assert!(queue.poll_ready(&mut cx).is_ready());
        queue.close(Status::cancelled("over"));
        assert_eq!(queue.poll_ready(&mut cx), Poll::Ready(Err(Status::cancelled("over"))));
    }

    fn numbered(queue: &OutgoingQueue, number: u8, len: usize) -> Result<bool, Status> {
        queue.try_append(false, len, |b| b.put_bytes(number, len))
    }

    /// The numbers of the messages that wait.
    fn taken(queue: &OutgoingQueue) -> Vec<u8> {
        let mut chunks = Vec::new();
        queue.take(&mut chunks);
        let mut bytes = chunks.concat();
        let mut numbers = Vec::new();
        while !bytes.is_empty() {
            numbers.push(bytes[ENVELOPE_BYTES]);
            bytes.drain(..envelope_len(&bytes));
        }
        numbers
    }

    #[test]
    fn a_full_queue_that_drops_keeps_the_newest_messages() {
        for len in [1000, 10_000] {
            let queue = OutgoingQueue::new(Waker::noop().clone());
            queue.set_when_slow(SlowConsumer::DropOldest);
            for number in 0..200 {
                assert!(numbered(&queue, number, len).unwrap());
            }
            let numbers = taken(&queue);
            let dropped = queue.dropped();
            assert_eq!(dropped as usize + numbers.len(), 200);
            assert!(numbers.len() * (len + ENVELOPE_BYTES) >= QUEUE_HIGH_WATER_BYTES);
            assert!((numbers.len() - 1) * (len + ENVELOPE_BYTES) < QUEUE_HIGH_WATER_BYTES);
            assert_eq!(numbers, (dropped as u8..200).collect::<Vec<_>>());
            // Taken messages are on their way: nothing of them is dropped any more.
            numbered(&queue, 7, len).unwrap();
            assert_eq!((taken(&queue), queue.dropped()), (vec![7], dropped));
        }
    }

    #[test]
    fn a_message_as_large_as_the_queue_takes_the_place_of_all_others() {
        let queue = OutgoingQueue::new(Waker::noop().clone());
        queue.set_when_slow(SlowConsumer::DropOldest);
        numbered(&queue, 1, 10).unwrap();
        numbered(&queue, 2, 2 * QUEUE_HIGH_WATER_BYTES).unwrap();
        numbered(&queue, 3, 2 * QUEUE_HIGH_WATER_BYTES).unwrap();
        assert_eq!((taken(&queue), queue.dropped()), (vec![3], 2));
    }

    #[test]
    fn a_full_queue_that_disconnects_is_closed_and_empty() {
        let queue = OutgoingQueue::new(Waker::noop().clone());
        queue.set_when_slow(SlowConsumer::Disconnect);
        let error = loop {
            if let Err(error) = numbered(&queue, 1, 1000) {
                break error;
            }
        };
        assert_eq!(error.code(), crate::Code::ResourceExhausted);
        assert!(error.message().contains("too slow"));
        assert_eq!(numbered(&queue, 2, 1), Err(error));
        assert!(taken(&queue).is_empty());
    }

    #[test]
    fn a_shared_message_is_not_copied_into_an_empty_queue_and_keeps_its_place_in_others() {
        let shared = Bytes::from_static(b"\x00\x00\x00\x00\x01\x05");
        let queue = OutgoingQueue::new(Waker::noop().clone());
        assert!(queue.try_append_enveloped(&shared).unwrap());
        let mut chunks = Vec::new();
        queue.take(&mut chunks);
        assert_eq!(chunks[0].as_ptr(), shared.as_ptr());
        numbered(&queue, 1, 1).unwrap();
        numbered(&queue, 2, 10_000).unwrap();
        queue.try_append_enveloped(&shared).unwrap();
        numbered(&queue, 3, 1).unwrap();
        assert_eq!(taken(&queue), [1, 2, 5, 3]);
    }
}
