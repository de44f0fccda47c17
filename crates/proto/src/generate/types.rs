//! Which types a file declares and which it uses, by full name with a dot in front.

use crate::{DescriptorProto, FileDescriptorProto};

/// The messages and enums of a file, nested ones included.
pub(super) fn declared(file: &FileDescriptorProto) -> Vec<String> {
    let package = file.package.as_deref().filter(|package| !package.is_empty());
    let scope = package.map_or_else(String::new, |package| format!(".{package}"));
    let mut types = Vec::new();
    declared_in(&scope, &file.message_type, &mut types);
    types.extend(file.enum_type.iter().map(|enumeration| full_name(&scope, enumeration.name.as_deref())));
    types
}

/// The types of the fields, extensions and methods of a file.
pub(super) fn used(file: &FileDescriptorProto) -> Vec<&str> {
    let mut types = Vec::new();
    used_in(&file.message_type, &mut types);
    types.extend(file.extension.iter().flat_map(|field| [&field.type_name, &field.extendee]).flatten());
    let methods = file.service.iter().flat_map(|service| &service.method);
    types.extend(methods.flat_map(|method| [&method.input_type, &method.output_type]).flatten());
    types.into_iter().map(String::as_str).collect()
}

fn declared_in(scope: &str, messages: &[DescriptorProto], types: &mut Vec<String>) {
    for message in messages {
        let name = full_name(scope, message.name.as_deref());
        types.extend(message.enum_type.iter().map(|enumeration| full_name(&name, enumeration.name.as_deref())));
        declared_in(&name, &message.nested_type, types);
        types.push(name);
    }
}

fn used_in<'a>(messages: &'a [DescriptorProto], types: &mut Vec<&'a String>) {
    for message in messages {
        types.extend(message.field.iter().filter_map(|field| field.type_name.as_ref()));
        types.extend(message.extension.iter().flat_map(|field| [&field.type_name, &field.extendee]).flatten());
        used_in(&message.nested_type, types);
    }
}

fn full_name(scope: &str, name: Option<&str>) -> String {
    format!("{scope}.{}", name.unwrap_or_default())
}
