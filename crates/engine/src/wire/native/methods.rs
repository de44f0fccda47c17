//! Methods by number: what both sides remember so that a path travels once.

use std::sync::Arc;
use std::time::Duration;

use polywire_core::{CompressionSet, Protocol, RequestHead, Status, Wire};

use super::NativeRule;
use super::fields::{self, Fields, tag};
use crate::protocol::{RequestOptions, RequestTemplate};

/// Client: the templates whose calls have a number. The number is the place, counted from 1.
#[derive(Debug, Default)]
pub(super) struct Named {
    templates: Vec<RequestTemplate>,
    /// Where the last look-up ended: calls of one method come in rows.
    latest: usize,
}

/// How a call says what it calls.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// By a number the server knows.
    Known(u32),
    /// By its path, which has this number from now on.
    Defined(u32),
    /// By its path; all numbers are taken.
    Unnamed,
}

impl Named {
    /// The reference of a template; a new one gets a number while there are any.
    #[inline]
    pub(super) fn refer(&mut self, template: &RequestTemplate, methods_max: u32) -> Reference {
        match self.templates.get(self.latest) {
            Some(known) if is_same(known, template) => Reference::Known(self.latest as u32 + 1),
            _ => self.refer_slowly(template, methods_max),
        }
    }

    fn refer_slowly(&mut self, template: &RequestTemplate, methods_max: u32) -> Reference {
        let place = self.templates.iter().position(|known| is_same(known, template));
        let place = place
            .or_else(|| self.templates.iter().position(|known| means_the_same(known.options(), template.options())));
        if let Some(place) = place {
            self.latest = place;
            return Reference::Known(place as u32 + 1);
        }
        if self.templates.len() >= methods_max as usize {
            return Reference::Unnamed;
        }
        self.templates.push(template.clone());
        self.latest = self.templates.len() - 1;
        Reference::Defined(self.templates.len() as u32)
    }

    /// Takes a definition back that was not sent.
    pub(super) fn undo(&mut self) {
        self.templates.pop();
        self.latest = 0;
    }
}

/// Whether both are the same value in memory.
fn is_same(a: &RequestTemplate, b: &RequestTemplate) -> bool {
    std::ptr::eq(a.options(), b.options())
}

fn means_the_same(a: &RequestOptions, b: &RequestOptions) -> bool {
    a.path == b.path
        && a.codec == b.codec
        && a.compression == b.compression
        && a.accepts == b.accepts
        && a.authority == b.authority
}

/// Server: the methods that have numbers.
#[derive(Debug, Default)]
pub(super) struct Methods(Vec<Option<Box<Method>>>);

impl Methods {
    pub(super) fn define(&mut self, number: u32, method: Method, methods_max: u32) -> Result<(), NativeRule> {
        if number > methods_max {
            return Err(NativeRule::MethodUnknown);
        }
        let place = number as usize - 1;
        if place >= self.0.len() {
            self.0.resize_with(place + 1, || None);
        }
        match self.0[place].replace(Box::new(method)) {
            None => Ok(()),
            Some(_) => Err(NativeRule::MethodTwice),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u64) -> Result<&mut Method, NativeRule> {
        let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let method = place.and_then(|place| self.0.get_mut(place));
        method.and_then(Option::as_deref_mut).ok_or(NativeRule::MethodUnknown)
    }

    /// Forgets what can be made again.
    pub(super) fn shrink(&mut self) {
        for method in self.0.iter_mut().flatten() {
            method.latest = None;
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

/// A method as it was called first, and what its calls have in common.
#[derive(Debug)]
pub(super) struct Method {
    plain: Arc<RequestHead>,
    /// Why a call that says nothing else cannot be taken: an unknown codec or compression.
    fault: Option<Status>,
    /// The fields of the latest call that had some, but for the timeout in front, and what they said.
    latest: Option<(Box<[u8]>, Request)>,
}

/// What the fields of a call said.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) head: Arc<RequestHead>,
    pub(super) timeout: Option<Duration>,
}

impl Method {
    /// A method by the call that names it: `fields` set what its calls have in common.
    pub(super) fn new(path: &[u8], fields: &[u8], accepts: CompressionSet, wire: Wire) -> Result<Method, NativeRule> {
        if path.is_empty() || path.len() > PATH_BYTES_MAX {
            return Err(NativeRule::Malformed);
        }
        let path = std::str::from_utf8(path).map_err(|_| NativeRule::Malformed)?;
        let mut head = RequestHead {
            path: format!("/{path}"),
            protocol: Protocol::Native,
            wire,
            accepts: CompressionSet::NONE,
            ..RequestHead::default()
        };
        let mut fault = None;
        for field in Fields::new(fields) {
            let (tag, value) = field?;
            fault = read_common(&mut head, tag, value, accepts)?.or(fault);
        }
        Ok(Method { plain: Arc::new(head), fault, latest: None })
    }

    /// What a call of this method says. The inner error ends the call.
    #[inline]
    pub(super) fn request(
        &mut self,
        fields: &[u8],
        accepts: CompressionSet,
    ) -> Result<Result<Request, Status>, NativeRule> {
        let (timeout, rest) = fields::split_timeout(fields)?;
        let timeout = timeout.map(Duration::from_micros);
        if rest.is_empty() {
            return Ok(match &self.fault {
                None => Ok(Request { head: Arc::clone(&self.plain), timeout }),
                Some(status) => Err(status.clone()),
            });
        }
        if let Some((bytes, request)) = &self.latest
            && **bytes == *rest
        {
            return Ok(Ok(Request { head: Arc::clone(&request.head), timeout: timeout.or(request.timeout) }));
        }
        let request = match self.read(rest, accepts)? {
            Ok(request) => request,
            Err(status) => return Ok(Err(status)),
        };
        self.latest = Some((rest.into(), request.clone()));
        Ok(Ok(Request { timeout: timeout.or(request.timeout), ..request }))
    }

    fn read(&self, fields: &[u8], accepts: CompressionSet) -> Result<Result<Request, Status>, NativeRule> {
        let mut head = (*self.plain).clone();
        let (mut timeout, mut fault) = (None, None);
        let (mut codec, mut compression) = (false, false);
        for field in Fields::new(fields) {
            let (tag, value) = field?;
            match tag {
                tag::TIMEOUT => timeout = Some(Duration::from_micros(fields::number(value)?)),
                tag::LEADING => {
                    if let Err(status) = fields::read_entry(&mut head.metadata, value)? {
                        fault = Some(status);
                    }
                }
                _ => {
                    codec |= tag == tag::CODEC;
                    compression |= tag == tag::COMPRESSION;
                    fault = read_common(&mut head, tag, value, accepts)?.or(fault);
                }
            }
        }
        // The fault of the definition counts unless this call says better.
        let inherited = self.fault.as_ref().filter(|_| !codec && !compression);
        Ok(match fault.or_else(|| inherited.cloned()) {
            None => Ok(Request { head: Arc::new(head), timeout }),
            Some(status) => Err(status),
        })
    }
}

/// Reads a field that a definition remembers. `Some`: the call cannot be taken.
fn read_common(
    head: &mut RequestHead,
    tag: u64,
    value: &[u8],
    accepts: CompressionSet,
) -> Result<Option<Status>, NativeRule> {
    match tag {
        tag::CODEC => {
            let number = fields::number(value)?;
            match fields::codec(number) {
                Some(codec) => head.codec = codec,
                None => return Ok(Some(Status::unimplemented(format!("codec number {number} is not known here")))),
            }
        }
        tag::COMPRESSION => {
            let number = fields::number(value)?;
            match fields::compression(number).filter(|&compression| accepts.contains(compression)) {
                Some(compression) => head.compression = compression,
                None => {
                    let text = format!("compression number {number} is not supported here; these are: {accepts}");
                    return Ok(Some(Status::unimplemented(text)));
                }
            }
        }
        tag::ACCEPTS => head.accepts = fields::set_of(fields::number(value)?),
        tag::AUTHORITY => head.authority = String::from_utf8_lossy(value).into_owned(),
        _ => {}
    }
    Ok(None)
}

/// Longest path of a method, without the slash in front: what a connection remembers is bounded by this times
/// `methods_max`.
pub(super) const PATH_BYTES_MAX: usize = 1024;
