use std::{
    any::{Any, TypeId},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{Address, Codec, Compression, CompressionSet, InvalidMetadata, Metadata, Method, OutgoingQueue, Peer};

/// One invocation of a method, from its start to its status, as both sides see it.
///
/// A handler and every interceptor get it beside the messages: it says who calls what until when, and takes the metadata of
/// the answer.
#[derive(Debug)]
pub struct Call {
    method: Method,
    head: Arc<RequestHead>,
    deadline: Option<Instant>,
    peer: Arc<Peer>,
    answer: Option<Box<Answer>>,
    /// Set for a streaming answer: there leading metadata must go out before the first message.
    outgoing: Option<Arc<OutgoingQueue>>,
    message_bytes_max: usize,
    extensions: Extensions,
}

/// What a request says before its first message. Calls with the same headers share one.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// `/package.Service/Method`.
    pub path: String,
    /// Which host the caller meant.
    pub authority: String,
    /// The metadata of the application.
    pub metadata: Metadata,
    /// How long the caller waits for the whole call.
    pub timeout: Option<Duration>,
    /// How messages are written.
    pub codec: Codec,
    /// How compressed messages of the caller are compressed.
    pub compression: Compression,
    /// What the answer may be compressed with.
    pub accepts: CompressionSet,
    /// Which protocol it came by.
    pub protocol: Protocol,
    /// Which wire it came by.
    pub wire: Wire,
    /// It came by GET: only a method without side effects may answer.
    pub get: bool,
    /// It came in a form that has exactly one message each way.
    pub unary: bool,
    /// The query of the URL as it came, where the call has one.
    pub query: String,
}

#[derive(Debug, Default)]
struct Answer {
    leading: Metadata,
    trailing: Metadata,
    compression: Option<Compression>,
}

impl Call {
    /// A call of a method, as the runtime makes it.
    #[doc(hidden)]
    pub fn new(method: Method, head: Arc<RequestHead>, deadline: Option<Instant>, peer: Arc<Peer>) -> Self {
        Self {
            method,
            head,
            deadline,
            peer,
            answer: None,
            outgoing: None,
            message_bytes_max: usize::MAX,
            extensions: Extensions::default(),
        }
    }

    /// Lets leading metadata travel by the queue of a streaming answer.
    #[doc(hidden)]
    pub fn attach(&mut self, outgoing: Arc<OutgoingQueue>) {
        self.outgoing = Some(outgoing);
    }

    /// Sets how long a message may be after decompression, in bytes.
    pub fn set_message_bytes_max(&mut self, bytes: usize) {
        self.message_bytes_max = bytes;
    }

    /// How long a message may be after decompression, in bytes.
    pub fn message_bytes_max(&self) -> usize {
        self.message_bytes_max
    }

    /// Replaces the deadline.
    ///
    /// On the client an interceptor may set or shorten it before the call goes on; on the server the runtime keeps to the
    /// earlier of this and what the caller asked for.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// The metadata that came with the request (server) or will go with it (client), to change it.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut Arc::make_mut(&mut self.head).metadata
    }

    /// Adds a text entry to the metadata that goes out before the first message of the answer.
    ///
    /// # Errors
    /// When key or value may not travel. After the first message of a streaming answer the entry comes too late and is
    /// dropped.
    pub fn append_leading(&mut self, key: &str, value: &str) -> Result<(), InvalidMetadata> {
        let mut entry = Metadata::new();
        entry.append(key, value)?;
        self.extend_leading(&entry);
        Ok(())
    }

    /// Adds a binary entry to the leading metadata of the answer; the key ends in `-bin`.
    ///
    /// # Errors
    /// As [`append_leading`](Self::append_leading).
    pub fn append_leading_bin(&mut self, key: &str, value: &[u8]) -> Result<(), InvalidMetadata> {
        let mut entry = Metadata::new();
        entry.append_bin(key, value)?;
        self.extend_leading(&entry);
        Ok(())
    }

    fn extend_leading(&mut self, entries: &Metadata) {
        match &self.outgoing {
            Some(outgoing) => outgoing.extend_leading(entries),
            None => self.answer.get_or_insert_default().leading.extend(entries),
        }
    }

    /// The metadata that goes out with the status.
    pub fn trailing_mut(&mut self) -> &mut Metadata {
        &mut self.answer.get_or_insert_default().trailing
    }

    /// Asks for the messages of the answer to be compressed this way; without it the server's own setting decides. What the
    /// caller does not accept is sent uncompressed.
    pub fn set_response_compression(&mut self, compression: Compression) {
        self.answer.get_or_insert_default().compression = Some(compression);
        if let Some(outgoing) = &self.outgoing {
            outgoing.set_compression(compression);
        }
    }

    /// Values that interceptors leave for one another and for the handler.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// Which method is called.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The metadata of the request.
    pub fn metadata(&self) -> &Metadata {
        &self.head.metadata
    }

    /// Which host the caller meant (`:authority`).
    pub fn authority(&self) -> &str {
        &self.head.authority
    }

    /// After which moment nobody waits for the answer any more.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The other side.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Where the other side is.
    pub fn address(&self) -> &Address {
        &self.peer.address
    }

    /// By which wire the call travels.
    pub fn wire(&self) -> Wire {
        self.head.wire
    }

    /// By which protocol the call travels.
    pub fn protocol(&self) -> Protocol {
        self.head.protocol
    }

    /// The query of the URL the call came by, as it came; empty where the protocol has none.
    pub fn query(&self) -> &str {
        &self.head.query
    }

    /// How its messages are written.
    pub fn codec(&self) -> Codec {
        self.head.codec
    }

    /// How compressed requests are compressed.
    pub fn request_compression(&self) -> Compression {
        self.head.compression
    }

    /// What the caller accepts the answer to be compressed with.
    pub fn accepts(&self) -> CompressionSet {
        self.head.accepts
    }

    /// What was asked for by [`set_response_compression`](Self::set_response_compression).
    pub fn response_compression(&self) -> Option<Compression> {
        self.answer.as_ref().and_then(|answer| answer.compression)
    }

    /// The metadata that came (client) or will go (server) with the status.
    pub fn trailing(&self) -> &Metadata {
        self.answer.as_ref().map_or(&EMPTY, |answer| &answer.trailing)
    }

    /// The leading metadata of an answer that is not streaming; that of a streaming one is with its messages.
    pub fn leading(&self) -> &Metadata {
        self.answer.as_ref().map_or(&EMPTY, |answer| &answer.leading)
    }

    /// Values that interceptors leave for one another and for the handler.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// What the request says before its messages.
    #[doc(hidden)]
    pub fn head(&self) -> &Arc<RequestHead> {
        &self.head
    }

    /// Fills in what the peer answered, for the interceptors of a client.
    #[doc(hidden)]
    pub fn set_answer(&mut self, leading: Metadata, trailing: Metadata) {
        let answer = self.answer.get_or_insert_default();
        answer.leading = leading;
        answer.trailing = trailing;
    }
}

static EMPTY: Metadata = Metadata::new();

/// How a connection is cut into streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Wire {
    /// RFC 9112.
    Http1,
    /// RFC 9113.
    #[default]
    Http2,
    /// No wire at all: both sides are in one process.
    Memory,
    /// polywire's own frames (`docs/native-protocol.md`).
    Native,
    /// RFC 6455 messages that hold native frames or JSON text.
    WebSocket,
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "http/2",
            Self::Memory => "memory",
            Self::Native => "native",
            Self::WebSocket => "websocket",
        })
    }
}

/// How a call is written on a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// The Connect protocol.
    Connect,
    /// gRPC over HTTP/2.
    #[default]
    Grpc,
    /// gRPC-Web, binary or text.
    GrpcWeb,
    /// polywire's own frames.
    Native,
    /// JSON over HTTP by the annotation `google.api.http`.
    Rest,
    /// JSON objects in WebSocket text messages.
    Text,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Grpc => "grpc",
            Self::GrpcWeb => "grpc-web",
            Self::Native => "native",
            Self::Rest => "rest",
            Self::Text => "text",
        })
    }
}

/// Values of any type, one of each, that travel with a call inside this process.
#[derive(Default)]
pub struct Extensions {
    values: Vec<(TypeId, Box<dyn Any + Send + Sync>)>,
}

impl Extensions {
    /// Leaves a value and gives back the one of that type that was there.
    pub fn insert<T: Any + Send + Sync>(&mut self, value: T) -> Option<T> {
        let old = self.remove();
        self.values.push((TypeId::of::<T>(), Box::new(value)));
        old
    }

    /// Takes the value of that type away.
    pub fn remove<T: Any + Send + Sync>(&mut self) -> Option<T> {
        let place = self.values.iter().position(|(id, _)| *id == TypeId::of::<T>())?;
        self.values.swap_remove(place).1.downcast().ok().map(|value| *value)
    }

    /// The value of that type.
    pub fn find<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.values.iter().find(|(id, _)| *id == TypeId::of::<T>()).and_then(|(_, value)| value.downcast_ref())
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions").field("len", &self.values.len()).finish()
    }
}
