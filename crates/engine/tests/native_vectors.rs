//! The test vectors of the native protocol, which other implementations play too, against this one.
//!
//! `BLESS=1` writes what the engine says into the files; review reads the difference.

#![allow(clippy::unwrap_used)] // helpers of tests too

#[path = "support/native.rs"]
mod support;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use polywire_core::{Code, Codec, Compression, CompressionSet, Detail, Metadata, Status};
use polywire_engine::drain::{Due, Machine, drain};
use polywire_engine::protocol::RequestTemplate;
use polywire_engine::wire::Role;
use polywire_engine::wire::native::{Connection, PREFACE};
use polywire_engine::{CallKey, Config, Event, Limits, OpenCall, Transmit, envelope};
use serde_json::{Map, Value, json};
use support::*;

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../docs/native-vectors", name].iter().collect()
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

#[allow(clippy::disallowed_methods)] // only to write golden files anew
fn blesses() -> bool {
    std::env::var("BLESS").is_ok()
}

#[test]
fn conversations_go_as_they_are_written_down() {
    let mut list = read("conversations.json");
    let before = list.clone();
    for conversation in list.as_array_mut().unwrap() {
        play(conversation);
    }
    if blesses() {
        std::fs::write(path("conversations.json"), written_down(&list)).unwrap();
        return;
    }
    for (before, now) in before.as_array().unwrap().iter().zip(list.as_array().unwrap()) {
        assert_eq!(before, now, "{}", now["name"]);
    }
}

/// One line for each step.
fn written_down(list: &Value) -> String {
    let conversations: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let ordered = |step: &Value| {
                let known = ["from", "does", "hex", "frames", "sees"].into_iter();
                let parts = known.filter_map(|key| Some(format!("{key:?}: {}", step.get(key)?)));
                format!("   {{{}}}", parts.collect::<Vec<_>>().join(", "))
            };
            let steps: Vec<_> = one["steps"].as_array().unwrap().iter().map(ordered).collect();
            let steps = steps.join(",\n");
            let client = if one["client"].is_string() { "\n  \"client\": \"another\"," } else { "" };
            format!(" {{\"name\": {},\n  \"about\": {},{client}\n  \"steps\": [\n{steps}]}}", one["name"], one["about"])
        })
        .collect();
    format!("[\n{}\n]\n", conversations.join(",\n"))
}

/// An engine and the keys of its calls, in the order in which they began.
struct Player {
    connection: Connection,
    keys: Vec<CallKey>,
    templates: Vec<RequestTemplate>,
}

fn play(conversation: &mut Value) {
    let now = base();
    let name = conversation["name"].as_str().unwrap().to_owned();
    let mut players = [Role::Client, Role::Server].map(|role| {
        let config = Config::new(Limits::default(), CompressionSet::NONE.with(Compression::Gzip));
        let connection = Connection::new(role, &config, now, 0);
        Player { connection, keys: Vec::new(), templates: Vec::new() }
    });
    for player in &mut players {
        player.settle(now); // its own HELLO is not that of the vectors
    }
    let another = conversation["client"] == "another";
    for step in conversation["steps"].as_array_mut().unwrap() {
        let from = usize::from(step["from"] == "server");
        if let Some(does) = step.get("does").cloned() {
            players[from].act(now, &does);
            let (seen, bytes) = players[from].settle(now);
            assert!(seen.iter().all(|event| event.get("closed").is_some()), "{name}: {seen:?}");
            assert!(!bytes.is_empty() || does["do"] == "nothing", "{name}: {does} has no effect");
            step["hex"] = hex(&bytes).into();
        }
        let bytes = unhex(&step["hex"]);
        let frames = bytes.strip_prefix(&PREFACE[..]).unwrap_or(&bytes);
        step["frames"] = Frame::all(frames).iter().map(words).collect::<Vec<_>>().into();
        if from == 1 && another {
            continue; // our client knows nothing of these calls
        }
        let player = &mut players[1 - from];
        player.connection.handle_bytes(now, bytes.into());
        let mut seen = player.look(now);
        seen.retain(|event| !event.is_null());
        step["sees"] = seen.into();
    }
}

impl Player {
    /// The events alone: what they provoke is written in the next step of this side.
    fn look(&mut self, now: std::time::Instant) -> Vec<Value> {
        let mut seen = Vec::new();
        while let Some(event) = self.connection.poll_event() {
            seen.push(self.tell(now, event));
        }
        seen
    }

    fn settle(&mut self, now: std::time::Instant) -> (Vec<Value>, Vec<u8>) {
        let (mut events, mut bytes) = (Vec::new(), Vec::new());
        let mut out = Transmit::default();
        while drain(&mut self.connection, now, &mut out, |_, event| events.push(event)) == Due::Write {
            out.chunks().for_each(|chunk| bytes.extend_from_slice(chunk));
            out.clear();
        }
        (events.into_iter().map(|event| self.tell(now, event)).collect(), bytes)
    }

    fn act(&mut self, now: std::time::Instant, does: &Value) {
        let key = does["call"].as_u64().and_then(|call| self.keys.get((call as usize).checked_sub(1)?).copied());
        let key = || key.expect("the step names a call");
        let bytes = || envelope::envelope(does["compressed"] == true, &unhex(&does["message"]));
        let (leading, trailing) = (entries(&does["leading"]), entries(&does["trailing"]));
        if let (Some(compression), false) = (compression(&does["compression"]), does["do"] == "call") {
            self.connection.set_compression(key(), compression);
        }
        let connection = &mut self.connection;
        match does["do"].as_str().unwrap() {
            "call" => self.open(now, does),
            "send" => connection.send(key(), bytes()),
            "half_close" => connection.half_close(key()),
            "cancel" => connection.cancel(key()),
            "start" => connection.start(key(), &leading),
            "respond" => connection.respond(key(), &leading, bytes(), &trailing),
            "finish" => {
                let code = Code::from_number(does["code"].as_u64().unwrap() as u32);
                let mut status = Status::new(code, does["message"].as_str().unwrap_or_default().to_owned());
                for detail in does["details"].as_array().into_iter().flatten() {
                    let type_url = detail[0].as_str().unwrap().to_owned();
                    status = status.with_detail(Detail { type_url, value: unhex(&detail[1]).into() });
                }
                connection.finish(key(), &status, &leading, &trailing);
            }
            "refuse" => connection.refuse(key()),
            "drain" => connection.drain(now, does["text"].as_str().unwrap().to_owned().leak()),
            "nothing" => {}
            other => panic!("unknown: {other}"),
        }
    }

    fn open(&mut self, now: std::time::Instant, does: &Value) {
        let mut options = options(&format!("/{}", does["path"].as_str().unwrap()));
        options.authority = does["authority"].as_str().unwrap().to_owned();
        options.codec = if does["codec"] == "json" { Codec::Json } else { Codec::Proto };
        options.compression = compression(&does["compression"]).unwrap_or_default();
        let accepts = does["accepts"].as_array().into_iter().flatten();
        options.accepts = accepts.filter_map(compression).fold(CompressionSet::NONE, CompressionSet::with);
        let template = RequestTemplate::new(options);
        let message = does["message"]
            .is_string()
            .then(|| envelope::envelope(does["compressed"] == true, &unhex(&does["message"])));
        let call = OpenCall {
            template: &template,
            metadata: &entries(&does["metadata"]),
            deadline: does["timeout_us"].as_u64().map(|micros| now + Duration::from_micros(micros)),
            message,
            last: does["last"] == true,
        };
        let key = self.connection.open(now, call).unwrap();
        self.keys.push(key);
        self.templates.push(template);
    }

    fn tell(&mut self, now: std::time::Instant, event: Event) -> Value {
        if let Event::Started { key, .. } = &event {
            self.keys.push(*key);
        }
        let call = |key: CallKey| self.keys.iter().position(|known| *known == key).map(|place| place + 1);
        match event {
            Event::Settled => json!({ "settled": {} }),
            Event::Started { key, head, deadline, last } => {
                let mut started = json!({
                    "call": call(key), "path": head.path[1..], "codec": head.codec.name(), "last": last,
                });
                let more = started.as_object_mut().unwrap();
                insert(more, "authority", head.authority.as_str().into());
                insert(more, "metadata", listed(&head.metadata));
                if head.compression != Compression::Identity {
                    more.insert("compression".into(), head.compression.name().into());
                }
                let accepts: Vec<_> = head.accepts.iter().skip(1).map(Compression::name).collect();
                insert(more, "accepts", accepts.into());
                if let Some(deadline) = deadline {
                    more.insert("timeout_us".into(), ((deadline - now).as_micros() as u64).into());
                }
                json!({ "started": started })
            }
            Event::Message { key, message, last } => {
                let mut told = json!({ "call": call(key), "hex": hex(&message.bytes) });
                let more = told.as_object_mut().unwrap();
                if message.compression != Compression::Identity {
                    more.insert("compression".into(), message.compression.name().into());
                }
                if last {
                    more.insert("last".into(), true.into());
                }
                json!({ "message": told })
            }
            Event::HalfClosed { key } => json!({ "half_closed": { "call": call(key) } }),
            Event::Cancelled { key, status } => {
                json!({ "cancelled": { "call": call(key), "code": status.code().number() } })
            }
            Event::Headers { key, head } => {
                json!({ "headers": { "call": call(key), "metadata": listed(&head.metadata) } })
            }
            Event::Ended { key, status, trailing, unprocessed } => {
                let mut ended = json!({ "call": call(key), "code": status.code().number() });
                let more = ended.as_object_mut().unwrap();
                if !unprocessed {
                    insert(more, "message", status.message().into());
                }
                let details = status.details().iter().map(|d| json!([d.type_url, hex(&d.value)])).collect::<Vec<_>>();
                insert(more, "details", details.into());
                insert(more, "metadata", listed(&trailing));
                if unprocessed {
                    more.insert("unprocessed".into(), true.into());
                }
                json!({ "ended": ended })
            }
            Event::GoingAway { debug, .. } => {
                json!({ "going_away": { "text": String::from_utf8_lossy(&debug) } })
            }
            Event::Closed { .. } => json!({ "closed": {} }),
            _ => Value::Null,
        }
    }
}

/// What is empty is left out.
fn insert(map: &mut Map<String, Value>, key: &str, value: Value) {
    if value != "" && value != json!([]) {
        map.insert(key.into(), value);
    }
}

fn compression(value: &Value) -> Option<Compression> {
    Compression::from_name(value.as_str()?)
}

fn entries(value: &Value) -> Metadata {
    let mut metadata = Metadata::new();
    for entry in value.as_array().into_iter().flatten() {
        let key = entry[0].as_str().unwrap();
        match key.ends_with("-bin") {
            true => metadata.append_bin(key, &unhex(&entry[1])).unwrap(),
            false => metadata.append(key, entry[1].as_str().unwrap()).unwrap(),
        }
    }
    metadata
}

fn listed(metadata: &Metadata) -> Value {
    let entries = metadata.into_iter().map(|(key, value)| match key.ends_with("-bin") {
        true => json!([key, hex(value.as_bytes())]),
        false => json!([key, String::from_utf8_lossy(value.as_bytes())]),
    });
    entries.collect::<Vec<_>>().into()
}

/// A frame for people.
fn words(frame: &Frame) -> String {
    const KINDS: [&str; 11] =
        ["HELLO", "CALL", "OPEN", "MESSAGE", "HEADERS", "END", "CANCEL", "WINDOW", "PING", "PONG", "GOAWAY"];
    let mut text = KINDS.get(usize::from(frame.kind())).copied().unwrap_or("unknown").to_owned();
    for (flag, name) in [(LAST, "LAST"), (COMPRESSED, "COMPRESSED"), (MORE, "MORE"), (FIELDS, "FIELDS")] {
        if frame.first & flag != 0 {
            text += &format!("|{name}");
        }
    }
    format!("{text} {}: {}", frame.number, hex(&frame.payload))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_default();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn bad_input_has_the_reaction_that_is_written_down() {
    for case in read("bad-input.json").as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        for piece in [usize::MAX, 1] {
            let mut raw =
                Raw::fresh(if case["to"] == "server" { Role::Server } else { Role::Client }, Limits::default());
            if raw.side.connection.role() == Role::Client {
                raw.open(Some(message(b"q")), false);
            }
            raw.written();
            let before = unhex(&case["before"]);
            if !before.is_empty() {
                raw.say(&before);
            }
            raw.frames();
            assert_eq!(raw.side.closed, None, "{name}: before");
            for piece in unhex(&case["hex"]).chunks(piece) {
                raw.side.connection.handle_bytes(raw.now, Bytes::copy_from_slice(piece));
                raw.take_output();
            }
            let reaction = &case["reaction"];
            if let Some(code) = reaction["goaway"].as_u64() {
                assert_eq!(raw.go_away(), Some(code as u8), "{name}");
                let rule = raw.side.misbehaved().map(|rule| format!("{rule:?}"));
                assert_eq!(rule.as_deref(), reaction["rule"].as_str(), "{name}");
                continue;
            }
            assert_eq!(raw.side.closed, None, "{name}");
            let expected = reaction["end"].as_u64();
            let found = match raw.side.connection.role() {
                Role::Client => raw.side.last().code().map(|code| u64::from(code.number())),
                Role::Server => {
                    let end = raw.frames().into_iter().find(|frame| frame.kind() == END);
                    end.map(|frame| u64::from(frame.payload[2]))
                }
            };
            assert_eq!(found, expected, "{name}");
        }
    }
}
