//! One message to many streams.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
};

use polywire_core::{OutgoingQueue, SlowConsumer, Status};
use tokio::sync::oneshot;

use crate::{
    message::AnyMessage,
    streams::{Forms, Sender},
};

/// Sends each message to all streams that subscribe, and waits for none of them.
///
/// A message is encoded and compressed once for each codec and compression in use, however many subscribe; the same bytes stand in
/// all their queues. What happens to a subscriber that is too slow, its sender was told by [`Sender::when_slow`]:
/// [`SlowConsumer::DropOldest`] leaves it the newest messages. [`SlowConsumer::Disconnect`] ends its call, and so does
/// [`SlowConsumer::Wait`] here: it shall get every message, and nobody waits for it.
///
/// ```ignore
/// async fn watch(&self, _call: &mut Call, _request: WatchView<'_>, mut responses: Sender<Price>) -> Result<(), Status> {
///     responses.when_slow(SlowConsumer::DropOldest);
///     self.prices.subscribe(responses)?.await
/// }
/// // and wherever a price is made:
/// self.prices.send(&price)?;
/// ```
///
/// Clones are the same broadcast. When the last is dropped, all subscriptions end well.
pub struct Broadcast<M> {
    shared: Arc<Shared<M>>,
}

impl<M: AnyMessage> Broadcast<M> {
    /// Subscribers at a time unless [`with_subscribers_max`](Self::with_subscribers_max) says otherwise. If all are slow at once,
    /// their queues hold at most this many times 64 KiB of different messages, and far less while they share them.
    pub const SUBSCRIBERS_MAX: usize = 10_000;

    /// Nobody has subscribed yet.
    pub fn new() -> Self {
        Self::with_subscribers_max(Self::SUBSCRIBERS_MAX)
    }

    /// As [`new`](Self::new), for so many subscribers at a time.
    pub fn with_subscribers_max(subscribers_max: usize) -> Self {
        let subscribers = Subscribers { places: Vec::new(), free: Vec::new(), next: 0, subscribers_max };
        Self { shared: Arc::new(Shared { subscribers: Mutex::new(subscribers) }) }
    }

    /// Sends every message from now on to this stream, until the subscription is dropped or ends.
    ///
    /// A handler awaits the subscription: it ends with the call's status.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when there are as many subscribers as may be.
    pub fn subscribe(&self, sender: Sender<M>) -> Result<Subscription<M>, Status> {
        let queue = Arc::clone(sender.stream()?);
        if queue.when_slow() == SlowConsumer::Wait {
            queue.set_when_slow(SlowConsumer::Disconnect);
        }
        let (ends, end) = oneshot::channel();
        let mut subscribers = self.shared.lock();
        let Some((place, number)) = subscribers.insert(sender, ends) else {
            return Err(Status::resource_exhausted("there are as many subscribers as may be (subscribers_max)"));
        };
        drop(subscribers);
        Ok(Subscription { shared: Arc::downgrade(&self.shared), place, number, queue, end })
    }

    /// Puts a message into the queues of all who subscribe now, without waiting; says how many they are.
    ///
    /// Subscribers whose call is over, or who were too slow, are removed.
    ///
    /// # Errors
    /// When the message cannot be encoded or compressed; whoever wants it in that form does not get it.
    pub fn send(&self, message: &M) -> Result<usize, Status> {
        let forms = Forms::default();
        let mut removed = Vec::new();
        let mut failure = None;
        let mut reached = 0;
        let mut subscribers = self.shared.lock();
        for place in 0..subscribers.places.len() {
            let Some(Subscriber { sender, .. }) = &mut subscribers.places[place] else { continue };
            let enveloped = match sender.shared_form(message, &forms) {
                Ok(enveloped) => enveloped,
                Err(status) => {
                    failure = Some(status);
                    continue;
                }
            };
            match sender.show(message).and_then(|()| sender.try_send_enveloped(&enveloped)) {
                // There is no room only while the sender's own interceptors have not let its call through.
                Ok(took) => reached += usize::from(took),
                Err(status) => removed.extend(subscribers.remove(place).map(|subscriber| (subscriber, status))),
            }
        }
        // Woken without the lock: whoever ends may want to subscribe again.
        drop(subscribers);
        for (Subscriber { sender, ends, .. }, status) in removed {
            drop(sender);
            let _ = ends.send(Err(status));
        }
        failure.map_or(Ok(reached), Err)
    }

    /// Ends all subscriptions well, behind what was sent.
    pub fn close(&self) {
        let mut subscribers = self.shared.lock();
        let places = std::mem::take(&mut subscribers.places);
        subscribers.free.clear();
        drop(subscribers);
        drop(places);
    }

    /// How many subscribe at the moment.
    pub fn subscribers(&self) -> usize {
        let subscribers = self.shared.lock();
        subscribers.places.len() - subscribers.free.len()
    }
}

impl<M: AnyMessage> Default for Broadcast<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> Clone for Broadcast<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<M> fmt::Debug for Broadcast<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast").finish_non_exhaustive()
    }
}

/// A stream that a [`Broadcast`] sends to. Dropping it ends that.
///
/// As a future it is ready when nothing more will be sent: with the status of a call that is over or was too slow, or well
/// when the broadcast was closed.
#[must_use = "a subscription that is dropped ends at once"]
pub struct Subscription<M> {
    shared: Weak<Shared<M>>,
    place: usize,
    number: u64,
    queue: Arc<OutgoingQueue>,
    end: oneshot::Receiver<Result<(), Status>>,
}

impl<M> Subscription<M> {
    /// How many messages were dropped because the subscriber was too slow ([`SlowConsumer::DropOldest`]).
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }
}

impl<M> Future for Subscription<M> {
    type Output = Result<(), Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Nobody who could end it: the broadcast was closed.
        Pin::new(&mut self.end).poll(cx).map(|end| end.unwrap_or(Ok(())))
    }
}

impl<M> Drop for Subscription<M> {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let mut subscribers = shared.lock();
        let mine =
            subscribers.places.get(self.place).and_then(Option::as_ref).is_some_and(|it| it.number == self.number);
        let removed = if mine { subscribers.remove(self.place) } else { None };
        drop(subscribers);
        drop(removed);
    }
}

impl<M> fmt::Debug for Subscription<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

struct Shared<M> {
    subscribers: Mutex<Subscribers<M>>,
}

impl<M> Shared<M> {
    fn lock(&self) -> MutexGuard<'_, Subscribers<M>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who subscribes. A place is used again when its subscriber has gone.
struct Subscribers<M> {
    places: Vec<Option<Subscriber<M>>>,
    free: Vec<usize>,
    /// Tells subscribers apart that had the same place.
    next: u64,
    subscribers_max: usize,
}

struct Subscriber<M> {
    number: u64,
    sender: Sender<M>,
    ends: oneshot::Sender<Result<(), Status>>,
}

impl<M> Subscribers<M> {
    fn insert(&mut self, sender: Sender<M>, ends: oneshot::Sender<Result<(), Status>>) -> Option<(usize, u64)> {
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.places.len() < self.subscribers_max => {
                self.places.push(None);
                self.places.len() - 1
            }
            None => return None,
        };
        let number = self.next;
        self.next += 1;
        self.places[place] = Some(Subscriber { number, sender, ends });
        Some((place, number))
    }

    fn remove(&mut self, place: usize) -> Option<Subscriber<M>> {
        let removed = self.places[place].take()?;
        self.free.push(place);
        Some(removed)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use buffa_types::google::protobuf::StringValue;
    use bytes::Bytes;
    use polywire_core::{Codec, Compression, Outgoing};

    use super::*;
    use crate::{message::enveloped, streams::SendCompression};

    fn subscriber(codec: Codec, compression: Compression) -> (Sender<StringValue>, Arc<OutgoingQueue>) {
        let queue = Arc::new(OutgoingQueue::new(Waker::noop().clone()));
        let outgoing = Outgoing::queue(Arc::clone(&queue));
        (Sender::new(outgoing, codec, SendCompression::Fixed(compression.into())), queue)
    }

    fn taken(queue: &OutgoingQueue) -> Vec<Bytes> {
        let mut chunks = Vec::new();
        queue.take(&mut chunks);
        chunks
    }

    #[test]
    fn a_message_is_made_once_for_each_form_and_shared_by_all_who_want_it() {
        let forms = [
            (Codec::Proto, Compression::Identity),
            (Codec::Proto, Compression::Gzip),
            (Codec::Json, Compression::Identity),
            (Codec::Json, Compression::Zstd),
        ];
        let broadcast = Broadcast::new();
        let mut queues = Vec::new();
        let mut subscriptions = Vec::new();
        for _ in 0..3 {
            for (codec, compression) in forms {
                let (sender, queue) = subscriber(codec, compression);
                subscriptions.push(broadcast.subscribe(sender).unwrap());
                queues.push(queue);
            }
        }
        let message = StringValue { value: "again and again ".repeat(100), ..Default::default() };
        assert_eq!(broadcast.send(&message), Ok(12));
        let first: Vec<_> = queues[..4].iter().map(|queue| taken(queue)).collect();
        for ((codec, compression), chunks) in forms.into_iter().zip(&first) {
            assert_eq!(chunks[..], [enveloped(codec, compression.into(), &message).unwrap()]);
        }
        for (index, queue) in queues[4..].iter().enumerate() {
            // Not only equal: the same memory.
            assert_eq!(taken(queue)[0].as_ptr(), first[index % 4][0].as_ptr());
        }
        drop(subscriptions);
        assert_eq!(broadcast.subscribers(), 0);
    }

    #[test]
    fn a_place_that_is_used_again_is_not_given_up_for_its_former_owner() {
        let broadcast = Broadcast::with_subscribers_max(1);
        let (sender, queue) = subscriber(Codec::Proto, Compression::Identity);
        let first = broadcast.subscribe(sender).unwrap();
        let full = broadcast.subscribe(subscriber(Codec::Proto, Compression::Identity).0).unwrap_err();
        assert_eq!(full.code(), polywire_core::Code::ResourceExhausted);
        queue.close(Status::cancelled("gone"));
        let message = StringValue::default();
        assert_eq!(broadcast.send(&message), Ok(0));
        let second = broadcast.subscribe(subscriber(Codec::Proto, Compression::Identity).0).unwrap();
        drop(first);
        assert_eq!((broadcast.subscribers(), broadcast.send(&message)), (1, Ok(1)));
        broadcast.close();
        let third = broadcast.subscribe(subscriber(Codec::Proto, Compression::Identity).0).unwrap();
        drop(second);
        assert_eq!(broadcast.subscribers(), 1);
        drop(third);
        assert_eq!(broadcast.subscribers(), 0);
    }
}
