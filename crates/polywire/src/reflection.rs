//! Reflection: tells clients which services stand at an address and what their messages look like, by
//! `grpc.reflection.v1` and by the `v1alpha` that many tools still ask for first.
//!
//! [`Server::with_reflection`](crate::Server::with_reflection) adds both.

mod index;

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use polywire_core::{Call, Code, Service, Status};

use self::index::{FileId, Index};
use crate::{Receiver, Sender};

/// The messages, client and service of `grpc.reflection.v1`, as generated.
pub mod v1 {
    crate::include_proto!("grpc.reflection.v1");
}

/// The messages, client and service of `grpc.reflection.v1alpha`, as generated.
pub mod v1alpha {
    crate::include_proto!("grpc.reflection.v1alpha");
}

/// Adds both versions of the service, which tell of these services and of themselves.
pub(crate) fn add_to(services: &mut Vec<Arc<dyn Service>>) {
    let reflected = Arc::new(Reflected::default());
    services.push(Arc::new(v1::ServerReflectionServer::new(Reflection(Arc::clone(&reflected)))));
    services.push(Arc::new(v1alpha::ServerReflectionServer::new(Reflection(Arc::clone(&reflected)))));
    let names = services.iter().map(|service| service.name()).collect();
    let sets = services.iter().map(|service| service.descriptors()).collect();
    // The only place that sets it.
    let _ = reflected.sources.set(Sources { names, sets });
}

/// Answers both versions.
struct Reflection(Arc<Reflected>);

/// What is told. The index is made at the first question: most processes are never asked.
#[derive(Default)]
struct Reflected {
    sources: OnceLock<Sources>,
    index: OnceLock<Index>,
}

/// What the services of a server bring along.
struct Sources {
    names: BTreeSet<&'static str>,
    /// Serialized `FileDescriptorSet`s.
    sets: Vec<&'static [u8]>,
}

impl Reflected {
    fn index(&self) -> &Index {
        let sets = self.sources.get().map_or(&[][..], |sources| &sources.sets);
        self.index.get_or_init(|| Index::new(sets.iter().copied()))
    }

    fn names(&self) -> Vec<&'static str> {
        self.sources.get().map(|sources| sources.names.iter().copied().collect()).unwrap_or_default()
    }
}

/// A question, in whichever version it came.
enum Question<'a> {
    Extension(&'a str, i32),
    ExtensionNumbers(&'a str),
    File(&'a str),
    Services,
    Symbol(&'a str),
}

/// What is said to it.
enum Answer {
    Files(Vec<Bytes>),
    Nothing(Status),
    Numbers(Vec<i32>),
    Services(Vec<&'static str>),
}

/// One stream of questions: what has been sent on it is not sent again.
struct Conversation<'a> {
    reflected: &'a Reflected,
    sent: HashSet<FileId>,
}

impl Conversation<'_> {
    fn answer(&mut self, question: &Question<'_>) -> Answer {
        let index = self.reflected.index();
        let (found, what) = match question {
            Question::Services => return Answer::Services(self.reflected.names()),
            Question::ExtensionNumbers(message) => {
                return match index.extension_numbers(message) {
                    Some(numbers) => Answer::Numbers(numbers),
                    None => Answer::Nothing(Status::not_found(format!("no message is called {message:?}"))),
                };
            }
            Question::File(name) => (index.file(name), format!("no file is called {name:?}")),
            Question::Symbol(name) => (index.symbol(name), format!("no file declares the symbol {name:?}")),
            Question::Extension(message, number) => (
                index.extension(message, *number),
                format!("no file extends {message:?} by a field of number {number}"),
            ),
        };
        match found {
            Some(file) => Answer::Files(self.with_imports(index, file)),
            None => Answer::Nothing(Status::not_found(what)),
        }
    }

    /// The file, whether or not it was sent before, and all it imports that was not.
    fn with_imports(&mut self, index: &Index, file: FileId) -> Vec<Bytes> {
        self.sent.insert(file);
        let mut files = vec![index.descriptor(file)];
        let mut seen = HashSet::from([file]);
        let mut to_visit = VecDeque::from([file]);
        while let Some(file) = to_visit.pop_front() {
            for import in index.imports(file) {
                if seen.insert(import) {
                    to_visit.push_back(import);
                    if self.sent.insert(import) {
                        files.push(index.descriptor(import));
                    }
                }
            }
        }
        files
    }
}

/// The two versions have the same messages in packages of their own.
macro_rules! answer_in {
    ($version:ident) => {
        impl $version::ServerReflectionService for Reflection {
            async fn server_reflection_info(
                &self,
                _call: &mut Call,
                mut requests: Receiver<$version::ServerReflectionRequest>,
                mut responses: Sender<$version::ServerReflectionResponse>,
            ) -> Result<(), Status> {
                use $version::{
                    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
                    ServerReflectionResponse, ServiceResponse, server_reflection_request::MessageRequest,
                };
                let mut conversation = Conversation { reflected: &self.0, sent: HashSet::new() };
                while let Some(request) = requests.next().await? {
                    let question = match &request.message_request {
                        Some(MessageRequest::FileByFilename(name)) => Question::File(name),
                        Some(MessageRequest::FileContainingSymbol(name)) => Question::Symbol(name),
                        Some(MessageRequest::FileContainingExtension(extension)) => {
                            Question::Extension(&extension.containing_type, extension.extension_number)
                        }
                        Some(MessageRequest::AllExtensionNumbersOfType(message)) => Question::ExtensionNumbers(message),
                        Some(MessageRequest::ListServices(_)) => Question::Services,
                        None => return Err(Status::invalid_argument("a request must say what it asks for")),
                    };
                    let answer = match conversation.answer(&question) {
                        Answer::Files(files) => {
                            FileDescriptorResponse { file_descriptor_proto: files, ..Default::default() }.into()
                        }
                        Answer::Numbers(extension_number) => {
                            let Question::ExtensionNumbers(message) = question else { continue };
                            let base_type_name = message.to_owned();
                            ExtensionNumberResponse { base_type_name, extension_number, ..Default::default() }.into()
                        }
                        Answer::Services(names) => {
                            let names = names.into_iter().map(str::to_owned);
                            let service = names.map(|name| ServiceResponse { name, ..Default::default() }).collect();
                            ListServiceResponse { service, ..Default::default() }.into()
                        }
                        Answer::Nothing(status) => ErrorResponse {
                            error_code: number(status.code()),
                            error_message: status.message().to_owned(),
                            ..Default::default()
                        }
                        .into(),
                    };
                    let response = ServerReflectionResponse {
                        valid_host: request.host.clone(),
                        message_response: Some(answer),
                        original_request: request.into(),
                        ..Default::default()
                    };
                    responses.send(response).await?;
                }
                Ok(())
            }
        }
    };
}

answer_in!(v1);
answer_in!(v1alpha);

fn number(code: Code) -> i32 {
    i32::from(code.number())
}
