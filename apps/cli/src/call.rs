//! `polywire call`.

use std::{
    cell::Cell,
    collections::HashSet,
    fmt,
    pin::pin,
    time::{Duration, Instant},
};

use polywire::{
    Code, Compression, Metadata, Method, MethodKind, Protocol, Status,
    http_rule::HttpRule,
    raw::{RawMessage, RawOptions, RawReceiver, RawSender},
};
use polywire_proto::{JsonOptions, MessageType, MethodType};
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use crate::{
    arguments::CallArguments,
    connect::{Server, within},
    descriptors::{Descriptors, deadline},
    failure::{Failure, exit_code},
    metadata,
    output::{Event, Output, metadata_map},
    requests::Requests,
    status,
};

/// Makes the call, and says what the process exits with.
pub(crate) async fn run(arguments: CallArguments, output: Output) -> Result<u8, Failure> {
    let deadline = deadline(arguments.timeout);
    let metadata = metadata::parse(arguments.headers.iter().chain(&arguments.rpc_header))?;
    let reflection_metadata = metadata::parse(arguments.headers.iter().chain(&arguments.source.reflect_header))?;
    let mut descriptors = Descriptors::read(&arguments.source)?;
    let requests = Requests::open(arguments.data.as_deref(), arguments.allow_unknown_fields).await?;

    let server = Server::reach(&arguments.address, &arguments.connect, deadline).await?;
    let connected =
        format_args!("connected to {} ({}){}", server.address, server.how(), took(output, server.connected_in));
    output.note(1, '*', connected);

    let asked = Instant::now();
    descriptors.ask(&server, &arguments.source, reflection_metadata);
    let method = within(deadline, descriptors.method(&arguments.method)).await.unwrap_or_else(|| {
        Err(Failure::from(Status::deadline_exceeded("the server did not give its descriptors in time")))
    })?;
    descriptors.rest();
    output.note(1, '*', format_args!("descriptors from {}{}", descriptors.origin(), took(output, asked.elapsed())));

    let mut options = RawOptions::new().metadata(metadata.clone());
    if let Some(deadline) = deadline {
        options = options.deadline(deadline);
    }
    if let Some(compression) = arguments.compress {
        options = options.compress(compression);
    }
    let kind = MethodKind::of(method.client_streams(), method.server_streams());
    let mut called = Method::dynamic(method.path(), kind);
    if server.channel.protocol() == Protocol::Rest {
        called = called.with_http(http_rules(&descriptors, &method)?);
        if arguments.compress.is_some() {
            return Err(Failure::usage("requests of REST are not compressed").hint("leave out --compress"));
        }
    }
    let call = CallInProgress {
        output,
        server,
        method: called,
        compression: arguments.compress.unwrap_or_default(),
        options: JsonOptions { defaults: arguments.emit_defaults, pretty: !output.is_json(), ..JsonOptions::default() },
        schema: Mutex::new(Schema {
            descriptors,
            request: method.request().clone(),
            response: method.response().clone(),
            asked: HashSet::new(),
        }),
        started: Cell::new(Instant::now()),
        sent: Traffic::default(),
        received: Traffic::default(),
    };
    call.run(requests, &metadata, options).await
}

/// A call and what has been seen of it so far.
struct CallInProgress {
    output: Output,
    server: Server,
    method: Method,
    /// Of the requests.
    compression: Compression,
    options: JsonOptions,
    schema: Mutex<Schema>,
    started: Cell<Instant>,
    sent: Traffic,
    received: Traffic,
}

/// Messages that went one way.
#[derive(Default)]
struct Traffic {
    messages: Cell<u64>,
    bytes: Cell<u64>,
    /// Of the last message that was compressed.
    compression: Cell<Compression>,
}

impl Traffic {
    fn add(&self, bytes: usize, compression: Compression) -> u64 {
        self.messages.set(self.messages.get() + 1);
        self.bytes.set(self.bytes.get() + bytes as u64);
        if compression != Compression::Identity {
            self.compression.set(compression);
        }
        self.messages.get()
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (messages, bytes) = (self.messages.get(), self.bytes.get());
        write!(f, "{messages} message{} ({bytes} bytes", if messages == 1 { "" } else { "s" })?;
        match self.compression.get() {
            Compression::Identity => f.write_str(")"),
            compression => write!(f, ", {})", compression.name()),
        }
    }
}

impl CallInProgress {
    async fn run(&self, mut requests: Requests, metadata: &Metadata, options: RawOptions) -> Result<u8, Failure> {
        // Mistakes in the only request are found before the server hears anything.
        let only =
            if self.method.kind().client_streams() { None } else { Some(self.only_request(&mut requests).await?) };
        self.note_request(only.as_ref().map_or(b"{}", |(_, message)| message));
        self.output.metadata('>', "", metadata);

        self.started.set(Instant::now());
        let (sender, mut receiver) = match &only {
            None => {
                let (sender, receiver) = self.server.channel.start_raw(&self.method, options)?;
                (Some(sender), receiver)
            }
            Some((json, message)) => {
                let (wire_bytes, receiver) = self.server.channel.start_raw_with(&self.method, message, options)?;
                self.sent_one(json, message, wire_bytes);
                (None, receiver)
            }
        };
        let mut sending = pin!(self.send(sender, requests));
        let mut interrupted = pin!(tokio::signal::ctrl_c());
        let result = {
            let mut receiving = pin!(self.receive(&mut receiver));
            let mut sent = false;
            loop {
                tokio::select! {
                    result = &mut sending, if !sent => match result {
                        Ok(()) => sent = true,
                        Err(failure) => break Err(failure),
                    },
                    result = &mut receiving => break result,
                    _ = &mut interrupted => break Err(Status::cancelled("interrupted").into()),
                }
            }
        };
        let status = match result {
            Ok(()) => self.check_count(),
            Err(Failure::Status { status, .. }) => status,
            Err(failure) => {
                drop(receiver);
                self.cancelled().await;
                return Err(failure);
            }
        };
        let trailing = receiver.trailing().unwrap_or_default();
        let running = receiver.trailing().is_none();
        drop(receiver);
        if running {
            self.cancelled().await;
        }
        self.finish(&status, &trailing).await?;
        Ok(exit_code(status.code()))
    }

    /// Lets the connection tell the server that the call is cancelled: its task gets a few turns to write that down.
    async fn cancelled(&self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }

    async fn only_request(&self, requests: &mut Requests) -> Result<(String, Vec<u8>), Failure> {
        let json = requests.next().await?.unwrap_or_else(|| "{}".to_owned());
        let encoded = self.encode(requests, &json).await?;
        if requests.next().await?.is_some() {
            return Err(Failure::new(format!("{} takes one message, and more are given", self.method)));
        }
        Ok((json, encoded))
    }

    /// A request as it travels.
    async fn encode(&self, requests: &mut Requests, json: &str) -> Result<Vec<u8>, Failure> {
        let message = self.schema.lock().await.request_for(json).await;
        let encoded = requests.encode(json, &message)?;
        if self.server.channel.protocol() == Protocol::Rest {
            // By the same reader, so that mistakes are found here as well, and fields have one spelling.
            return Ok(message.decode_to_json(&encoded, JsonOptions::default())?.into_bytes());
        }
        Ok(encoded)
    }

    /// Shows where the request goes.
    fn note_request(&self, message: &[u8]) {
        let kind = kind_name(self.method.kind());
        match self.server.channel.http_request(&self.method, message) {
            None => self.output.note(1, '>', format_args!("{} ({kind})", self.method)),
            Some((verb, target)) if target == self.method.path() => {
                self.output.note(1, '>', format_args!("{verb} {target} ({kind})"));
            }
            Some((verb, target)) => {
                let name = self.method.path().trim_start_matches('/');
                self.output.note(1, '>', format_args!("{verb} {target} ({name}, {kind})"));
            }
        }
    }

    async fn send(&self, sender: Option<RawSender>, mut requests: Requests) -> Result<(), Failure> {
        let Some(mut sender) = sender else { return Ok(()) };
        while let Some(json) = requests.next().await? {
            let encoded = self.encode(&mut requests, &json).await?;
            if !self.send_one(&mut sender, &json, &encoded).await {
                return Ok(());
            }
        }
        self.output.note(2, '>', format_args!("end of requests{}", took(self.output, self.elapsed())));
        Ok(())
    }

    /// Sends a message. False: the call is over, and the responses say why.
    async fn send_one(&self, sender: &mut RawSender, json: &str, message: &[u8]) -> bool {
        let Ok(wire_bytes) = sender.send(message).await else { return false };
        self.sent_one(json, message, wire_bytes);
        true
    }

    fn sent_one(&self, json: &str, message: &[u8], wire_bytes: usize) {
        let compression = if wire_bytes == message.len() { Compression::Identity } else { self.compression };
        let number = self.sent.add(wire_bytes, compression);
        let sizes = sizes(message.len(), wire_bytes, compression.name());
        self.output.note(1, '>', format_args!("message {number}: {sizes}{}", took(self.output, self.elapsed())));
        self.output.note(2, '>', json);
    }

    async fn receive(&self, receiver: &mut RawReceiver) -> Result<(), Failure> {
        let leading = receiver.leading().await;
        self.output.note(2, '<', format_args!("headers{}", took(self.output, self.elapsed())));
        self.output.metadata('<', "", &leading);
        if self.output.is_json() && !leading.is_empty() {
            self.output.event(&Event::Headers { metadata: metadata_map(&leading) })?;
        }
        while let Some(message) = receiver.next_message().await? {
            self.show(&message).await?;
        }
        Ok(())
    }

    async fn show(&self, message: &RawMessage) -> Result<(), Failure> {
        let number = self.received.add(message.wire_bytes, message.compression);
        let sizes = sizes(message.bytes.len(), message.wire_bytes, message.compression.name());
        self.output.note(1, '<', format_args!("message {number}: {sizes}{}", took(self.output, self.elapsed())));
        let mut schema = self.schema.lock().await;
        let json = if self.server.channel.protocol() == Protocol::Rest {
            let encoded = schema.of_json(&message.bytes).await?;
            schema.response_json(&encoded, self.options).await?
        } else {
            schema.response_json(&message.bytes, self.options).await?
        };
        drop(schema);
        if !self.output.is_json() {
            return self.output.json(&json);
        }
        let message_json: &RawValue = serde_json::from_str(&json).map_err(|error| Failure::new(error.to_string()))?;
        self.output.event(&Event::Response { message: message_json, bytes: message.bytes.len() })
    }

    /// A method that answers once must have answered once.
    fn check_count(&self) -> Status {
        match self.received.messages.get() {
            count if count != 1 && !self.method.kind().server_streams() => Status::internal(format!(
                "the server ended the call with OK, but sent {count} responses instead of one"
            )),
            _ => Status::ok(),
        }
    }

    async fn finish(&self, status: &Status, trailing: &Metadata) -> Result<(), Failure> {
        let elapsed = self.elapsed();
        self.output.metadata('<', "trailer ", trailing);
        let code = status.code();
        self.output.note(1, '<', format_args!("status {} ({}) after {}", code.name(), code.number(), millis(elapsed)));
        let (sent, received) = (&self.sent, &self.received);
        self.output.note(1, '*', format_args!("sent {sent}, received {received}"));
        let details = status::details(status, &mut self.schema.lock().await.descriptors).await;
        let hints = hints(status);
        if self.output.is_json() {
            let details: Vec<_> = details.into_iter().map(|detail| detail.json).collect();
            return self.output.event(&Event::Status {
                code: code.number(),
                name: code.name(),
                message: status.message(),
                details: &details,
                metadata: metadata_map(trailing),
                hints: &hints,
                requests: sent.messages.get(),
                responses: received.messages.get(),
                duration_ms: (elapsed.as_secs_f64() * 1e6).round() / 1e3,
            });
        }
        if !status.is_ok() {
            self.output.failure(&Failure::Status { status: status.clone(), hints });
            for detail in &details {
                self.output.detail(&detail.name, detail.json.get());
            }
        }
        Ok(())
    }

    fn elapsed(&self) -> Duration {
        self.started.get().elapsed()
    }
}

/// Turns that the connection's task gets to send a cancellation: one would do, if nothing else had to be written.
const TURNS: usize = 16;

/// The types of the messages; they grow when an `Any` holds one that was not known.
struct Schema {
    descriptors: Descriptors,
    request: MessageType,
    response: MessageType,
    asked: HashSet<String>,
}

impl Schema {
    /// The type of a request, knowing all that its `Any`s hold.
    async fn request_for(&mut self, json: &str) -> MessageType {
        self.learn(json).await;
        self.request.clone()
    }

    async fn response_json(&mut self, message: &[u8], options: JsonOptions) -> Result<String, Failure> {
        let json = self.decode(message, options)?;
        if json.contains("\"@value\"") && self.learn(&json).await {
            return self.decode(message, options);
        }
        Ok(json)
    }

    /// A response in JSON as Protobuf, from which it can be shown like any other.
    async fn of_json(&mut self, json: &[u8]) -> Result<Vec<u8>, Failure> {
        let name = self.response.full_name().to_owned();
        let wrong = |error: String| Failure::new(format!("the response is not a {name}: {error}"));
        let json = std::str::from_utf8(json).map_err(|error| wrong(error.to_string()))?;
        self.learn(json).await;
        self.response.encode_json_ignoring_unknown(json).map_err(|error| wrong(error.to_string()))
    }

    fn decode(&self, message: &[u8], options: JsonOptions) -> Result<String, Failure> {
        self.response.decode_to_json(message, options).map_err(|error| {
            Failure::new(format!("the response cannot be shown: {error}"))
                .hint("are these the descriptors that the server was built with?")
        })
    }

    /// Finds out about the types that `Any`s in this JSON hold, and says whether there was something new.
    async fn learn(&mut self, json: &str) -> bool {
        if !json.contains("\"@type\"") {
            return false;
        }
        let Ok(value) = serde_json::from_str::<serde_json::Value>(json) else { return false };
        let mut new = false;
        for name in any_types(&value) {
            if self.descriptors.pool().message(&name).is_none() && self.asked.insert(name.clone()) {
                // What cannot be found out stays bytes.
                new |= matches!(self.descriptors.know(&name).await, Ok(true));
            }
        }
        if new {
            let pool = self.descriptors.pool();
            for message in [&mut self.request, &mut self.response] {
                if let Some(grown) = pool.message(message.full_name()) {
                    *message = grown;
                }
            }
        }
        new
    }
}

/// The full names of all types named by `@type`.
fn any_types(value: &serde_json::Value) -> Vec<String> {
    let mut names = Vec::new();
    let mut stack = vec![value];
    while let Some(value) = stack.pop() {
        match value {
            serde_json::Value::Array(items) => stack.extend(items),
            serde_json::Value::Object(fields) => {
                if let Some(url) = fields.get("@type").and_then(serde_json::Value::as_str) {
                    names.push(url.rsplit('/').next().unwrap_or(url).to_owned());
                }
                stack.extend(fields.values());
            }
            _ => {}
        }
    }
    names
}

/// How the method is reached as REST.
fn http_rules(descriptors: &Descriptors, method: &MethodType) -> Result<&'static [HttpRule], Failure> {
    match descriptors.pool().leak_http_rules(method)? {
        [] => {
            let name = method.path().trim_start_matches('/');
            Err(Failure::new(format!("{name} has no HTTP rule (google.api.http), so it cannot be called as REST"))
                .hint("every method can be called with another word: connect+http://, native://, or none for gRPC"))
        }
        rules => Ok(rules),
    }
}

fn hints(status: &Status) -> Vec<String> {
    let hint = match status.code() {
        Code::DeadlineExceeded => "allow more with --timeout",
        Code::ResourceExhausted if status.message().contains("message_bytes_max") => {
            "accept longer ones with --max-message-bytes"
        }
        Code::Unauthenticated => "credentials go into metadata: -H 'authorization: Bearer TOKEN'",
        _ => return Vec::new(),
    };
    vec![hint.to_owned()]
}

fn kind_name(kind: MethodKind) -> &'static str {
    match kind {
        MethodKind::Unary => "unary",
        MethodKind::ClientStreaming => "client streaming",
        MethodKind::ServerStreaming => "server streaming",
        MethodKind::BidiStreaming => "bidirectional streaming",
    }
}

fn sizes(bytes: usize, wire_bytes: usize, compression: &str) -> String {
    if wire_bytes == bytes { format!("{bytes} bytes") } else { format!("{bytes} bytes, {wire_bytes} as {compression}") }
}

/// How long something took, when that is wanted.
fn took(output: Output, time: Duration) -> String {
    if output.verbose() < 2 { String::new() } else { format!(" after {}", millis(time)) }
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
