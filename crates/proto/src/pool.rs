use std::sync::Arc;

use buffa_descriptor::{DescriptorPool, MessageIndex, SingularKind};

use crate::{Error, FileDescriptorSet, Files};

/// Linked descriptors: what a command-line tool or a gateway knows about services it was not compiled with.
///
/// It is cheap to clone; the types found in it keep it alive.
#[derive(Clone, Debug)]
pub struct Pool {
    files: Arc<Files>,
    linked: Arc<DescriptorPool>,
}

impl Pool {
    /// Links the files of a set. Files may come in any order, and twice.
    ///
    /// # Errors
    /// When a file uses a type that none of them declares, or breaks a rule of the language.
    pub fn new(descriptors: FileDescriptorSet) -> Result<Self, Error> {
        let mut files = Files::new();
        for file in descriptors.file {
            files.add(file);
        }
        let linked = DescriptorPool::new(files.to_set()).map_err(|error| Error::descriptors(error.to_string()))?;
        Ok(Self { files: Arc::new(files), linked: Arc::new(linked) })
    }

    /// The files, with a finder for everything in them.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The full names of all services, in the order of their files.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.files.services()
    }

    /// The methods of a service, by its full name.
    pub fn methods(&self, service: &str) -> Option<Vec<MethodType>> {
        let descriptor = self.linked.service_by_name(service)?;
        let methods = descriptor.methods().iter().map(|method| MethodType {
            path: format!("/{service}/{}", method.name()),
            request: self.message_at(method.input()),
            response: self.message_at(method.output()),
            client_streams: method.is_client_streaming(),
            server_streams: method.is_server_streaming(),
        });
        Some(methods.collect())
    }

    /// A method by its full name, as `package.Service/Method`, with or without a slash in front, or as
    /// `package.Service.Method`.
    pub fn method(&self, name: &str) -> Option<MethodType> {
        let name = name.strip_prefix('/').unwrap_or(name);
        let (service, method) = name.rsplit_once('/').or_else(|| name.rsplit_once('.'))?;
        self.methods(service)?.into_iter().find(|found| found.name() == method)
    }

    /// A message by its full name, `package.Message`.
    pub fn message(&self, name: &str) -> Option<MessageType> {
        self.linked.message_index(name.trim_start_matches('.')).map(|index| self.message_at(index))
    }

    fn message_at(&self, index: MessageIndex) -> MessageType {
        MessageType { pool: Arc::clone(&self.linked), index }
    }

    pub(crate) fn linked(&self) -> &Arc<DescriptorPool> {
        &self.linked
    }
}

/// A method as its descriptor describes it.
#[derive(Clone, Debug)]
pub struct MethodType {
    path: String,
    request: MessageType,
    response: MessageType,
    client_streams: bool,
    server_streams: bool,
}

impl MethodType {
    /// `/package.Service/Method`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The method's own name.
    pub fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or(self.path.as_str(), |(_, name)| name)
    }

    /// The type of its requests.
    pub fn request(&self) -> &MessageType {
        &self.request
    }

    /// The type of its responses.
    pub fn response(&self) -> &MessageType {
        &self.response
    }

    /// Whether it takes a stream of requests.
    pub fn client_streams(&self) -> bool {
        self.client_streams
    }

    /// Whether it answers with a stream of responses.
    pub fn server_streams(&self) -> bool {
        self.server_streams
    }
}

/// A type of messages known by its descriptor alone.
#[derive(Clone, Debug)]
pub struct MessageType {
    pub(crate) pool: Arc<DescriptorPool>,
    pub(crate) index: MessageIndex,
}

impl MessageType {
    /// `package.Message`.
    pub fn full_name(&self) -> &str {
        self.descriptor().full_name()
    }

    /// The messages and enums its fields use, by full name, each once, in the order of the fields.
    pub fn used_types(&self) -> Vec<&str> {
        let mut types = Vec::new();
        for field in self.descriptor().fields() {
            use buffa_descriptor::FieldKind;
            let (FieldKind::Singular(kind) | FieldKind::List(kind) | FieldKind::Map { value: kind, .. }) = field.kind();
            let name = match kind {
                SingularKind::Scalar(_) => continue,
                SingularKind::Enum(index) => self.pool.enumeration(index).full_name(),
                SingularKind::Message(index) => self.pool.message(index).full_name(),
            };
            if !types.contains(&name) {
                types.push(name);
            }
        }
        types
    }

    pub(crate) fn descriptor(&self) -> &buffa_descriptor::MessageDescriptor {
        self.pool.message(self.index)
    }
}
