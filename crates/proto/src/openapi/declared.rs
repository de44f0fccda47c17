//! What a set of files declares, by full name, with the comments.

use std::collections::HashMap;

use buffa_descriptor::generated::descriptor::field_descriptor_proto::{Label, Type};

use crate::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, MethodDescriptorProto,
    ServiceDescriptorProto,
    comments::{Comments, path as at, plain},
    descriptors::json_name,
};

/// Everything in some files.
#[derive(Default)]
pub(super) struct Declared<'a> {
    comments: Vec<Comments>,
    messages: HashMap<String, Message<'a>>,
    enums: HashMap<String, Enumeration<'a>>,
    services: HashMap<String, Service<'a>>,
}

#[derive(Clone)]
pub(super) struct Message<'a> {
    pub(super) name: String,
    pub(super) proto: &'a DescriptorProto,
    place: Place,
}

#[derive(Clone)]
pub(super) struct Enumeration<'a> {
    pub(super) proto: &'a EnumDescriptorProto,
    place: Place,
}

#[derive(Clone)]
pub(super) struct Service<'a> {
    pub(super) proto: &'a ServiceDescriptorProto,
    place: Place,
}

/// Where something stands: its file, and the path in it.
#[derive(Clone)]
struct Place {
    file: usize,
    path: Vec<i32>,
}

impl<'a> Declared<'a> {
    pub(super) fn in_files(files: impl IntoIterator<Item = &'a FileDescriptorProto>) -> Self {
        let mut declared = Self::default();
        for (index, file) in files.into_iter().enumerate() {
            declared.comments.push(Comments::of(file));
            let package = file.package.as_deref().unwrap_or_default();
            let place = Place { file: index, path: Vec::new() };
            declared.add_messages(package, &file.message_type, at::FILE_MESSAGE, &place);
            declared.add_enums(package, &file.enum_type, at::FILE_ENUM, &place);
            for (index, proto) in file.service.iter().enumerate() {
                let name = full_name(package, proto.name.as_deref());
                declared.services.entry(name).or_insert(Service { proto, place: place.below(at::FILE_SERVICE, index) });
            }
        }
        declared
    }

    pub(super) fn message(&self, name: &str) -> Option<&Message<'a>> {
        self.messages.get(name.trim_start_matches('.'))
    }

    pub(super) fn enumeration(&self, name: &str) -> Option<&Enumeration<'a>> {
        self.enums.get(name.trim_start_matches('.'))
    }

    pub(super) fn service(&self, name: &str) -> Option<&Service<'a>> {
        self.services.get(name)
    }

    pub(super) fn message_comment(&self, message: &Message<'_>) -> Option<String> {
        self.comment(&message.place)
    }

    pub(super) fn field_comment(&self, message: &Message<'_>, index: usize) -> Option<String> {
        self.comment(&message.place.below(at::MESSAGE_FIELD, index))
    }

    pub(super) fn enum_comment(&self, enumeration: &Enumeration<'_>) -> Option<String> {
        self.comment(&enumeration.place)
    }

    pub(super) fn value_comment(&self, enumeration: &Enumeration<'_>, index: usize) -> Option<String> {
        self.comment(&enumeration.place.below(at::ENUM_VALUE, index))
    }

    pub(super) fn service_comment(&self, service: &Service<'_>) -> Option<String> {
        self.comment(&service.place)
    }

    pub(super) fn method_comment(&self, service: &Service<'_>, index: usize) -> Option<String> {
        self.comment(&service.place.below(at::SERVICE_METHOD, index))
    }

    fn comment(&self, place: &Place) -> Option<String> {
        self.comments[place.file].at(&place.path).map(plain).filter(|text| !text.is_empty())
    }

    fn add_messages(&mut self, scope: &str, messages: &'a [DescriptorProto], kind: i32, outer: &Place) {
        for (index, proto) in messages.iter().enumerate() {
            let name = full_name(scope, proto.name.as_deref());
            let place = outer.below(kind, index);
            self.add_messages(&name, &proto.nested_type, at::MESSAGE_NESTED, &place);
            self.add_enums(&name, &proto.enum_type, at::MESSAGE_ENUM, &place);
            self.messages.entry(name.clone()).or_insert(Message { name, proto, place });
        }
    }

    fn add_enums(&mut self, scope: &str, enums: &'a [EnumDescriptorProto], kind: i32, outer: &Place) {
        for (index, proto) in enums.iter().enumerate() {
            let name = full_name(scope, proto.name.as_deref());
            self.enums.entry(name).or_insert(Enumeration { proto, place: outer.below(kind, index) });
        }
    }
}

impl<'a> Message<'a> {
    /// The field of that name, by its name in the `.proto` file or in JSON.
    pub(super) fn field(&self, name: &str) -> Option<(usize, &'a FieldDescriptorProto)> {
        let found = |field: &FieldDescriptorProto| field.name.as_deref() == Some(name) || json_name(field) == name;
        self.proto.field.iter().enumerate().find(|(_, field)| found(field))
    }

    pub(super) fn is_map_entry(&self) -> bool {
        self.proto.options.as_option().and_then(|options| options.map_entry).unwrap_or(false)
    }
}

impl Place {
    fn below(&self, kind: i32, index: usize) -> Self {
        let mut path = self.path.clone();
        path.extend([kind, i32::try_from(index).unwrap_or(i32::MAX)]);
        Self { file: self.file, path }
    }
}

pub(super) fn is_repeated(field: &FieldDescriptorProto) -> bool {
    field.label == Some(Label::LABEL_REPEATED)
}

/// Whether proto2 requires it.
pub(super) fn is_required_label(field: &FieldDescriptorProto) -> bool {
    field.label == Some(Label::LABEL_REQUIRED)
}

/// The message it holds, by name.
pub(super) fn message_of(field: &FieldDescriptorProto) -> Option<&str> {
    match field.r#type {
        Some(Type::TYPE_MESSAGE | Type::TYPE_GROUP) => {
            field.type_name.as_deref().map(|name| name.trim_start_matches('.'))
        }
        _ => None,
    }
}

pub(super) fn is_client_streaming(method: &MethodDescriptorProto) -> bool {
    method.client_streaming.unwrap_or(false)
}

pub(super) fn is_server_streaming(method: &MethodDescriptorProto) -> bool {
    method.server_streaming.unwrap_or(false)
}

fn full_name(scope: &str, name: Option<&str>) -> String {
    let name = name.unwrap_or_default();
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}
