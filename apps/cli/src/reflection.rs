//! The client of server reflection: version v1, or v1alpha where that is all a server has.

use std::{
    collections::{HashSet, VecDeque},
    time::Instant,
};

use buffa::Message as _;
use polywire::{
    Channel, Code, Metadata, Method, MethodKind, Status,
    raw::{RawOptions, RawReceiver, RawSender},
};
use polywire_proto::{FileDescriptorProto, FileDescriptorSet, Files};

use self::messages::{
    __buffa::oneof::{
        server_reflection_request::MessageRequest as Question, server_reflection_response::MessageResponse as Answer,
    },
    ServerReflectionRequest, ServerReflectionResponse,
};
use crate::failure::Failure;

/// Asks one server, on one stream.
pub(crate) struct Reflection {
    channel: Channel,
    metadata: Metadata,
    deadline: Option<Instant>,
    /// The place in `VERSIONS`.
    version: usize,
    stream: Option<(RawSender, RawReceiver)>,
    /// The answers of a stream that we have ended: dropping them would cancel it instead.
    ended: Option<RawReceiver>,
    /// Whether the server has answered anything yet.
    answered: bool,
}

/// The services, the newer first; their messages are the same.
const VERSIONS: [&str; 2] = ["v1", "v1alpha"];

/// Most files that one server may have us take: far more than any has, and an end for one that makes them up.
const FILES_MAX: usize = 20_000;

impl Reflection {
    /// Will ask with this metadata.
    pub(crate) fn new(channel: Channel, metadata: Metadata, deadline: Option<Instant>) -> Self {
        Self { channel, metadata, deadline, version: 0, stream: None, ended: None, answered: false }
    }

    /// The version that the server understands.
    pub(crate) fn version(&self) -> &'static str {
        VERSIONS[self.version]
    }

    /// Ends the stream; a later question opens another one.
    pub(crate) fn rest(&mut self) {
        if let Some((requests, responses)) = self.stream.take() {
            requests.close();
            self.ended = Some(responses);
        }
    }

    /// The full names of all services, in alphabetical order.
    pub(crate) async fn services(&mut self) -> Result<Vec<String>, Failure> {
        match self.ask(Question::ListServices(String::new())).await? {
            Ok(Answer::ListServicesResponse(list)) => {
                let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
                names.sort_unstable();
                Ok(names)
            }
            Ok(_) => Err(wrong_answer()),
            Err(status) => Err(status.into()),
        }
    }

    /// The file that declares this full name, and all that it imports; those in `known` are not asked for. `None` when the server
    /// does not know the name.
    pub(crate) async fn files_of(&mut self, symbol: &str, known: &Files) -> Result<Option<FileDescriptorSet>, Failure> {
        let first = match self.ask(Question::FileContainingSymbol(symbol.to_owned())).await? {
            Ok(answer) => files(answer)?,
            Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument | Code::Unknown) => {
                return Ok(None);
            }
            Err(status) => return Err(status.into()),
        };
        let mut names: HashSet<String> = known.iter().map(|file| file.name().to_owned()).collect();
        let mut set = FileDescriptorSet::default();
        let mut missing = VecDeque::new();
        let mut taken = |files: Vec<FileDescriptorProto>, missing: &mut VecDeque<String>| {
            for file in files {
                if names.insert(file.name.clone().unwrap_or_default()) {
                    missing.extend(file.dependency.iter().cloned());
                    set.file.push(file);
                }
            }
            missing.retain(|name| !names.contains(name));
            set.file.len()
        };
        taken(first, &mut missing);
        while let Some(name) = missing.pop_front() {
            let files = match self.ask(Question::FileByFilename(name.clone())).await? {
                Ok(answer) => files(answer)?,
                // Some servers do not give what every compiler brings along.
                Err(status) => polywire_proto::built_in(&name).map(|set| set.file).ok_or_else(|| {
                    Failure::new(format!("the server does not give {name}, which its own files import: {status}"))
                        .hint("pass --proto FILE or --descriptor-set FILE instead")
                })?,
            };
            let found = files.iter().any(|file| file.name.as_deref() == Some(&name));
            if !found || taken(files, &mut missing) > FILES_MAX {
                return Err(wrong_answer());
            }
        }
        Ok(Some(set))
    }

    /// Asks one question. The inner error is the server's own answer.
    async fn ask(&mut self, question: Question) -> Result<Result<Answer, Status>, Failure> {
        let request = ServerReflectionRequest { message_request: Some(question), ..Default::default() }.encode_to_vec();
        let mut fresh = false;
        loop {
            let (requests, responses) = match &mut self.stream {
                Some(stream) => stream,
                None => {
                    fresh = true;
                    let path = format!("/grpc.reflection.{}.ServerReflection/ServerReflectionInfo", self.version());
                    let mut options = RawOptions::new().metadata(self.metadata.clone());
                    if let Some(deadline) = self.deadline {
                        options = options.deadline(deadline);
                    }
                    let method = Method::dynamic(&path, MethodKind::BidiStreaming);
                    self.stream.insert(self.channel.start_raw(&method, options)?)
                }
            };
            // An error here means that the call is over: the responses say why.
            let _ = requests.send(&request).await;
            let status = match responses.next().await {
                Ok(Some(bytes)) => {
                    self.answered = true;
                    let response = ServerReflectionResponse::decode_from_slice(&bytes).map_err(|_| wrong_answer())?;
                    return Ok(match response.message_response {
                        Some(Answer::ErrorResponse(error)) => {
                            let code = Code::from_number(u32::try_from(error.error_code).unwrap_or(2));
                            Err(Status::new(code, error.error_message))
                        }
                        Some(answer) => Ok(answer),
                        None => return Err(wrong_answer()),
                    });
                }
                Ok(None) => Status::unavailable("the server ended the reflection stream"),
                Err(status) => status,
            };
            self.stream = None;
            if status.code() == Code::Unimplemented && !self.answered {
                if self.version + 1 < VERSIONS.len() {
                    self.version += 1;
                    continue;
                }
                return Err(
                    Failure::new("no reflection on this server").hint("pass --proto FILE or --descriptor-set FILE")
                );
            }
            // A stream that had been idle may have been ended by the server: a new one gets the question once more.
            if fresh || status.code() == Code::DeadlineExceeded {
                return Err(Failure::from(status).hint(
                    "this happened while the server was asked for descriptors; --proto FILE or --descriptor-set FILE avoid that",
                ));
            }
        }
    }
}

fn files(answer: Answer) -> Result<Vec<FileDescriptorProto>, Failure> {
    let Answer::FileDescriptorResponse(files) = answer else { return Err(wrong_answer()) };
    let decode = |bytes: &Vec<u8>| FileDescriptorProto::decode_from_slice(bytes).map_err(|_| wrong_answer());
    files.file_descriptor_proto.iter().map(decode).collect()
}

fn wrong_answer() -> Failure {
    Failure::new("the server's reflection gives answers that are not to the question")
        .hint("pass --proto FILE or --descriptor-set FILE instead")
}

mod messages {
    #![allow(clippy::all, missing_docs, dead_code, unreachable_pub, unused_qualifications, reason = "generated")]
    polywire::include_proto!("grpc.reflection.v1");
}
