//! Heads and bodies going out.

use std::sync::Arc;

use bytes::Bytes;

use super::connection::Connection;
use super::exchange::{Exchange, Outgoing, Side};
use super::fault::{reason_phrase, status_digits, write_answer, write_date};
use super::fields::{decimal, is_hop_by_hop, is_token_byte};
use crate::transmit::Transmit;
use crate::wire::{Headers, Reason, Role, StreamEvent as Event, StreamKey};

impl Connection {
    /// Client: the head of a request but for its last lines.
    pub(super) fn write_request(&mut self, head: &Headers, extra: Option<&Headers>, end: bool) {
        let Some(exchange) = &mut self.exchange else {
            return;
        };
        let find = |name: &str| head.find(name).or_else(|| extra.and_then(|extra| extra.find(name)));
        let method = find(":method").unwrap_or(b"GET");
        let out = self.out.buffer();
        exchange.head_at = Some(out.len());
        exchange.head_only = method == b"HEAD";
        exchange.has_content = matches!(method, b"POST" | b"PUT" | b"PATCH");
        exchange.upgrade = find("upgrade").is_some();
        exchange.te_trailers = true;
        out.extend(method.iter().filter(|byte| is_token_byte(**byte)));
        out.push(b' ');
        write_target(out, find(":path").unwrap_or(b"/"));
        out.extend_from_slice(b" HTTP/1.1\r\n");
        let authority = find(":authority").or_else(|| find("host")).unwrap_or_default();
        write_field(out, b"host", authority);
        // RFC 9110 §10.1.4, §7.8: both concern this connection only and say so.
        let te = find("te").is_some();
        let connection: &[u8] = match (te, exchange.upgrade) {
            (true, true) => b"te, upgrade",
            (true, false) => b"te",
            (false, true) => b"upgrade",
            (false, false) => b"",
        };
        if !connection.is_empty() {
            write_field(out, b"connection", connection);
        }
        if te {
            write_field(out, b"te", b"trailers");
        }
        let written = Fields { host: false, upgrade: exchange.upgrade }.write(out, head, extra);
        exchange.announced = written;
        exchange.ours = if end { Side::Ending } else { Side::Body };
        if end {
            self.pump(self.limits.direct_bytes_max);
        }
    }

    /// A head of the server's, or trailers.
    pub(super) fn give_headers(
        &mut self,
        key: StreamKey,
        head: &Arc<Headers>,
        extra: Option<&Headers>,
        end: bool,
    ) -> bool {
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.key == key && !exchange.forgotten)
        else {
            return false;
        };
        match exchange.ours {
            // A client's head has been written by `open`.
            Side::Head => {
                let status = status_of(head, extra);
                if (100..200).contains(&status) && !end {
                    if !exchange.is_old && status != 101 {
                        exchange.continue_due &= status != 100;
                        write_head(self.out.buffer(), status, head, extra, false);
                        self.out.put(b"\r\n");
                    }
                    return true;
                }
                let out = self.out.buffer();
                exchange.head_at = Some(out.len());
                exchange.announced = write_head(out, status, head, extra, false);
                let dated = |headers: &Headers| headers.find("date").is_some();
                if self.date.is_some() && !dated(head) && !extra.is_some_and(dated) {
                    write_date(out, self.date);
                }
                exchange.ours = if end { Side::Ending } else { Side::Body };
                if exchange.head_only || matches!(status, 204 | 304) {
                    exchange.framing = Outgoing::Nothing;
                    // RFC 9110 §8.6: what the body would have had, but never with 204.
                    if status == 204 {
                        exchange.announced = None;
                    }
                }
            }
            Side::Body if end => {
                if exchange.te_trailers {
                    Fields { host: true, upgrade: false }.write(&mut exchange.trailers, head, extra);
                }
                exchange.ours = Side::Ending;
            }
            Side::Body | Side::Ending | Side::Ended => return false,
        }
        if end {
            self.pump(self.limits.direct_bytes_max);
        }
        true
    }

    /// Body. It waits for the next look at the output: what is there as a whole until then has a known length.
    pub(super) fn give_data(&mut self, key: StreamKey, data: Bytes, end: bool) -> bool {
        let high = self.limits.queue_high_bytes;
        let Some(exchange) = self.exchange_mut(key) else {
            return false;
        };
        if exchange.ours != Side::Body {
            return false;
        }
        if !data.is_empty() && exchange.framing != Outgoing::Nothing {
            exchange.queued_bytes += data.len();
            exchange.above_high |= exchange.queued_bytes > high;
            exchange.queue.push_back(data);
        }
        if end {
            exchange.ours = Side::Ending;
            self.pump(self.limits.direct_bytes_max);
        }
        true
    }

    /// Server: `100 Continue`, if the peer waits for it: it goes out with the next output, unless the answer has begun
    /// by then.
    pub(super) fn say_continue(&mut self) {
        if let Some(exchange) = &mut self.exchange
            && exchange.continue_due
            && exchange.ours == Side::Head
        {
            exchange.continue_due = false;
            self.out.put(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// Server: the head that ends HTTP on this connection.
    pub(super) fn write_upgrade(&mut self, head: &Headers, extra: Option<&Headers>) {
        let out = self.out.buffer();
        write_head(out, 101, head, extra, true);
        out.extend_from_slice(b"connection: upgrade\r\n\r\n");
    }

    /// Server: answers a request that has no answer yet in words for its reason.
    pub(super) fn abort_answer(&mut self, reason: Reason) {
        let Some(exchange) = &self.exchange else {
            return;
        };
        let head_only = exchange.head_only;
        if self.unsay_head() {
            let (status, text) = reason.in_http();
            write_answer(self.out.buffer(), status, text, head_only, self.date);
        }
    }

    /// Server: takes back a head of which nothing has left. False: the answer has begun.
    pub(super) fn unsay_head(&mut self) -> bool {
        let Some(exchange) = &mut self.exchange else {
            return true;
        };
        if let Some(at) = exchange.head_at.take() {
            self.out.buffer().truncate(at);
            return true;
        }
        exchange.ours == Side::Head
    }

    /// Moves what is due into the output, up to `limit` bytes in it.
    pub(super) fn pump(&mut self, limit: usize) {
        let (role, draining) = (self.role, self.is_draining());
        let low = self.limits.queue_low_bytes;
        let Some(exchange) = &mut self.exchange else {
            return;
        };
        if exchange.ours == Side::Head {
            return;
        }
        if exchange.head_at.take().is_some() {
            // RFC 9112 §9.6: the peer is told before. One that still waits to send its body may or may not send it now.
            exchange.closes |= role == Role::Server && (draining || exchange.continue_due);
            complete_head(exchange, role, self.out.buffer());
        }
        while self.out.len() < limit {
            if !exchange.write_piece(&mut self.out, limit) {
                break;
            }
        }
        if exchange.above_high && exchange.queued_bytes <= low {
            exchange.above_high = false;
            if exchange.ours == Side::Body && !exchange.forgotten {
                self.events.push_back(Event::Writable { key: exchange.key });
            }
        }
        if exchange.ours == Side::Ending && exchange.queue.is_empty() {
            self.write_end();
        }
    }

    /// Our message is complete.
    fn write_end(&mut self) {
        let role = self.role;
        let Some(exchange) = &mut self.exchange else {
            return;
        };
        exchange.ours = Side::Ended;
        match exchange.framing {
            Outgoing::Chunked => {
                self.out.put(b"0\r\n");
                self.out.put(&exchange.trailers);
                self.out.put(b"\r\n");
            }
            // Less was given than announced. Only the end of the connection tells the peer.
            Outgoing::Length(left) if left > 0 => exchange.closes = true,
            Outgoing::Length(_) | Outgoing::Nothing | Outgoing::UntilClose | Outgoing::Open => {}
        }
        if role == Role::Server && exchange.theirs != Side::Ended {
            exchange.forgotten = true;
            exchange.unreleased = 0;
            self.release_body();
        }
        self.settle_exchange();
    }
}

impl Exchange {
    /// One chunk, or one piece of a body without chunks. False: there is none.
    fn write_piece(&mut self, out: &mut Transmit, limit: usize) -> bool {
        let room = limit.saturating_sub(out.len()).max(1);
        let len = self.queued_bytes.min(room);
        if len == 0 {
            return false;
        }
        let chunked = self.framing == Outgoing::Chunked;
        if chunked {
            write_hex(out.buffer(), len);
        }
        let mut left = len;
        while left > 0
            && let Some(mut data) = self.queue.pop_front()
        {
            if data.len() > left {
                self.queue.push_front(data.split_off(left));
            }
            left -= data.len();
            if let Outgoing::Length(announced) = &mut self.framing {
                // More was given than announced: it would be taken for the next message.
                data.truncate(usize::try_from(*announced).unwrap_or(usize::MAX));
                *announced -= data.len() as u64;
            }
            out.put_payload(data);
        }
        self.queued_bytes -= len;
        if chunked {
            out.put(b"\r\n");
        }
        true
    }
}

/// Decides how the body is framed, says so, and ends the head.
fn complete_head(exchange: &mut Exchange, role: Role, out: &mut Vec<u8>) {
    let known = exchange.ours == Side::Ending && exchange.trailers.is_empty();
    let length = match exchange.announced {
        Some(length) => Some(length),
        None if exchange.framing == Outgoing::Nothing => None,
        // A request whose method has no body by its meaning has no length either (RFC 9110 §8.6).
        None if known && role == Role::Client && exchange.queued_bytes == 0 && !exchange.has_content => {
            exchange.framing = Outgoing::Nothing;
            None
        }
        None if known => Some(exchange.queued_bytes as u64),
        None => None,
    };
    if let Some(length) = length {
        write_field(out, b"content-length", length.to_string().as_bytes());
    }
    if exchange.framing == Outgoing::Open {
        exchange.framing = match length {
            Some(length) => Outgoing::Length(length),
            None if exchange.is_old => {
                exchange.closes = true;
                Outgoing::UntilClose
            }
            None => {
                write_field(out, b"transfer-encoding", b"chunked");
                Outgoing::Chunked
            }
        };
    }
    if role == Role::Server && exchange.closes {
        write_field(out, b"connection", b"close");
    }
    out.extend_from_slice(b"\r\n");
}

/// Status line and fields of an answer; returns the content-length it was given.
fn write_head(out: &mut Vec<u8>, status: u16, head: &Headers, extra: Option<&Headers>, upgrade: bool) -> Option<u64> {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status_digits(status, &mut [0; 3]));
    out.push(b' ');
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    Fields { host: true, upgrade }.write(out, head, extra)
}

/// Which fields are written, beside those that are the upper layer's.
struct Fields {
    host: bool,
    upgrade: bool,
}

impl Fields {
    /// Writes regular fields. Those that belong to the connection are left out, and content-length is given back.
    fn write(&self, out: &mut Vec<u8>, head: &Headers, extra: Option<&Headers>) -> Option<u64> {
        let mut content_length = None;
        for field in head.fields().chain(extra.into_iter().flat_map(Headers::fields)) {
            if field.name == b"content-length" {
                content_length = content_length.or_else(|| decimal(field.value));
                continue;
            }
            let skipped = field.name.is_empty()
                || !field.name.iter().all(|byte| is_token_byte(*byte))
                || (is_hop_by_hop(field.name) && !(self.upgrade && field.name == b"upgrade"))
                || (field.name == b"host" && !self.host);
            if !skipped {
                write_field(out, field.name, field.value);
            }
        }
        content_length
    }
}

/// One field. What could end its line is replaced, as RFC 9110 §5.5 wants it.
fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    let start = out.len();
    out.extend_from_slice(value);
    for byte in &mut out[start..] {
        if (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// A request target: what must not stand in a request line is percent-encoded.
fn write_target(out: &mut Vec<u8>, path: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if path.is_empty() {
        out.push(b'/');
    }
    for byte in path {
        if (0x21..0x7f).contains(byte) && *byte != b'#' {
            out.push(*byte);
        } else {
            out.extend([b'%', HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]);
        }
    }
}

/// The line before a chunk.
fn write_hex(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(format!("{len:x}\r\n").as_bytes());
}

fn status_of(head: &Headers, extra: Option<&Headers>) -> u16 {
    let status = head.find(":status").or_else(|| extra?.find(":status"));
    let status = status.and_then(decimal).and_then(|status| u16::try_from(status).ok());
    status.filter(|status| (100..1000).contains(status)).unwrap_or(500)
}
